package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// Before Linux 6.17 a new procfs shows the pid namespace of who mounts it, and
// the child is in none that is joined: whoever lives there could trace it,
// with all that it still has. So it takes a copy of the procfs that somebody
// in that namespace has, from their mount namespace, in which nothing is
// looked at but /proc itself.

// procRoot is the inode number of the root of every procfs (PROC_ROOT_INO).
const procRoot = 1

// copyProc makes a detached copy of a mount of the procfs that belongs to the
// pid namespace that is joined.
func (r *Root) copyProc(data []string, attrs uint64) (int, error) {
	if len(data) > 0 {
		return -1, fmt.Errorf("options %q: a procfs of a pid namespace that is joined has those that it has, before Linux 6.17", data)
	}
	own, err := r.in.Openat2(unix.AT_FDCWD, "/proc/self/ns/mnt", unix.O_RDONLY, 0, 0) // the child's is not an ordinary user's to look at
	if err != nil {
		return -1, err
	}
	defer unix.Close(own)
	pids, err := r.living()
	if err != nil {
		return -1, err
	}
	err = errors.New("nobody lives in the pid namespace")
	for _, pid := range pids {
		var tree int
		if tree, err = r.procOf(pid, own); err != nil {
			continue
		}
		all := unix.MountAttr{
			Attr_set: attrs,
			Attr_clr: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC |
				unix.MOUNT_ATTR_NOSYMFOLLOW | unix.MOUNT_ATTR_NODIRATIME | unix.MOUNT_ATTR__ATIME,
			Propagation: unix.MS_PRIVATE,
		}
		if err = r.in.MountSetattr(tree, 0, all); err == nil {
			return tree, nil
		}
		unix.Close(tree)
	}
	return -1, fmt.Errorf("copy the procfs of the pid namespace that is joined (a new one takes Linux 6.17): %w", err)
}

// living lists the processes of the pid namespace that is joined, the oldest
// first as far as pids tell.
func (r *Root) living() (pids []int, err error) {
	files, err := filepath.Glob("/proc/[0-9]*/ns/pid")
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		if !r.isJoined(unix.AT_FDCWD, file) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(file))))
		if err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
	slices.Sort(pids)
	return pids, nil
}

// isJoined reports whether a file stands for the pid namespace that is joined.
func (r *Root) isJoined(dir int, file string) bool {
	var want, got unix.Stat_t
	return unix.Fstat(int(r.pidns.Fd()), &want) == nil && unix.Fstatat(dir, file, &got, 0) == nil &&
		want.Dev == got.Dev && want.Ino == got.Ino
}

// procOf copies what a process has mounted at /proc, if it is the whole procfs
// of the pid namespace that is joined. own is where the child comes back to.
func (r *Root) procOf(pid, own int) (int, error) {
	theirs, err := os.Open(fmt.Sprintf("/proc/%d/ns/mnt", pid))
	if err != nil {
		return -1, err
	}
	defer theirs.Close()
	if err := r.in.Setns(int(theirs.Fd()), theirs.Name(), unix.CLONE_NEWNS); err != nil {
		return -1, err
	}
	tree, err := r.copyOf("/proc")
	back := r.in.Setns(own, "the container's mount namespace", unix.CLONE_NEWNS)
	if err = errors.Join(err, back); err != nil {
		if tree >= 0 {
			unix.Close(tree)
		}
		return -1, err
	}
	var fs unix.Statfs_t
	var st unix.Stat_t
	if unix.Fstatfs(tree, &fs) != nil || fs.Type != unix.PROC_SUPER_MAGIC ||
		unix.Fstat(tree, &st) != nil || st.Ino != procRoot || !r.isJoined(tree, "1/ns/pid") {
		unix.Close(tree)
		return -1, fmt.Errorf("process %d has something else at /proc", pid)
	}
	return tree, nil
}

// copyOf makes a detached copy of the mount at a path of the mount namespace
// that the child is in, which no link leads to.
func (r *Root) copyOf(path string) (int, error) {
	fd, err := r.in.Openat2(unix.AT_FDCWD, path, unix.O_PATH|unix.O_DIRECTORY, 0, unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return -1, err
	}
	defer unix.Close(fd)
	return r.in.OpenTree(fd, "", unix.OPEN_TREE_CLONE|unix.AT_EMPTY_PATH)
}
