package specconv

import (
	"math"
	"os"
	"os/exec"
	"os/user"
	"path"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Rootless changes a spec so that an ordinary user can run it, as `runc spec
// --rootless` does: a user namespace in which the user is root, the machine's
// network, no limits, and no owners that are not mapped.
//
// /sys is the host's, for a new one takes a network namespace of one's own;
// unlike runc's it is read-only with all that is mounted below it
// (CVE-2023-25809).
func Rootless(spec *specs.Spec, uids, gids []specs.LinuxIDMapping) {
	namespaces := []specs.LinuxNamespace{}
	for _, ns := range spec.Linux.Namespaces {
		if ns.Type != specs.NetworkNamespace && ns.Type != specs.UserNamespace {
			namespaces = append(namespaces, ns)
		}
	}
	spec.Linux.Namespaces = append(namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	spec.Linux.UIDMappings, spec.Linux.GIDMappings = uids, gids
	spec.Linux.Resources = nil
	spec.Hooks = nil
	for i := range spec.Mounts {
		m := &spec.Mounts[i]
		if path.Clean(m.Destination) == "/sys" {
			m.Source, m.Type = "/sys", "none"
			m.Options = []string{"rbind", "nosuid", "noexec", "nodev", "ro", "rro"}
		}
		options := []string{}
		for _, o := range m.Options {
			if !strings.HasPrefix(o, "uid=") && !strings.HasPrefix(o, "gid=") {
				options = append(options, o)
			}
		}
		m.Options = options
	}
}

// OwnIDs maps root to the calling user and nothing else: what everybody may.
func OwnIDs() (uids, gids []specs.LinuxIDMapping) {
	return []specs.LinuxIDMapping{own(os.Geteuid())}, []specs.LinuxIDMapping{own(os.Getegid())}
}

func own(id int) specs.LinuxIDMapping { return specs.LinuxIDMapping{HostID: uint32(id), Size: 1} }

// AllIDs maps root to the calling user, and the ids from 1 on to those that
// /etc/subuid and /etc/subgid give it, where there is newuidmap(1) to map
// them. The root of a user namespace keeps what it has.
func AllIDs() (uids, gids []specs.LinuxIDMapping) {
	if os.Geteuid() == 0 {
		return kept("/proc/self/uid_map"), kept("/proc/self/gid_map")
	}
	uids, gids = OwnIDs()
	for _, tool := range []string{"newuidmap", "newgidmap"} {
		if _, err := exec.LookPath(tool); err != nil {
			return uids, gids
		}
	}
	moreUIDs, moreGIDs := subordinate("/etc/subuid"), subordinate("/etc/subgid")
	if len(moreUIDs) == 0 || len(moreGIDs) == 0 {
		return uids, gids
	}
	return append(uids, moreUIDs...), append(gids, moreGIDs...)
}

// subordinate are the ranges that a file gives the calling user by name or by
// number (subuid(5)), for the ids from 1 on.
func subordinate(file string) []specs.LinuxIDMapping {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	number := strconv.Itoa(os.Geteuid())
	name := number
	if u, err := user.LookupId(number); err == nil {
		name = u.Username
	}
	return ranges(string(data), name, number)
}

func ranges(text, name, number string) []specs.LinuxIDMapping {
	var list []specs.LinuxIDMapping
	next := uint64(1)
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) != 3 || f[0] != name && f[0] != number {
			continue
		}
		first, err1 := strconv.ParseUint(f[1], 10, 32)
		size, err2 := strconv.ParseUint(f[2], 10, 32)
		if err1 != nil || err2 != nil || size == 0 || next+size > math.MaxUint32 {
			continue
		}
		list = append(list, specs.LinuxIDMapping{ContainerID: uint32(next), HostID: uint32(first), Size: uint32(size)})
		next += size
	}
	return list
}

// kept maps the ids that this process's own user namespace has to themselves.
func kept(file string) []specs.LinuxIDMapping {
	data, err := os.ReadFile(file)
	if err != nil {
		return []specs.LinuxIDMapping{own(0)}
	}
	var list []specs.LinuxIDMapping
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		first, err1 := strconv.ParseUint(f[0], 10, 32)
		size, err2 := strconv.ParseUint(f[2], 10, 32)
		if err1 == nil && err2 == nil && size != 0 {
			list = append(list, specs.LinuxIDMapping{ContainerID: uint32(first), HostID: uint32(first), Size: uint32(size)})
		}
	}
	return list
}
