package rootfs

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
	"github.com/mocker-runtime/mocker/libcontainer/inside"
	"github.com/mocker-runtime/mocker/libcontainer/trace"
)

// mapIDs makes the files of a detached mount appear as those of other users
// (mount_setattr(2), MOUNT_ATTR_IDMAP). The parent does it: that takes
// CAP_SYS_ADMIN over the file system, which a container has not.
func (r *Root) mapIDs(tree int, m *config.Mount) error {
	users, err := openMaps(r.mapsOf(m), r.in.Trace())
	if err != nil {
		return err
	}
	defer users.Close()
	flags := 0
	if m.IDMap.Recursive {
		flags = unix.AT_RECURSIVE
	}
	err = r.setattr(tree, flags, unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(users.Fd())})
	switch {
	case errors.Is(err, unix.EINVAL):
		what := fsType(m)
		if m.IDMap.Recursive && m.Recursive {
			what += ", or of what is mounted below it"
		}
		return &fieldError{"source", fmt.Errorf("map the ids of %s: %w (this kernel cannot map those of %s)", m.Source, unix.EINVAL, what)}
	case errors.Is(err, unix.EPERM):
		return &fieldError{"source", fmt.Errorf("map the ids of %s: %w (it takes CAP_SYS_ADMIN where its file system was mounted, and what is id-mapped cannot be mapped again)", m.Source, unix.EPERM)}
	}
	return err
}

// mapsOf is the maps of a mount, without any those of the container.
func (r *Root) mapsOf(m *config.Mount) *config.MountIDs {
	if m.IDMap.UIDs == nil {
		return &config.MountIDs{UIDs: r.cfg.UIDMap, GIDs: r.cfg.GIDMap}
	}
	return m.IDMap
}

// openMaps opens a user namespace with the maps that are asked for: the kernel
// takes maps of mounts in this form only.
func openMaps(maps *config.MountIDs, rec *trace.Recorder) (*os.File, error) {
	// A process that lives for as long as it takes to open its namespace.
	child, err := inside.New(inside.Birth{Namespaces: unix.CLONE_NEWUSER, CgroupFD: -1, Trace: rec})
	if err != nil {
		return nil, fmt.Errorf("map ids: %w", err)
	}
	defer child.Release()
	defer child.Close()
	defer child.Kill()
	proc := "/proc/" + strconv.Itoa(child.PID)
	for _, m := range []struct {
		name, key string
		list      config.IDMap
	}{{"uid_map", "uidMappings", maps.UIDs}, {"gid_map", "gidMappings", maps.GIDs}} {
		text := mapText(m.list)
		if len(text) > maxData {
			return nil, &fieldError{m.key, fmt.Errorf("%d bytes in the form of %s: the kernel takes %d", len(text), m.name, maxData)}
		}
		if err := os.WriteFile(proc+"/"+m.name, []byte(text), 0); err != nil {
			var errno unix.Errno
			errors.As(err, &errno)
			return nil, &fieldError{m.key, fmt.Errorf("write %q to %s: %w", strings.TrimSpace(text), m.name, errno)}
		}
	}
	f, err := os.Open(proc + "/ns/user")
	if err != nil {
		return nil, fmt.Errorf("map ids: %w", err)
	}
	return f, nil
}

// mapText is the form of user_namespaces(7).
func mapText(list config.IDMap) string {
	var b strings.Builder
	for _, m := range list {
		fmt.Fprintf(&b, "%d %d %d\n", m.ContainerID, m.HostID, m.Size)
	}
	return b.String()
}

// fsType is the type of the file system that a bind mount's source is on, for
// errors.
func fsType(m *config.Mount) string {
	const unknown = "this file system"
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, m.Source, 0, unix.STATX_MNT_ID, &st); err != nil {
		return unknown
	}
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return unknown
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// 36 35 98:0 /root /at options [optional...] - type ..., proc_pid_mountinfo(5)
		id, _, _ := strings.Cut(lines.Text(), " ")
		_, rest, found := strings.Cut(lines.Text(), " - ")
		if found && id == strconv.FormatUint(st.Mnt_id, 10) {
			name, _, _ := strings.Cut(rest, " ")
			return name
		}
	}
	return unknown
}
