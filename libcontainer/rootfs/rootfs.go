// Package rootfs makes the container's root file system: mounts, devices,
// links, the console, masked and read-only paths, and the change of root.
//
// The rootfs, the volumes and whatever they hold belong to an attacker, and
// another container may change a shared volume while mocker works in it.
// Hence no path of the container is ever resolved as a string: each one goes
// through openat2(2) from the root's fd with RESOLVE_IN_ROOT and
// RESOLVE_NO_MAGICLINKS (CVE-2021-30465, CVE-2024-45310), inodes are made
// through the fd of their parent, and mounts are made detached and attached
// to an fd. What was opened is checked to be what it claims before it is used.
//
// Sources of bind mounts are paths of the host and are opened by the parent,
// in the host's mount namespace, or where it may not by the child before the
// change of root: see openTree. Everything that takes the container's identity
// goes through its inside.Child. The package decides nothing about the order
// in which its parts stand in a create; libcontainer does.
package rootfs

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
	"github.com/mocker-runtime/mocker/libcontainer/inside"
	"github.com/mocker-runtime/mocker/libcontainer/openat2"
)

// inRoot keeps a path of the container in the container.
const inRoot = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS

// Root is a root file system in the making.
type Root struct {
	in      *inside.Child
	cfg     *config.Config
	cgroups []CgroupDir
	pidns   *os.File // pid namespace that is joined and the child not in; nil: its own
	byChild bool     // the parent may not copy mounts: the child does

	unprivileged func() bool // see Host

	fd    int        // root of the rootfs's mount, O_PATH
	proc  *Proc      // a procfs of our own
	null  cover      // the host's /dev/null, for masked files
	empty cover      // an empty read-only tmpfs, for masked directories
	late  []lateAttr // read-only tmpfs that things are still to be made in
	own   []ownPropagation
}

// CgroupDir is one hierarchy, for mounts of type cgroup.
type CgroupDir struct {
	Name  string   // of its directory below /sys/fs/cgroup; "" for the one tree of cgroup v2
	Dir   string   // the container's cgroup in it, on the host
	Links []string // other names of it, for controllers mounted together
}

type lateAttr struct {
	fd   int
	path string
	attr unix.MountAttr
}

// ownPropagation is the propagation that a mount has been given.
type ownPropagation struct {
	fd   int
	path string
	list []uintptr
}

// Host is what rootfs is given of the world outside of the container.
type Host struct {
	Cgroups []CgroupDir
	PIDNS   *os.File // the pid namespace that the container joins; nil: the child is in its own

	// Unprivileged says whether mocker itself is an ordinary user, or in a user
	// namespace.
	Unprivileged func() bool

	// Mounting is told the ids of mounts that appear on the rootfs in the
	// caller's own mount namespace, before they do: see Unmount.
	Mounting func(ids []uint64) error
}

// New turns cfg's rootfs into a mount of the child's mount namespace and
// opens it. Nothing that happens there reaches the host from then on, unless
// that namespace is the host's: then no more than the mount itself does.
func New(in *inside.Child, cfg *config.Config, host Host) (*Root, error) {
	r := &Root{in: in, cfg: cfg, cgroups: host.Cgroups, pidns: host.PIDNS, unprivileged: host.Unprivileged, fd: -1, null: cover{fd: -1}, empty: cover{fd: -1}}
	if !shares(cfg) {
		if err := in.SetPropagation("/", unix.MS_SLAVE|unix.MS_REC); err != nil {
			if errors.Is(err, unix.EPERM) {
				err = fmt.Errorf("%w (the container's user namespace does not own its mount namespace)", err)
			}
			return nil, fmt.Errorf("make the mounts of the namespace slaves: %w", err)
		}
	}
	// What lies where is then up to the namespace that is joined.
	r.byChild = cfg.PathOf(unix.CLONE_NEWNS) != ""
	tree, err := r.openTree(cfg.Rootfs.Path, true)
	if err != nil {
		return nil, err
	}
	r.fd = tree
	if shares(cfg) {
		err = r.shield(host.Mounting)
	}
	if err == nil {
		err = r.attachRoot()
	}
	if err != nil {
		err = fmt.Errorf("mount root %s: %w", cfg.Rootfs.Path, err)
	} else if len(cfg.Masked) > 0 {
		r.null.fd, err = r.openNull() // the host's, which is out of sight later
	}
	if err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *Root) attachRoot() error {
	propagation := uint64(unix.MS_SLAVE)
	if r.cfg.Rootfs.Propagation&unix.MS_PRIVATE != 0 {
		propagation = unix.MS_PRIVATE
	}
	// Not shared, whatever was asked for: pivot_root(2) refuses a shared root.
	if err := r.setattr(r.fd, unix.AT_RECURSIVE, unix.MountAttr{Propagation: propagation}); err != nil {
		return err
	}
	place, err := r.rootPlace()
	if err != nil {
		return err
	}
	defer unix.Close(place)
	return r.in.MoveMount(r.fd, place)
}

