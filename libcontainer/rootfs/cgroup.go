package rootfs

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

// mountCgroup shows the container its cgroup: on cgroup v2, and where type
// cgroup2 is asked for, as one tree, on v1 and hybrid as a tmpfs with a
// directory per hierarchy.
//
// Each tree is a copy of the host's mount from the container's cgroup down.
// A new mount of cgroup2 would cost 10 ms without a cgroup namespace of its
// own and change the host's mount options with it; a copy does neither, and
// looks the same from inside a cgroup namespace.
func (r *Root) mountCgroup(m *config.Mount) error {
	if len(r.cgroups) == 0 {
		return r.mountHostCgroups(m)
	}
	for _, c := range r.cgroups {
		if c.Name == "" || c.Name == "unified" && m.Type == "cgroup2" {
			return r.mountCgroup2(m, c)
		}
	}
	if m.Type == "cgroup2" {
		return errors.New("no cgroup v2 on this machine; type cgroup gives what there is")
	}
	place, err := r.target(m, true)
	if err != nil {
		return err
	}
	defer unix.Close(place)
	tmpfs, err := r.newMount("tmpfs", "tmpfs", r.withLabel("tmpfs", []string{"mode=755"}), m.Set&^unix.MOUNT_ATTR_RDONLY)
	if err != nil {
		return err
	}
	if err := r.in.MoveMount(tmpfs, place); err != nil {
		unix.Close(tmpfs)
		return err
	}
	for _, dir := range r.cgroups {
		if err := r.mountHierarchy(tmpfs, dir, m); err != nil {
			unix.Close(tmpfs)
			return fmt.Errorf("cgroup hierarchy %s: %w", dir.Name, err)
		}
	}
	if m.Set&unix.MOUNT_ATTR_RDONLY != 0 {
		if err := r.in.MountSetattr(tmpfs, 0, unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}); err != nil {
			unix.Close(tmpfs)
			return err
		}
	}
	return r.afterAttach(tmpfs, m, false)
}

// mountHostCgroups shows a container that has no cgroup of its own those of
// the host, read-only whatever was asked for: what its user may write there
// would be the host's (CVE-2023-25809).
func (r *Root) mountHostCgroups(m *config.Mount) error {
	tree, err := r.openTree("/sys/fs/cgroup", true)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	attr := unix.MountAttr{Attr_set: m.Set | m.RecSet | unix.MOUNT_ATTR_RDONLY, Propagation: unix.MS_PRIVATE}
	if err := r.setattr(tree, unix.AT_RECURSIVE, attr); err != nil {
		return err
	}
	place, err := r.target(m, true)
	if err != nil {
		return err
	}
	defer unix.Close(place)
	return r.in.MoveMount(tree, place)
}

func (r *Root) mountHierarchy(tmpfs int, dir CgroupDir, m *config.Mount) error {
	if err := r.in.Mkdirat(tmpfs, dir.Name, 0o755); err != nil {
		return err
	}
	place, err := r.in.Openat2(tmpfs, dir.Name, unix.O_PATH|unix.O_NOFOLLOW, 0, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_XDEV)
	if err != nil {
		return err
	}
	defer unix.Close(place)
	if err := r.attachCopy(dir.Dir, place, m); err != nil {
		return err
	}
	for _, link := range dir.Links {
		if err := r.in.Symlinkat(dir.Name, tmpfs, link); err != nil && !errors.Is(err, unix.EEXIST) {
			return err
		}
	}
	return nil
}

func (r *Root) attachCopy(dir string, place int, m *config.Mount) error {
	tree, err := r.openTree(dir, false)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	all := unix.MountAttr{Attr_set: m.RecSet, Attr_clr: m.RecClear, Propagation: unix.MS_PRIVATE}
	if err := r.setattr(tree, 0, all); err != nil {
		return err
	}
	if err := r.setattr(tree, 0, unix.MountAttr{Attr_set: m.Set, Attr_clr: m.Clear}); err != nil {
		return err
	}
	if err := setPropagation(m.Propagation, func(flags int, attr unix.MountAttr) error { return r.setattr(tree, flags, attr) }); err != nil {
		return err
	}
	return r.in.MoveMount(tree, place)
}

// mountCgroup2 shows the one tree of cgroup v2: from the container's cgroup
// down in a cgroup namespace, else, where v2 is all there is, as the host has
// it, as every runtime does: what /proc/self/cgroup says is found there.
func (r *Root) mountCgroup2(m *config.Mount, c CgroupDir) error {
	place, err := r.target(m, true)
	if err != nil {
		return err
	}
	defer unix.Close(place)
	dir := c.Dir
	if c.Name == "" && !r.cfg.Has(unix.CLONE_NEWCGROUP) {
		dir = "/sys/fs/cgroup"
	}
	return r.attachCopy(dir, place, m)
}
