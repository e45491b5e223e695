package cgroups

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	oci "github.com/opencontainers/cgroups"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/ready"
)

// Destroy removes the cgroup with the cgroups below it, and then /mocker
// when this was the last one in it; other parents are left alone, and so are
// directories that were there before. It kills nobody: it waits up to ten seconds for the last process to end, and its
// error names those that are still there. What is not there any more, or has
// never been made, is no error.
func (c *Cgroup) Destroy() error {
	deadline := time.Now().Add(patience)
	var errs []error
	for _, dir := range c.dirs() {
		if slices.Contains(c.found, dir) {
			errs = append(errs, vacate(dir, deadline), keepAll(dir))
			continue
		}
		if err := remove(dir, deadline); err != nil {
			errs = append(errs, err)
			continue
		}
		c.removeParent(dir)
	}
	return errors.Join(errs...)
}

// DestroyEmpty is Destroy of a cgroup that nobody is in and that Make has made
// all of, which most are by then: no look is cheaper than an rmdir that
// succeeds. It reports whether it was such a one. If not, some directories may
// be gone, which nobody was in, and the rest is there for KillAll and Destroy.
func (c *Cgroup) DestroyEmpty() bool {
	if len(c.found) > 0 {
		return false
	}
	for _, dir := range c.dirs() {
		if gone(unix.Rmdir(dir)) != nil {
			return false
		}
		c.removeParent(dir)
	}
	return true
}

// removeParent removes the directory that mocker has made for the containers
// without a cgroupsPath, if dir was the last in it.
func (c *Cgroup) removeParent(dir string) {
	if parent := filepath.Dir(dir); c.ours(parent) {
		// Busy: another container is in it. Gone: that one was faster.
		_ = unix.Rmdir(parent)
	}
}

// ours says whether a parent directory is the one that mocker makes for
// containers without a cgroupsPath.
func (c *Cgroup) ours(parent string) bool {
	root := mountpoint
	if !c.unified() {
		name, _, _ := strings.Cut(strings.TrimPrefix(parent, mountpoint+"/"), "/")
		root = filepath.Join(mountpoint, name)
	}
	return parent == filepath.Join(root, c.parent)
}

// remove is rmdir, depth first, as soon as nobody is in there.
func remove(dir string, deadline time.Time) error {
	for pause := 100 * time.Microsecond; ; pause = min(2*pause, 10*time.Millisecond) {
		err := unix.Rmdir(dir)
		if err == nil || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) {
			return nil
		}
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.ENOTEMPTY) {
			return fmt.Errorf("remove cgroup %s: %w", dir, err)
		}
		if err := removeBelow(dir, deadline); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return stuck(dir, err)
		}
		wait(dir, deadline, pause)
	}
}

// vacate waits until nobody is in a cgroup, and removes those below it.
func vacate(dir string, deadline time.Time) error {
	for pause := 100 * time.Microsecond; ; pause = min(2*pause, 10*time.Millisecond) {
		if err := removeBelow(dir, deadline); err != nil {
			return err
		}
		pids, err := pidsBelow(dir)
		if err != nil || len(pids) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return stuck(dir, unix.EBUSY)
		}
		wait(dir, deadline, pause)
	}
}

func removeBelow(dir string, deadline time.Time) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("remove cgroup %s: %w", dir, err)
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := remove(filepath.Join(dir, e.Name()), deadline); err != nil {
				return err
			}
		}
	}
	return nil
}

// wait returns when v2 reports a change of the cgroup's population, which
// shows as POLLPRI on cgroup.events (cgroups(7)); v1 has no such report, so
// there it pauses.
func wait(dir string, deadline time.Time, pause time.Duration) {
	f, err := oci.OpenFile(dir, "cgroup.events", os.O_RDONLY)
	if err != nil {
		time.Sleep(pause)
		return
	}
	defer f.Close()
	fd := int(f.Fd())
	buf := make([]byte, 256)
	n, err := unix.Read(fd, buf) // arms the poll
	if err != nil || !strings.Contains(string(buf[:n]), "populated 1") {
		// Empty already, so rmdir may have met a child that is about to go.
		time.Sleep(pause)
		return
	}
	_, _ = ready.Until(fd, unix.POLLPRI, deadline)
}

func stuck(dir string, cause error) error {
	pids, err := pidsBelow(dir)
	if err != nil || len(pids) == 0 {
		return fmt.Errorf("remove cgroup %s: %w", dir, cause)
	}
	return fmt.Errorf("remove cgroup %s: %w (process %d and %d others are in it)", dir, cause, pids[0], len(pids)-1)
}
