package rootfs

import (
	"errors"
	"fmt"
	"path"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
	"github.com/mocker-runtime/mocker/libcontainer/inside"
)

// links are those that config-linux.md, "Default Devices" and "Dev symbolic
// links", ask for, and /dev/core as runc makes it.
var links = [...]inside.Link{
	{Name: "fd", Target: "/proc/self/fd"},
	{Name: "stdin", Target: "/proc/self/fd/0"},
	{Name: "stdout", Target: "/proc/self/fd/1"},
	{Name: "stderr", Target: "/proc/self/fd/2"},
	{Name: "core", Target: "/proc/kcore"},
}

// Devices makes the device nodes, /dev/ptmx and the links of /dev. A /dev
// that is bound from the host is left as it is.
func (r *Root) Devices() error {
	for _, m := range r.cfg.Mounts {
		if m.Destination == "/dev" && m.Type == "bind" {
			return nil
		}
	}
	made, err := r.devices()
	if err != nil {
		return err
	}
	for i := made; i < len(r.cfg.Devices); i++ {
		if err := r.device(&r.cfg.Devices[i]); err != nil {
			return fmt.Errorf("device %s: %w", r.cfg.Devices[i].Path, err)
		}
	}
	parent, _, err := r.parent("/dev/" + links[0].Name)
	if err != nil {
		return fmt.Errorf("link /dev/%s: %w", links[0].Name, err)
	}
	defer unix.Close(parent)
	list := links[:]
	if there, err := r.exists("/proc/kcore"); err != nil {
		return fmt.Errorf("link /dev/core: %w", err)
	} else if !there {
		list = list[:len(list)-1] // a kernel without it, as runc leaves it out
	}
	if done, err := r.in.Symlinksat(parent, list); err != nil {
		return fmt.Errorf("link /dev/%s: %w", list[min(done, len(list)-1)].Name, err)
	}
	return r.ptmx(parent)
}

// devices makes in one go what it can of those that come first: root's, in one
// directory, up to the first that is there already or may not be made. It says
// how many; what is to be done about the others device knows.
func (r *Root) devices() (made int, err error) {
	var dir string
	var nodes []inside.Node
	for _, d := range r.cfg.Devices {
		at, name := path.Split(path.Clean(d.Path))
		if len(nodes) > 0 && at != dir || d.UID != 0 || d.GID != 0 || len(nodes) == maxNodes {
			break
		}
		dir = at
		nodes = append(nodes, inside.Node{Name: name, Mode: d.Mode, Dev: unix.Mkdev(d.Major, d.Minor)})
	}
	if len(nodes) < 2 {
		return 0, nil
	}
	parent, err := r.place(dir, true)
	if err != nil {
		return 0, nil // device says it, with the path
	}
	defer unix.Close(parent)
	made, err = r.in.Mknodsat(parent, nodes)
	if err != nil && !errors.Is(err, unix.EEXIST) && !errors.Is(err, unix.EPERM) {
		return made, fmt.Errorf("device %s: %w", r.cfg.Devices[min(made, len(nodes)-1)].Path, err)
	}
	return made, nil
}

// maxNodes bounds what devices makes.
const maxNodes = 64

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
		var st unix.Stat_t
		if st, err = r.stat(parent, name); err != nil {
			return err
		}
		// What bindDevice has made for the last container of this root.
		if st.Mode&unix.S_IFMT == unix.S_IFREG && st.Size == 0 && r.noNodes() {
			return r.bindDevice(d, dev)
		}
		err = sameDevice(&st, d.Mode, dev)
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

// noNodes says that no device node can be made here: in a user namespace.
func (r *Root) noNodes() bool {
	return r.cfg.Has(unix.CLONE_NEWUSER) || r.unprivileged()
}

// stat looks at what name is in a directory, a link itself.
func (r *Root) stat(parent int, name string) (st unix.Stat_t, err error) {
	fd, err := r.in.Openat2(parent, name, unix.O_PATH|unix.O_NOFOLLOW, 0, unix.RESOLVE_BENEATH)
	if err != nil {
		return st, err
	}
	defer unix.Close(fd)
	if err := unix.Fstat(fd, &st); err != nil {
		return st, fmt.Errorf("stat %s: %w", name, err)
	}
	return st, nil
}

// sameDevice accepts a node that is there already if it is the one wanted.
func sameDevice(st *unix.Stat_t, mode uint32, dev uint64) error {
	if st.Mode&unix.S_IFMT != mode&unix.S_IFMT || (mode&unix.S_IFMT != unix.S_IFIFO && st.Rdev != dev) {
		return fmt.Errorf("something else is there (mode %#o, device %d:%d): %w",
			st.Mode, unix.Major(st.Rdev), unix.Minor(st.Rdev), unix.EEXIST)
	}
	return nil
}

// exists reports whether a path of the container leads to something. An error
// is one that says nothing of it: no descriptor left, no memory.
func (r *Root) exists(p string) (bool, error) {
	fd, err := r.open(p, unix.O_PATH)
	switch {
	case err == nil:
		unix.Close(fd)
		return true, nil
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP), errors.Is(err, unix.EACCES):
		return false, nil
	}
	return false, err
}

// ptmx makes /dev/ptmx the one of the container's own devpts, whatever the
// image has there.
func (r *Root) ptmx(dev int) error {
	err := r.in.Symlinkat("pts/ptmx", dev, "ptmx")
	if errors.Is(err, unix.EEXIST) {
		if err := r.in.Unlinkat(dev, "ptmx", 0); err != nil {
			return fmt.Errorf("replace /dev/ptmx: %w", err)
		}
		err = r.in.Symlinkat("pts/ptmx", dev, "ptmx")
	}
	return err
}
