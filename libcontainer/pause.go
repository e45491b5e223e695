package libcontainer

import (
	"errors"
	"fmt"

	"github.com/mocker-runtime/mocker/libcontainer/cgroups"
	"github.com/mocker-runtime/mocker/libcontainer/state"
)

// Pause stops all processes of a container that is created or running, and
// returns when they stand still. The error wraps ErrNotRunning if it has
// stopped, or is about to.
func (c *Container) Pause() error {
	st, status, err := c.lockAlive("pause")
	if err != nil {
		return err
	}
	defer func() { _ = c.dir.Unlock() }()
	if status == Paused {
		return fmt.Errorf("container is already paused: %q", c.id)
	}
	cg, err := cgroupOf(st)
	if err != nil {
		return err
	}
	err = c.Trace.Step("freeze", cg.Freeze)
	// A kill does not wait for the lock. It thaws after it has sent its
	// signal: after this freeze, or during it, which then fails, or the signal
	// can be seen by now.
	if !st.Init.Alive() || st.Init.Condemned() {
		cg.Release()
		return fmt.Errorf("%w: %q", ErrNotRunning, c.id)
	}
	return err
}

// Resume lets the processes of a paused container go on.
func (c *Container) Resume() error {
	st, status, err := c.lockAlive("resume")
	if errors.Is(err, ErrNotRunning) {
		return fmt.Errorf("container not paused: %q is stopped", c.id)
	}
	if err != nil {
		return err
	}
	defer func() { _ = c.dir.Unlock() }()
	if status != Paused {
		return fmt.Errorf("container not paused: %q is %s", c.id, status)
	}
	cg, err := cgroups.FromPaths(st.CgroupPaths)
	if err != nil {
		return err
	}
	return c.Trace.Step("thaw", cg.Thaw)
}

// lockAlive locks a container that has a process, and gives its state and
// status. The error wraps ErrNotRunning if it has none any more. The caller
// unlocks.
func (c *Container) lockAlive(verb string) (*state.State, string, error) {
	// A create holds the lock for as long as its hooks take: no use to wait.
	if st, err := c.dir.Load(); err == nil && c.status(st) == Creating {
		return nil, "", fmt.Errorf("cannot %s a container in the creating state: %q", verb, c.id)
	}
	if err := c.lock(patience); err != nil {
		return nil, "", err
	}
	st, err := c.load()
	if errors.Is(err, state.ErrNoState) {
		err = fmt.Errorf("%w: %q", ErrNotRunning, c.id)
	}
	status := ""
	if err == nil {
		status = c.status(st)
	}
	if status == Stopped {
		err = fmt.Errorf("%w: %q", ErrNotRunning, c.id)
	}
	if err != nil {
		_ = c.dir.Unlock()
		return nil, "", err
	}
	return st, status, nil
}

// paused reports whether the container is stopped by its freezer. One that
// cannot be read is taken for one that does not stop anybody.
func paused(st *state.State) bool {
	cg, err := cgroups.FromPaths(st.CgroupPaths)
	if err != nil {
		return false
	}
	is, err := cg.Paused()
	return is && err == nil
}

// release lets processes that have been killed end although the container is
// paused.
func release(st *state.State) {
	if cg, err := cgroups.FromPaths(st.CgroupPaths); err == nil {
		cg.Release()
	}
}
