package libcontainer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/cgroups"
	"github.com/mocker-runtime/mocker/libcontainer/ready"
	"github.com/mocker-runtime/mocker/libcontainer/resctrl"
	"github.com/mocker-runtime/mocker/libcontainer/rootfs"
	"github.com/mocker-runtime/mocker/libcontainer/state"
)

// patience is how long a command waits for another one that works on the
// same container, or for a killed process to end.
const patience = 10 * time.Second

// Delete removes a container that has stopped, or that was created and never
// started, as runc does. force removes it whatever its state: running, half
// made, or with a state that cannot be read.
func (c *Container) Delete(force bool) error {
	if force {
		_ = c.Trace.Step("stop hooks", c.stopHooks)
	}
	if err := c.lock(patience); err != nil {
		if force && errors.Is(err, ErrNotExist) {
			return nil // the create or start that was stopped has cleaned up
		}
		return err
	}
	defer func() { _ = c.dir.Unlock() }()
	st, err := c.load()
	if err != nil {
		if !force || errors.Is(err, ErrNotExist) {
			return err
		}
		return c.deleteUnread(err)
	}
	if status := c.status(st); !force && status != Stopped && status != Created {
		return fmt.Errorf("cannot delete container %s that is not stopped: %s", c.id, status)
	}
	if err := c.end(st); err != nil {
		return err
	}
	return c.destroy(st)
}

// stopHooks ends the process of a container that is being created or whose
// startContainer hooks may be running, so that the create or start fails,
// undoes itself and gives the lock back. A hook may hang. What fails is for the
// trace alone: the delete comes to it again.
func (c *Container) stopHooks() error {
	st, err := c.dir.Load()
	if err != nil {
		return err
	}
	if status := c.status(st); status != Creating && (status != Created || len(st.Hooks.StartContainer) == 0) {
		return nil
	}
	pidfd, err := st.Init.Pidfd()
	if err != nil {
		return err
	}
	defer unix.Close(pidfd)
	return unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
}

// deleteUnread removes a container whose state cannot be read. Where there is
// none yet, nothing has been made. Where the file is damaged, the one before it
// tells what there is to remove, poststop hooks included; without that the
// cgroup is taken to be where it is by default.
func (c *Container) deleteUnread(cause error) error {
	if errors.Is(cause, state.ErrNoState) {
		return c.destroy(&state.State{ID: c.id})
	}
	st, err := c.dir.LoadPrevious()
	if err != nil {
		paths, err := cgroups.DefaultPaths(c.id)
		if err != nil {
			return err
		}
		return c.destroy(&state.State{ID: c.id, CgroupPaths: paths})
	}
	if st.Init.PID != 0 {
		st.Stage = state.Created // the one that is damaged may have said so
	}
	if err := c.end(st); err != nil {
		return err
	}
	return c.destroy(st)
}

// end kills the container's process and waits until it is gone.
func (c *Container) end(st *state.State) error {
	return c.Trace.Step("end process", func() error { return c.kill(st) })
}

func (c *Container) kill(st *state.State) error {
	pidfd, err := c.pidfd(st)
	if errors.Is(err, ErrNotRunning) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(pidfd)
	if err := unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill process %d: %w", st.Init.PID, err)
	}
	release(st)
	gone, err := ready.Until(pidfd, unix.POLLIN, time.Now().Add(patience))
	if err != nil {
		return fmt.Errorf("wait for process %d: %w", st.Init.PID, err)
	}
	if gone {
		return nil
	}
	return fmt.Errorf("process %d still runs %v after SIGKILL", st.Init.PID, patience)
}

// destroy removes everything that the state says: the processes left in the
// cgroup and the cgroup, then what the poststop hooks remove, its mounts and
// its own bundle, and last the state itself, so that whatever fails can be
// tried again.
func (c *Container) destroy(st *state.State) error {
	for _, step := range takeDown {
		if err := c.Trace.Step(step.name, func() error { return step.do(c, st) }); err != nil {
			return err
		}
	}
	return nil
}

// takeDown are the steps of destroy, in this order.
var takeDown = [...]struct {
	name string
	do   func(*Container, *state.State) error
}{
	{"remove cgroup", (*Container).removeCgroup},
	{"remove class of service", func(_ *Container, st *state.State) error { return resctrl.Remove(st.RDT) }},
	{"poststop hooks", (*Container).poststop},
	// Before the bundle: what is mounted in it is not to be removed with it.
	{"unmount", func(_ *Container, st *state.State) error { return rootfs.Unmount(st.Rootfs, st.Mounts) }},
	{"remove bundle", func(c *Container, _ *state.State) error { return c.removeBundle() }},
	{"remove state", func(c *Container, _ *state.State) error { return c.dir.Remove() }},
}

// removeCgroup ends the processes that are left in the cgroup, and removes it.
func (c *Container) removeCgroup(st *state.State) error {
	if len(st.CgroupPaths) == 0 {
		return nil
	}
	cg, err := cgroups.FromPaths(st.CgroupPaths)
	if err != nil {
		return err
	}
	cg.Keep(st.CgroupsFound)
	if cg.DestroyEmpty() {
		return nil
	}
	if err := cg.KillAll(unix.SIGKILL); err != nil {
		return err
	}
	return cg.Destroy()
}

func killAll(st *state.State, sig unix.Signal) error {
	if len(st.CgroupPaths) == 0 {
		return nil
	}
	cg, err := cgroups.FromPaths(st.CgroupPaths)
	if err != nil {
		return err
	}
	return cg.KillAll(sig)
}

// poststop runs all poststop hooks, once; one that fails is a warning
// (runtime.md, "Lifecycle", step 13).
func (c *Container) poststop(st *state.State) error {
	if st.Stage != state.Created && !st.Hooked {
		return nil
	}
	for i := range st.Hooks.Poststop {
		err := hookTrace{c.Trace, "poststop"}.run(context.Background(), st.Hooks.Poststop[i:i+1], hookState(st, specs.StateStopped))
		if err != nil && c.Warn != nil {
			c.Warn(fmt.Errorf("container %s: poststop hooks: %w", c.id, err))
		}
	}
	st.Hooks.Poststop = nil // a destroy that fails after this is tried again
	return nil
}
