package rootfs

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

// A container without a mount namespace of its own lives in the caller's
// (config-linux.md, "Namespaces": what is not listed is inherited). Its tree
// stands on its rootfs for all to see, its root is a chroot(2), and nothing
// takes its mounts away when it ends: delete does (Unmount).

// shares reports whether the container has the mount namespace of mocker.
func shares(cfg *config.Config) bool { return !cfg.Has(unix.CLONE_NEWNS) }

// shield puts a copy of the rootfs, without what is mounted below it, on the
// rootfs itself, and makes it private. Where the host's mounts are shared the
// kernel repeats that one mount in other namespaces, and takes it away from
// there again with ours; of all that is mounted on top they see nothing.
//
// mounting is told the ids of the copy and of the tree (Unmount) before either
// is to be seen.
func (r *Root) shield(mounting func(ids []uint64) error) error {
	copied, err := r.openTree(r.cfg.Rootfs.Path, false)
	if err != nil {
		return err
	}
	defer unix.Close(copied)
	var ids []uint64
	for _, fd := range []int{copied, r.fd} {
		id, err := mountID(fd)
		if err != nil {
			return err
		}
		ids = append(ids, id)
	}
	if err := mounting(ids); err != nil {
		return err
	}
	place, err := r.rootPlace()
	if err != nil {
		return err
	}
	defer unix.Close(place)
	if err := r.in.MoveMount(copied, place); err != nil {
		return err
	}
	return r.in.MountSetattr(copied, 0, unix.MountAttr{Propagation: unix.MS_PRIVATE})
}

// chroot makes the rootfs the root of the child alone. Unlike after a change
// of the namespace's root, a process with CAP_SYS_CHROOT can leave it.
func (r *Root) chroot() error {
	if err := r.in.Chroot("."); err != nil {
		return err
	}
	return r.in.Chdir("/")
}

// Unmount takes away the mounts on a path that have these ids, the last one
// first, and all that is mounted below them. Those that are gone, or lie in
// another mount namespace, are nobody's concern any more.
func Unmount(path string, ids []uint64) error {
	for _, id := range slices.Backward(ids) {
		here, err := isMounted(id)
		if err != nil {
			return err
		}
		if !here {
			continue
		}
		if err := unmount(path, id); err != nil {
			return fmt.Errorf("unmount %s: %w", path, err)
		}
	}
	return nil
}

func unmount(path string, id uint64) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	top, err := mountID(fd)
	if err != nil {
		return err
	}
	if top != id {
		return errors.New("something else is mounted on it since")
	}
	return unix.Unmount("/proc/self/fd/"+strconv.Itoa(fd), unix.MNT_DETACH)
}

// mountID is that of the mount which an fd lies in, the first field of its
// line in /proc/self/mountinfo.
func mountID(fd int) (uint64, error) {
	var st unix.Statx_t
	if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &st); err != nil {
		return 0, fmt.Errorf("statx: %w", err)
	}
	return st.Mnt_id, nil
}

func isMounted(id uint64) (bool, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return false, err
	}
	start := strconv.FormatUint(id, 10) + " "
	return strings.HasPrefix(string(data), start) || strings.Contains(string(data), "\n"+start), nil
}