// rootPlace opens the directory that the root is mounted on, which is the
// rootfs itself. The root of a user namespace may not be allowed to walk the
// path to it; mocker is, and looks at it through the child's root.
func (r *Root) rootPlace() (int, error) {
	fd, err := r.in.Openat2(unix.AT_FDCWD, r.cfg.Rootfs.Path, unix.O_PATH|unix.O_DIRECTORY, 0, 0)
	if !errors.Is(err, unix.EACCES) || r.byChild {
		return fd, err
	}
	root, err := unix.Open(fmt.Sprintf("/proc/%d/root", r.in.PID), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open the child's root: %w", err)
	}
	defer unix.Close(root)
	fd, err = openat2.Open(root, relative(r.cfg.Rootfs.Path), unix.O_PATH|unix.O_DIRECTORY, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return -1, fmt.Errorf("open: %w", err)
	}
	return fd, nil
}

// FD is the root of the container, for openat2 with RESOLVE_IN_ROOT.
func (r *Root) FD() int { return r.fd }

// Close gives back the parent's fds; the mounts stay.
func (r *Root) Close() {
	for _, fd := range []int{r.fd, r.null.fd, r.empty.fd} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	for _, l := range r.late {
		unix.Close(l.fd)
	}
	for _, own := range r.own {
		unix.Close(own.fd)
	}
	r.fd, r.null.fd, r.empty.fd, r.late, r.own = -1, -1, -1, nil, nil
	if r.proc != nil {
		r.proc.Close()
	}
}

// openTree makes a detached copy of the mount at a path of the host. An
// ordinary user may not, but the child in its user namespace may, of the same
// mounts: there the host's attributes are locked (mount_namespaces(7)).
func (r *Root) openTree(path string, recursive bool) (int, error) {
	flags := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC)
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	if !r.byChild {
		fd, err := unix.OpenTree(unix.AT_FDCWD, path, flags)
		if err == nil {
			return fd, nil
		}
		if !errors.Is(err, unix.EPERM) {
			return -1, fmt.Errorf("open_tree %s: %w", path, err)
		}
		r.byChild = true
	}
	fd, err := r.in.OpenTree(unix.AT_FDCWD, path, uint64(flags))
	if errors.Is(err, unix.EINVAL) && !recursive {
		return -1, fmt.Errorf("%w (there are mounts below it, which a user namespace may not leave out: rbind takes them along)", err)
	}
	return fd, err
}

// setattr calls mount_setattr(2) on a copy that openTree made, if there is
// anything to change. Whoever made it may, as long as it is not attached.
func (r *Root) setattr(fd, flags int, attr unix.MountAttr) error {
	if attr == (unix.MountAttr{}) {
		return nil
	}
	var err error
	if r.byChild {
		err = r.in.MountSetattr(fd, flags, attr)
	} else if err = unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|uint(flags), &attr); err != nil {
		err = fmt.Errorf("mount_setattr: %w", err)
	}
	if errors.Is(err, unix.EPERM) && r.byChild {
		err = fmt.Errorf("%w (a user namespace may not clear what the host's mount has set)", err)
	}
	if err != nil {
		return fmt.Errorf("set %#x, clear %#x, propagation %#x: %w", attr.Attr_set, attr.Attr_clr, attr.Propagation, err)
	}
	return nil
}
