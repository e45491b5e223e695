package cgroups

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	oci "github.com/opencontainers/cgroups"
	_ "github.com/opencontainers/cgroups/devices" // gives v1's manager and DevicesSetV2 their rules
	devices "github.com/opencontainers/cgroups/devices/config"
	"github.com/opencontainers/cgroups/fs"
	"golang.org/x/sys/unix"
)

// tries bounds the loops that lose a race against the removal of the shared
// parent; each turn needs another container to end at that very moment.
const tries = 100

// Make creates the directories and sets the limits, before any process is
// there. When it fails it removes what it has made, and Destroy has nothing
// left to do.
func (c *Cgroup) Make() error {
	if err := c.checkPlace(); err != nil {
		return err
	}
	made, err := c.makeDirs()
	if err == nil {
		err = c.configure()
	}
	if err == nil {
		return nil
	}
	if c.delegate != "" {
		_ = c.Destroy() // with what is below it
	}
	for _, dir := range slices.Backward(made) {
		// A parent that another container has settled in meanwhile stays.
		_ = unix.Rmdir(dir)
	}
	c.paths = nil
	return err
}

// checkPlace refuses what can be known before there is a directory: a place
// on cgroup v2 that nobody can live in, or that a controller does not get to.
func (c *Cgroup) checkPlace() error {
	if !c.unified() {
		return nil
	}
	if err := c.checkType(); err != nil {
		return err
	}
	if err := checkLeaf(c.paths[""]); err != nil {
		return err
	}
	if err := handOnTo(c.paths[""]); err != nil {
		return err
	}
	return c.checkControllers()
}

// makeDirs creates every directory before anything is written, for a parent
// cannot vanish any more once it has a child. It returns what it has made,
// parents first, on errors too.
func (c *Cgroup) makeDirs() (made []string, err error) {
	for _, dir := range c.dirs() {
		dirs, err := c.makeOne(dir)
		made = append(made, dirs...)
		if err != nil {
			return made, err
		}
	}
	return made, nil
}

// makeDir is mkdir -p. Each turn starts again from where something exists,
// as another container may end at any time and take the parent with it.
func makeDir(dir string) (made []string, err error) {
	list := []string{dir} // most of the time the parent is there
	for range tries {
		for _, d := range list {
			err = os.Mkdir(d, 0o755)
			if errors.Is(err, os.ErrExist) {
				err = nil
			} else if err == nil {
				made = append(made, d)
			}
			if err != nil {
				break
			}
		}
		if !errors.Is(err, os.ErrNotExist) {
			break
		}
		list = missing(dir)
	}
	if err != nil {
		return made, fmt.Errorf("create cgroup: %w", err)
	}
	return made, nil
}

// missing lists dir and those of its parents that have to be made, parents
// first. It holds dir in any case, so that mkdir has the last word.
func missing(dir string) []string {
	list := []string{dir}
	for d := filepath.Dir(dir); d != mountpoint && d != "/"; d = filepath.Dir(d) {
		if _, err := os.Lstat(d); err == nil {
			break
		}
		list = append(list, d)
	}
	slices.Reverse(list)
	return list
}

// checkEmpty refuses a cgroup that has processes. Two containers in one
// cgroup would share limits, and the end of one would be the end of both.
func checkEmpty(dir string) error {
	pids, err := pidsBelow(dir)
	if err != nil {
		return fmt.Errorf("look into cgroup %s: %w", dir, err)
	}
	if len(pids) > 0 {
		return fmt.Errorf("container's cgroup is not empty: %s has %d process(es), the first is %d", dir, len(pids), pids[0])
	}
	return nil
}

