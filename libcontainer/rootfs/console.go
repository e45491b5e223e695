package rootfs

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/inside"
)

// Console opens a terminal of the container's own, puts it on /dev/console
// and returns both its ends.
func (r *Root) Console() (master, slave *os.File, err error) {
	master, slave, err = Terminal(r.in, r.fd)
	if err != nil {
		return nil, nil, err
	}
	if err := r.mountConsole(slave); err != nil {
		master.Close()
		slave.Close()
		return nil, nil, err
	}
	return master, slave, nil
}

// Terminal opens a terminal of the devpts on /dev/pts below root, the root of
// a container, and returns both its ends. The peer is asked of the master
// (TIOCGPTPEER), never opened by its name, which the container may have
// covered (CVE-2025-52565).
func Terminal(in *inside.Child, root int) (master, slave *os.File, err error) {
	fd, err := in.Openat2(root, "dev/pts/ptmx", unix.O_RDWR|unix.O_NOCTTY, 0, inRoot)
	if err != nil {
		return nil, nil, fmt.Errorf("in the container, %w (a terminal needs a devpts on /dev/pts)", err)
	}
	if err := checkPtmx(fd); err != nil {
		unix.Close(fd)
		return nil, nil, err
	}
	master = os.NewFile(uintptr(fd), "/dev/ptmx")
	if slave, err = peer(in, fd); err != nil {
		master.Close()
		return nil, nil, err
	}
	return master, slave, nil
}

func checkPtmx(fd int) error {
	var fs unix.Statfs_t
	var st unix.Stat_t
	if err := unix.Fstatfs(fd, &fs); err != nil || fs.Type != unix.DEVPTS_SUPER_MAGIC {
		return fmt.Errorf("the container's /dev/pts is not a devpts")
	}
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != unix.Mkdev(5, 2) {
		return fmt.Errorf("the container's /dev/pts/ptmx is not a terminal multiplexer")
	}
	return nil
}

func peer(in *inside.Child, master int) (*os.File, error) {
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		return nil, fmt.Errorf("unlock the terminal: %w", err)
	}
	number, err := unix.IoctlGetUint32(master, unix.TIOCGPTN)
	if err != nil {
		return nil, fmt.Errorf("ask the terminal for its number: %w", err)
	}
	fd, err := in.Ioctl(master, "TIOCGPTPEER", unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("open the terminal's other end: %w", err)
	}
	return os.NewFile(uintptr(fd), fmt.Sprintf("/dev/pts/%d", number)), nil
}

// mountConsole puts the terminal on /dev/console.
func (r *Root) mountConsole(slave *os.File) error {
	place, err := r.consolePlace()
	if err != nil {
		return fmt.Errorf("make /dev/console: %w", err)
	}
	defer unix.Close(place)
	tree, err := r.in.OpenTree(int(slave.Fd()), "", unix.OPEN_TREE_CLONE|unix.AT_EMPTY_PATH)
	if err != nil {
		return fmt.Errorf("open_tree %s: %w", slave.Name(), err)
	}
	defer unix.Close(tree)
	return r.in.MoveMount(tree, place)
}

// consolePlace is /dev/console: the one file that a link must not lead away
// from, not even inside the root (CVE-2026-88264).
func (r *Root) consolePlace() (int, error) {
	parent, name, err := r.parent("/dev/console")
	if err != nil {
		return -1, err
	}
	defer unix.Close(parent)
	if err := r.touch(parent, name); err != nil && !errors.Is(err, unix.EEXIST) {
		return -1, err
	}
	return r.in.Openat2(parent, name, unix.O_PATH|unix.O_NOFOLLOW, 0, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_SYMLINKS)
}
