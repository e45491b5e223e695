package rootfs

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

// links are those that config-linux.md, "Default Devices" and "Dev symbolic
// links", ask for, and /dev/core as runc makes it.
var links = [...]struct{ name, target string }{
	{"/dev/fd", "/proc/self/fd"},
	{"/dev/stdin", "/proc/self/fd/0"},
	{"/dev/stdout", "/proc/self/fd/1"},
	{"/dev/stderr", "/proc/self/fd/2"},
	{"/dev/core", "/proc/kcore"},
}

// Devices makes the device nodes, /dev/ptmx and the links of /dev. A /dev
// that is bound from the host is left as it is.
func (r *Root) Devices() error {
	for _, m := range r.cfg.Mounts {
		if m.Destination == "/dev" && m.Type == "bind" {
			return nil
		}
	}
	for i := range r.cfg.Devices {
		if err := r.device(&r.cfg.Devices[i]); err != nil {
			return fmt.Errorf("device %s: %w", r.cfg.Devices[i].Path, err)
		}
	}
	for _, l := range links {
		if l.name == "/dev/core" && !r.exists(l.target) {
			continue // a kernel without it, as runc leaves it out
		}
		if err := r.link(l.name, l.target); err != nil {
			return fmt.Errorf("link %s: %w", l.name, err)
		}
	}
	return r.ptmx()
}

func (r *Root) device(d *config.Device) error {
	parent, name, err := r.parent(d.Path)
	if err != nil {
		return err
	}
	defer unix.Close(parent)
	dev := unix.Mkdev(d.Major, d.Minor)
	err = r.in.Mknodat(parent, name, d.Mode, dev)
	if errors.Is(err, unix.EPERM) && d.Mode&unix.S_IFMT != unix.S_IFIFO {
		return r.bindDevice(d, dev)
	}
	if errors.Is(err, unix.EEXIST) {
		err = r.sameDevice(parent, name, d.Mode, dev)
	}
	if err != nil {
		return err
	}
	if d.UID == 0 && d.GID == 0 {
		return nil
	}
	return r.in.Fchownat(parent, name, int(d.UID), int(d.GID))
}

// bindDevice mounts the host's node of the same path, where a new one may not
// be made: in a user namespace. Its owner and mode are the host's, whose inode
// it is.
func (r *Root) bindDevice(d *config.Device, dev uint64) error {
	tree, err := r.openTree(d.Path, false)
	if err != nil {
		return fmt.Errorf("mknod is not permitted, and the host's node cannot be had: %w", err)
	}
	defer unix.Close(tree)
	var st unix.Stat_t
	if err := unix.Fstat(tree, &st); err != nil {
		return fmt.Errorf("stat: %w", err)
	}
	if st.Mode&unix.S_IFMT != d.Mode&unix.S_IFMT || st.Rdev != dev {
		return fmt.Errorf("mknod is not permitted, and the host's node is another one (device %d:%d): %w",
			unix.Major(st.Rdev), unix.Minor(st.Rdev), unix.EPERM)
	}
	if err := r.setattr(tree, 0, unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC, Propagation: unix.MS_PRIVATE}); err != nil {
		return err
	}
	place, err := r.place(d.Path, false)
	if err != nil {
		return err
	}
	defer unix.Close(place)
	return r.in.MoveMount(tree, place)
}

// sameDevice accepts a node that is there already if it is the one wanted.
func (r *Root) sameDevice(parent int, name string, mode uint32, dev uint64) error {
	fd, err := r.in.Openat2(parent, name, unix.O_PATH|unix.O_NOFOLLOW, 0, unix.RESOLVE_BENEATH)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("stat %s: %w", name, err)
	}
	if st.Mode&unix.S_IFMT != mode&unix.S_IFMT || (mode&unix.S_IFMT != unix.S_IFIFO && st.Rdev != dev) {
		return fmt.Errorf("something else is there (mode %#o, device %d:%d): %w",
			st.Mode, unix.Major(st.Rdev), unix.Minor(st.Rdev), unix.EEXIST)
	}
	return nil
}

// exists reports whether a path of the container leads to something.
func (r *Root) exists(p string) bool {
	fd, err := r.open(p, unix.O_PATH)
	if err == nil {
		unix.Close(fd)
	}
	return err == nil
}

// link makes a symbolic link; one that is there already stays.
func (r *Root) link(p, target string) error {
	parent, name, err := r.parent(p)
	if err != nil {
		return err
	}
	defer unix.Close(parent)
	if err := r.in.Symlinkat(target, parent, name); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	return nil
}

// ptmx makes /dev/ptmx the one of the container's own devpts, whatever the
// image has there.
func (r *Root) ptmx() error {
	parent, name, err := r.parent("/dev/ptmx")
	if err != nil {
		return err
	}
	defer unix.Close(parent)
	err = r.in.Symlinkat("pts/ptmx", parent, name)
	if errors.Is(err, unix.EEXIST) {
		if err := r.in.Unlinkat(parent, name, 0); err != nil {
			return fmt.Errorf("replace /dev/ptmx: %w", err)
		}
		err = r.in.Symlinkat("pts/ptmx", parent, name)
	}
	return err
}
