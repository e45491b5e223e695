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

// delegateFile lists what a cgroup is handed over with (cgroups(7), "Cgroup
// delegation files").
const delegateFile = "/sys/kernel/cgroup/delegate"

// GiveTo makes a user of the host the owner of the v2 cgroup in which the
// container's processes live, so that they can make cgroups of their own in
// it: of the directory and of the files that are meant for that, not of the
// limits (config-linux.md, "Cgroup ownership").
//
// On cgroup v1 it does nothing: there is no safe way. Nor does it where
// somebody else has made the directory, whose it stays.
func (c *Cgroup) GiveTo(uid int) error {
	if !c.unified() || uid == os.Geteuid() || c.delegate == "" && slices.Contains(c.found, c.home()) {
		return nil
	}
	files := "cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n" // before Linux 4.15
	if data, err := os.ReadFile(delegateFile); err == nil {
		files = string(data)
	}
	dir := c.home()
	for _, file := range append([]string{""}, strings.Fields(files)...) {
		path := filepath.Join(dir, file)
		err := unix.Fchownat(unix.AT_FDCWD, path, uid, -1, unix.AT_SYMLINK_NOFOLLOW)
		if errors.Is(err, unix.ENOENT) && file != "" {
			continue // of a controller that is not there
		}
		if err != nil {
			return fmt.Errorf("give %s to user %d: %w", path, uid, err)
		}
	}
	return nil
}

// In is the cgroup with its processes in a delegated one below it.
func (c *Cgroup) In(delegate string) *Cgroup {
	return &Cgroup{paths: maps.Clone(c.paths), parent: c.parent, delegate: delegate}
}

// home is the v2 directory in which processes of the container are born.
func (c *Cgroup) home() string { return c.homeOf("") }

// homeOf is home for each controller, by its name.
func (c *Cgroup) homeOf(controller string) string {
	dir := c.paths[controller]
	if controller != "" || dir == "" {
		return dir
	}
	return filepath.Join(dir, c.delegate)
}

// makeHome makes the delegated cgroup, if there is to be one, and hands all
// controllers on to it.
func (c *Cgroup) makeHome() error {
	if c.delegate == "" {
		return nil
	}
	if err := os.MkdirAll(c.home(), 0o755); err != nil {
		return fmt.Errorf("create delegated cgroup: %w", err)
	}
	return handOnTo(c.home())
}
