package cgroups

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/mocker-runtime/mocker/libcontainer/devcg"
	oci "github.com/opencontainers/cgroups"
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
	m, res, err := c.manager(c.res)
	if err != nil {
		return err
	}
	if err := m.Apply(-1); err != nil {
		return limitError("prepare cgroup", err)
	}
	if !c.res.SkipDevices {
		_ = devcg.Clear(c.paths["devices"]) // it cannot be if cgroups are below it
	}
	if err := c.setDevices(c.res); err != nil {
		return err
	}
	if err := m.Set(res); err != nil {
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

// manager is the library's for v1, and what it is to set: all but the rules
// for devices. It changes what it is given, so that is a copy.
func (c *Cgroup) manager(given *oci.Resources) (m *fs.Manager, res *oci.Resources, err error) {
	copied := *given
	copied.SkipDevices, copied.Devices = true, nil
	// It is given the paths: that of a cgroup is not used.
	m, err = fs.NewManager(&oci.Cgroup{Path: "/", Resources: &copied}, c.Paths())
	return m, &copied, err
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

// setDevices puts rules for devices in the place of those that there are.
func (c *Cgroup) setDevices(res *oci.Resources) error {
	if res.SkipDevices {
		return nil
	}
	var err error
	if c.unified() {
		err = devcg.Attach(c.paths[""], res.Devices)
	} else {
		err = plain(devcg.Write(c.paths["devices"], res.Devices))
	}
	if err != nil {
		return fmt.Errorf("linux.resources.devices: %w", err)
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
