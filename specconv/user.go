package specconv

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// lookUpUser resolves `user[:group]`, names or numbers, by the files of the
// image. As docker has it: without a group, the user's own one and those
// that it is a member of; a number that has no name is in group 0.
func lookUpUser(root, given string) (specs.User, error) {
	var none specs.User
	name, group, explicit := strings.Cut(given, ":")
	if name == "" {
		name = "0"
	}
	u, known, err := readPasswd(root, name)
	if err != nil {
		return none, err
	}
	if !explicit || group == "" {
		groups, err := groupsOf(root, known)
		if err != nil {
			return none, err
		}
		u.AdditionalGids = append([]uint32{u.GID}, groups...)
		return u, nil
	}
	u.GID, err = lookUpGroup(root, group)
	// Among the others too: else a file that is closed to its group would be
	// open to a process that sets others (CVE-2022-36109).
	u.AdditionalGids = []uint32{u.GID}
	return u, err
}

// readPasswd finds a user by name or number, and gives its name if it has
// one.
func readPasswd(root, given string) (u specs.User, name string, err error) {
	id, isNumber := ParseID(given)
	text, err := readInRoot(root, "etc/passwd")
	if err != nil {
		return u, "", fmt.Errorf("read the image's /etc/passwd: %w", err)
	}
	for line := range strings.Lines(text) {
		// name:password:UID:GID:... (passwd(5))
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) < 4 {
			continue
		}
		uid, ok1 := ParseID(f[2])
		gid, ok2 := ParseID(f[3])
		if ok1 && ok2 && (isNumber && uid == id || !isNumber && f[0] == given) {
			return specs.User{UID: uid, GID: gid}, f[0], nil
		}
	}
	if !isNumber {
		return u, "", fmt.Errorf("no user %q in the image's /etc/passwd", given)
	}
	return specs.User{UID: id}, "", nil
}

// ParseID reads a user or group id. It is strict: what an id could be taken
// for by mistake would be root's (CVE-2026-30892). 4294967295 is the kernel's
// word for none.
func ParseID(text string) (id uint32, ok bool) {
	n, err := strconv.ParseUint(text, 10, 32)
	return uint32(n), err == nil && n != math.MaxUint32
}

func lookUpGroup(root, given string) (uint32, error) {
	if id, ok := ParseID(given); ok {
		return id, nil
	}
	found, err := filterGroups(root, func(name string, _ []string) bool { return name == given })
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("no group %q in the image's /etc/group", given)
	}
	if err != nil {
		return 0, err
	}
	return found[0], nil
}

// groupsOf are the groups that list a user; nobody is in none.
func groupsOf(root, user string) ([]uint32, error) {
	if user == "" {
		return nil, nil
	}
	return filterGroups(root, func(_ string, members []string) bool { return slices.Contains(members, user) })
}

func filterGroups(root string, wanted func(name string, members []string) bool) ([]uint32, error) {
	text, err := readInRoot(root, "etc/group")
	if err != nil {
		return nil, fmt.Errorf("read the image's /etc/group: %w", err)
	}
	var found []uint32
	for line := range strings.Lines(text) {
		// name:password:GID:member,member (group(5))
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) < 4 {
			continue
		}
		if gid, ok := ParseID(f[2]); ok && wanted(f[0], strings.Split(f[3], ",")) && !slices.Contains(found, gid) {
			found = append(found, gid)
		}
	}
	return found, nil
}