// configure sets the limits, and the rules for devices.
func (c *Cgroup) configure() error {
	switch {
	case len(c.paths) == 0:
		return nil
	case c.unified():
		return c.configureV2()
	}
	cg := &oci.Cgroup{Path: "/", Resources: c.res} // the manager is given the paths: this one is not used
	m, err := fs.NewManager(cg, c.Paths())
	if err != nil {
		return err
	}
	if err := m.Apply(-1); err != nil {
		return limitError("prepare cgroup", err)
	}
	c.allowInOrder()
	if err := m.Set(c.res); err != nil {
		return limitError("set limits", err)
	}
	if c.kernelTCP == 0 {
		return nil
	}
	if err := oci.WriteFile(c.paths["memory"], "memory.kmem.tcp.limit_in_bytes", strconv.FormatInt(c.kernelTCP, 10)); err != nil {
		return limitError("set limits", err)
	}
	return nil
}

// allowInOrder writes rules that allow something in the order in which they
// are given, before the manager comes, which sorts them: the kernel lists them
// as they were written, and who reads devices.list looks for config.json's
// first. What the rules mean is the manager's business: it finds these in the
// list, adds what is missing and takes away what is too much, and nobody
// lives in the cgroup yet. A list in which something is denied after something
// was allowed is left to it altogether, and so is an error.
func (c *Cgroup) allowInOrder() {
	if c.res.SkipDevices {
		return
	}
	rules := c.res.Devices
	first := slices.IndexFunc(rules, func(r *devices.Rule) bool { return r.Allow })
	if first < 1 || slices.ContainsFunc(rules[first:], func(r *devices.Rule) bool { return !r.Allow || r.Type == devices.WildcardDevice }) {
		return
	}
	dir := c.paths["devices"]
	for i, rule := range rules[first-1:] {
		file, text := "devices.allow", rule.CgroupString()
		if i == 0 {
			if rule.Type != devices.WildcardDevice {
				return
			}
			file, text = "devices.deny", "a"
		}
		if oci.WriteFile(dir, file, text) != nil {
			return
		}
	}
}

func (c *Cgroup) configureV2() error {
	if err := handOnTo(c.paths[""]); err != nil {
		return err
	}
	if err := c.checkControllers(); err != nil {
		return err
	}
	list, err := settings(c.res, c.paths[""])
	if err != nil {
		return err
	}
	if err := c.write(list); err != nil {
		return err
	}
	if err := c.setDevices(c.res); err != nil {
		return err
	}
	return c.makeHome()
}

// setDevices loads the rules for devices as a BPF program of the v2 cgroup,
// in the place of the one that was there: there is no moment without either
// (BPF_F_REPLACE).
func (c *Cgroup) setDevices(res *oci.Resources) error {
	if res.SkipDevices {
		return nil
	}
	// The library lifts the limit of locked memory, which no kernel that mocker
	// runs on needs, and the container would inherit it.
	var locked unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &locked); err != nil {
		return fmt.Errorf("look up RLIMIT_MEMLOCK: %w", err)
	}
	err := oci.DevicesSetV2(c.paths[""], res)
	if left := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &locked); left != nil {
		err = errors.Join(err, fmt.Errorf("restore RLIMIT_MEMLOCK: %w", left))
	}
	if err != nil {
		return fmt.Errorf("linux.resources.devices: load the rules into %s: %w", c.paths[""], err)
	}
	return nil
}

// Tasks opens the file of each v1 hierarchy through which a process of one
// thread attaches itself, by writing "0" to it. On v2 there is none: a process
// is born there, see [Cgroup.FD]. The caller closes them.
//
// Writing to "tasks" about oneself is the one way in that takes no lock on
// all forks and exits of the machine, for which each write to "cgroup.procs"
// waits an RCU grace period, some 10 ms (cgroup_procs_write_start in the
// kernel's cgroup.c).
func (c *Cgroup) Tasks() ([]*os.File, error) {
	var files []*os.File
	for _, dir := range c.dirs() {
		if dir == c.paths[""] {
			continue
		}
		f, err := oci.OpenFile(dir, "tasks", os.O_WRONLY)
		if err != nil {
			for _, f := range files {
				_ = f.Close()
			}
			return nil, fmt.Errorf("open cgroup: %w", err)
		}
		files = append(files, f)
	}
	return files, nil
}
