package namespaces

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
	"github.com/mocker-runtime/mocker/libcontainer/inside"
)

// kinds are the types of namespaces by the names of their files in
// /proc/PID/ns.
var kinds = [...]struct {
	file string
	flag uintptr
}{
	{"user", unix.CLONE_NEWUSER},
	{"mnt", unix.CLONE_NEWNS},
	{"pid", unix.CLONE_NEWPID},
	{"net", unix.CLONE_NEWNET},
	{"ipc", unix.CLONE_NEWIPC},
	{"uts", unix.CLONE_NEWUTS},
	{"cgroup", unix.CLONE_NEWCGROUP},
	{"time", unix.CLONE_NEWTIME},
}

// Others are the CLONE_NEW* flags of the namespaces of a process that are not
// mocker's own.
func Others(pid int) (uintptr, error) {
	var flags uintptr
	for _, k := range kinds {
		var own, its unix.Stat_t
		err := unix.Stat("/proc/self/ns/"+k.file, &own)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a kernel that has no such namespaces
		}
		path := fmt.Sprintf("/proc/%d/ns/%s", pid, k.file)
		if err == nil {
			err = unix.Stat(path, &its)
		}
		if err != nil {
			return 0, fmt.Errorf("stat %s: %w", path, err)
		}
		if own.Ino != its.Ino || own.Dev != its.Dev {
			flags |= k.flag
		}
	}
	return flags, nil
}

// JoinProcess brings the child into namespaces of the process that pidfd
// stands for, all at once; into its pid namespace only what the child becomes.
// In a user namespace the child has the ids that a container is built with.
func JoinProcess(in *inside.Child, pidfd int, flags uintptr) error {
	if flags == 0 {
		return nil
	}
	if err := in.Setns(pidfd, "the container's namespaces", flags); err != nil {
		return err
	}
	if flags&unix.CLONE_NEWUSER == 0 {
		return nil
	}
	uids, gids, err := Maps(in.PID)
	if err != nil {
		return err
	}
	denied, err := setgroupsDenied(in.PID)
	if err != nil {
		return err
	}
	if err := in.TakeIDs(uids.First(), gids.First(), denied); err != nil {
		return err
	}
	return in.Hide()
}

// Maps are those of the user namespace that a process is in, mocker's own
// included.
func Maps(pid int) (uids, gids config.IDMap, err error) {
	if uids, err = readMap(pid, "uid_map"); err == nil {
		gids, err = readMap(pid, "gid_map")
	}
	return uids, gids, err
}
