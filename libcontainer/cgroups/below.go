package cgroups

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Below is the cgroup to put one more process of the container into: the
// container's own, or existing ones below it. sub has their paths by
// controller; that of "" is for all controllers. A controller that is not
// named keeps the process in the container's own cgroup.
//
// It is for FD and Tasks alone; nothing is made or removed.
func (c *Cgroup) Below(sub map[string]string) (*Cgroup, error) {
	subs, err := c.byDir(sub)
	if err != nil {
		return nil, err
	}
	b := &Cgroup{paths: maps.Clone(c.paths)}
	for name, dir := range c.paths {
		sub := subs[dir]
		dir = c.homeOf(name)
		to := filepath.Join(dir, sub)
		if to != dir && !strings.HasPrefix(to, dir+"/") {
			return nil, fmt.Errorf("%q is not a sub cgroup path", sub)
		}
		if _, err := os.Stat(to); errors.Is(err, os.ErrNotExist) && name == "" && !c.unified() {
			continue // on a hybrid machine people make cgroups in v1 alone
		} else if err != nil {
			return nil, fmt.Errorf("open cgroup: %w", err)
		}
		b.paths[name] = to
	}
	return b, nil
}

// byDir turns paths by controller into paths by the container's directory:
// controllers that are mounted together have one.
func (c *Cgroup) byDir(sub map[string]string) (map[string]string, error) {
	subs := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(sub)) {
		path := sub[name]
		if name == "" {
			for _, dir := range c.paths {
				subs[dir] = path
			}
			continue
		}
		dir, ok := c.paths[name]
		if !ok {
			dir, ok = c.paths["name="+name]
		}
		if !ok {
			return nil, fmt.Errorf("the container has no cgroup of a controller %q", name)
		}
		if other, ok := subs[dir]; ok && other != path {
			return nil, fmt.Errorf("controller %q is mounted together with one that goes to %q, and cannot go to %q", name, other, path)
		}
		subs[dir] = path
	}
	return subs, nil
}

// Of is the cgroup with its v2 part replaced by the one that a process is in,
// somewhere below. A cgroup that gives controllers to others takes no
// processes of its own (cgroups(7), "no internal processes"): a container
// that manages cgroups moves its first process out of the way, and others
// have to follow.
func (c *Cgroup) Of(pid int) (*Cgroup, error) {
	file := fmt.Sprintf("/proc/%d/cgroup", pid)
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("look up the cgroup of process %d: %w", pid, err)
	}
	own := c.paths[""]
	root := mountpoint
	if !c.unified() {
		root = hybrid
	}
	for line := range strings.Lines(string(data)) {
		path, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::")
		dir := filepath.Join(root, path)
		if ok && strings.HasPrefix(dir, own+"/") {
			b := &Cgroup{paths: maps.Clone(c.paths)}
			b.paths[""] = dir
			return b, nil
		}
	}
	return nil, fmt.Errorf("look up the cgroup of process %d: it is not below %s: %w", pid, own, unix.EBUSY)
}
