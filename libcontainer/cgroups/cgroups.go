// Package cgroups makes, limits, fills, empties and removes the cgroups of
// one container: one directory on cgroup v2, one per hierarchy on v1, and
// both kinds on a hybrid machine (cgroups(7)).
//
// It acts on the host's side only, below /sys/fs/cgroup. The limits of v1 are
// written by github.com/opencontainers/cgroups, the rules for devices by devcg;
// the limits of v2 (settings.go), where the directories are, that they get
// their controllers, that concurrent containers do not trip over each other in
// the parent which they share, and that everything goes away again, is done
// here. It mounts nothing, talks to no systemd, and does not judge a limit:
// that is the kernel's part.
package cgroups

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mocker-runtime/mocker/libcontainer/config"
	oci "github.com/opencontainers/cgroups"
	"golang.org/x/sys/unix"
)

const (
	// mountpoint is where every distribution mounts them, and the only
	// place where github.com/opencontainers/cgroups writes without checks
	// of its own.
	mountpoint = "/sys/fs/cgroup"

	// hybrid is the place of the v2 tree beside v1 hierarchies, by
	// systemd's convention.
	hybrid = mountpoint + "/unified"

	// defaultParent holds the containers whose config.json has no
	// cgroupsPath. It is mocker's by its name: it comes with the first of
	// them and goes with the last.
	defaultParent = "mocker"
)

// Cgroup is the set of directories that make up a container's cgroup.
type Cgroup struct {
	// paths has one directory per controller under v1's names ("memory",
	// "name=systemd"), several of which may be mounted together and so
	// share a directory; and the one of v2 under "".
	paths  map[string]string
	res    *oci.Resources // nil after FromPaths
	parent string         // name of the parent to remove when it is empty
	found  []string       // directories that were there before, and stay

	kernelTCP int64 // config.Cgroup.KernelTCP

	// delegate is where below the v2 directory the processes live; "": in it.
	delegate string

	rootless bool // what may not be made is gone without
}

// Open decides where the cgroup of a container is going to be. It makes
// nothing. Errors name the member of config.json that cannot be fulfilled: a
// path that is a root, a limit whose controller this machine does not have,
// or a cgroup that already holds processes, of which Destroy would otherwise
// rob their owner.
//
// For an ordinary user (rootless) the default is beside or below mocker's own
// cgroup, where one may have been delegated; see forgo.
func Open(cfg config.Cgroup, id string, rootless bool) (*Cgroup, error) {
	path := cfg.Path
	switch {
	case path == "" && rootless:
		path = defaultParent + "-" + id
	case path == "":
		path = "/" + defaultParent + "/" + id
	}
	paths, err := locate(path)
	if err != nil && !rootless {
		return nil, err
	}
	c := &Cgroup{paths: paths, parent: defaultParent, delegate: cfg.Delegate, rootless: rootless}
	if c.delegate != "" && !c.unified() {
		return nil, fmt.Errorf("annotations.run.oci.delegate-cgroup: %q: a cgroup can be delegated only where cgroup v2 is all there is", c.delegate)
	}
	given := withRules(cfg.Resources, cfg.Always)
	if rootless {
		// In a user namespace nobody can make a device node: there is nothing
		// for the rules to forbid.
		copied := *given
		copied.SkipDevices = true
		given = &copied
	}
	if err != nil {
		return c, c.forgo("", err, given)
	}
	if c.res, err = resolve(given, paths); err != nil {
		return nil, err
	}
	if err := c.checkKernelTCP(cfg.KernelTCP); err != nil {
		return nil, err
	}
	for _, dir := range c.dirs() {
		if !exists(dir) {
			continue
		}
		if err := checkEmpty(dir); err != nil {
			return nil, err
		}
		if cfg.Path != "" {
			c.found = append(c.found, dir)
		}
	}
	return c, nil
}

