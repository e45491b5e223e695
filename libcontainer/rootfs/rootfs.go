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
// in the host's mount namespace; everything that takes the container's
// identity goes through its inside.Child. The package decides nothing about
// the order in which its parts stand in a create; libcontainer does.
package rootfs

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
	"github.com/mocker-runtime/mocker/libcontainer/inside"
)

// inRoot keeps a path of the container in the container.
const inRoot = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS

// Root is a root file system in the making.
type Root struct {
	in      *inside.Child
	cfg     *config.Config
	cgroups []CgroupDir

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

// New turns cfg's rootfs into a mount of the child's mount namespace and
// opens it. Nothing that happens there reaches the host from then on.
func New(in *inside.Child, cfg *config.Config, cgroups []CgroupDir) (*Root, error) {
	r := &Root{in: in, cfg: cfg, cgroups: cgroups, fd: -1, null: cover{fd: -1}, empty: cover{fd: -1}}
	if err := in.SetPropagation("/", unix.MS_SLAVE|unix.MS_REC); err != nil {
		return nil, fmt.Errorf("make the mounts of the new namespace slaves: %w", err)
	}
	tree, err := openTree(cfg.Rootfs.Path, true)
	if err != nil {
		return nil, err
	}
	r.fd = tree
	if err := r.attachRoot(); err != nil {
		r.Close()
		return nil, fmt.Errorf("mount root %s: %w", cfg.Rootfs.Path, err)
	}
	return r, nil
}

func (r *Root) attachRoot() error {
	propagation := uint64(unix.MS_SLAVE)
	if r.cfg.Rootfs.Propagation&unix.MS_PRIVATE != 0 {
		propagation = unix.MS_PRIVATE
	}
	// Not shared, whatever was asked for: pivot_root(2) refuses a shared root.
	attr := unix.MountAttr{Propagation: propagation}
	if err := unix.MountSetattr(r.fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		return fmt.Errorf("mount_setattr: %w", err)
	}
	place, err := r.in.Openat2(unix.AT_FDCWD, r.cfg.Rootfs.Path, unix.O_PATH|unix.O_DIRECTORY, 0, 0)
	if err != nil {
		return err
	}
	defer unix.Close(place)
	return r.in.MoveMount(r.fd, place)
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

// openTree makes a detached copy of the mount at a path of the host.
func openTree(path string, recursive bool) (int, error) {
	flags := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC)
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, flags)
	if err != nil {
		return -1, fmt.Errorf("open_tree %s: %w", path, err)
	}
	return fd, nil
}
