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
	tmpfs, err := r.mountAt("tmpfs", "tmpfs", r.withLabel("tmpfs", []string{"mode=755"}), m.Set&^unix.MOUNT_ATTR_RDONLY, place)
	if err != nil {
		return err
	}
	if err := r.mountHierarchies(tmpfs, m); err != nil {
		unix.Close(tmpfs)
		return err
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

// mountHierarchies makes a directory for each hierarchy, and shows it there.
func (r *Root) mountHierarchies(tmpfs int, m *config.Mount) error {
	failed := func(i int, err error) error {
		return fmt.Errorf("cgroup hierarchy %s: %w", r.cgroups[i].Name, err)
	}
	var names []string
	for _, dir := range r.cgroups {
		names = append(names, dir.Name)
	}
	places, err := r.in.MakePlaces(tmpfs, names, 0o755, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_XDEV)
	defer closeAll(places)
	if err != nil {
		return failed(min(len(places), len(names)-1), err)
	}
	var trees []int
	defer func() { closeAll(trees) }()
	for i, dir := range r.cgroups {
		tree, err := r.copyCgroup(dir.Dir, m)
		if err != nil {
			return failed(i, err)
		}
		trees = append(trees, tree)
	}
	if i, err := r.in.MoveMounts(trees, places); err != nil {
		return failed(min(i, len(names)-1), err)
	}
	for i, dir := range r.cgroups {
		for _, link := range dir.Links {
			if err := r.in.Symlinkat(dir.Name, tmpfs, link); err != nil && !errors.Is(err, unix.EEXIST) {
				return failed(i, err)
			}
		}
	}
	return nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

func (r *Root) attachCopy(dir string, place int, m *config.Mount) error {
	tree, err := r.copyCgroup(dir, m)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	return r.in.MoveMount(tree, place)
}

// copyCgroup copies the host's mount from a cgroup down, with the attributes
// that m asks for.
func (r *Root) copyCgroup(dir string, m *config.Mount) (int, error) {
	tree, err := r.openTree(dir, false)
	if err != nil {
		return -1, err
	}
	all := unix.MountAttr{Attr_set: m.RecSet, Attr_clr: m.RecClear, Propagation: unix.MS_PRIVATE}
	err = r.setattr(tree, 0, all)
	if err == nil {
		err = r.setattr(tree, 0, unix.MountAttr{Attr_set: m.Set, Attr_clr: m.Clear})
	}
	if err == nil {
		err = setPropagation(m.Propagation, func(flags int, attr unix.MountAttr) error { return r.setattr(tree, flags, attr) })
	}
	if err != nil {
		unix.Close(tree)
		return -1, err
	}
	return tree, nil
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