// Found lists the directories that somebody else had made before Make. By
// default there are none: the cgroup is mocker's by its name.
func (c *Cgroup) Found() []string { return c.found }

// Keep has Destroy leave directories that Found has named: delete is not to
// remove what create did not make (runtime.md, "Delete").
func (c *Cgroup) Keep(found []string) { c.found = found }

// FromPaths is the cgroup whose Paths have been saved, to look after, empty
// and remove it. It refuses paths that Paths never returns: the root of a
// hierarchy above all, for KillAll would take the machine down.
func FromPaths(paths map[string]string) (*Cgroup, error) {
	c := &Cgroup{paths: maps.Clone(paths), parent: defaultParent}
	for name, dir := range paths {
		rel, below := strings.CutPrefix(dir, mountpoint+"/")
		inside := below && filepath.Clean(dir) == dir
		if !c.unified() {
			inside = inside && strings.Contains(rel, "/")
		}
		if !inside {
			return nil, fmt.Errorf("saved cgroup path %q of controller %q: not a cgroup below a root in %s", dir, name, mountpoint)
		}
	}
	return c, nil
}

// Paths returns the directories by controller; see [FromPaths]. They are
// known before Make, so that what a killed Make leaves can be removed.
func (c *Cgroup) Paths() map[string]string {
	return maps.Clone(c.paths)
}

// unified says whether the container has a directory on v2 and none on v1.
func (c *Cgroup) unified() bool {
	dir, ok := c.paths[""]
	return ok && len(c.paths) == 1 && !strings.HasPrefix(dir, hybrid+"/")
}

// dirs lists each directory once, that of v2 first.
func (c *Cgroup) dirs() []string {
	v2 := c.paths[""]
	var dirs []string
	for _, name := range slices.Sorted(maps.Keys(c.paths)) {
		if dir := c.paths[name]; dir != v2 {
			dirs = append(dirs, dir)
		}
	}
	slices.Sort(dirs)
	dirs = slices.Compact(dirs)
	if v2 != "" {
		dirs = slices.Insert(dirs, 0, v2)
	}
	return dirs
}

// FD opens the directory of the v2 tree for CLONE_INTO_CGROUP of clone3(2).
// On a machine without that tree it returns nil and no error.
func (c *Cgroup) FD() (*os.File, error) {
	dir := c.home()
	if dir == "" {
		return nil, nil
	}
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open cgroup %s: %w", dir, err)
	}
	return os.NewFile(uintptr(fd), dir), nil
}

// Hierarchy is one of the trees that a mount of type "cgroup" shows to the
// container.
type Hierarchy struct {
	Name  string   // directory below /sys/fs/cgroup: "memory", "cpu,cpuacct", "systemd", "unified"; "" where v2 is all there is
	Dir   string   // the container's cgroup in it, on the host
	V2    bool     // its file system is cgroup2
	Links []string // names that lead to Name too: its controllers where it has several
}

// Hierarchies lists the trees in which the container has a cgroup, by name.
func (c *Cgroup) Hierarchies() []Hierarchy {
	if c.unified() {
		return []Hierarchy{{Dir: c.home(), V2: true}}
	}
	var list []Hierarchy
	for _, dir := range c.dirs() {
		name, _, _ := strings.Cut(strings.TrimPrefix(dir, mountpoint+"/"), "/")
		h := Hierarchy{Name: name, Dir: dir, V2: dir == c.paths[""]}
		for controller, other := range c.paths {
			link := strings.TrimPrefix(controller, oci.CgroupNamePrefix)
			if other == dir && link != name && link != "" {
				h.Links = append(h.Links, link)
			}
		}
		slices.Sort(h.Links)
		list = append(list, h)
	}
	slices.SortFunc(list, func(a, b Hierarchy) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// DefaultPaths are the [Cgroup.Paths] of a container of this id whose
// config.json has no cgroupsPath.
func DefaultPaths(id string) (map[string]string, error) {
	return locate("/" + defaultParent + "/" + id)
}
