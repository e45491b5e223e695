// Package libcontainer is the life of a container: create, start, kill,
// delete, and the truth about its state in between.
//
// It composes its rooms, which do not know each other: config (what is
// wanted), inside (the process in the container), namespaces, rootfs,
// process (the last program), cgroups, console, seal and state. Create reads
// as the list of what is done, in order, in create.go.
//
// Whatever is made is written into the state first. A create that fails, and
// a delete --force after one that was killed, take the same road back: see
// destroy in delete.go.
package libcontainer

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/entry"
	"github.com/mocker-runtime/mocker/libcontainer/inside"
	"github.com/mocker-runtime/mocker/libcontainer/notify"
	"github.com/mocker-runtime/mocker/libcontainer/seal"
	"github.com/mocker-runtime/mocker/libcontainer/state"
	"github.com/mocker-runtime/mocker/libcontainer/trace"
)

// DefaultRoot is where states are kept unless mocker is told otherwise. It
// goes with the last container.
const DefaultRoot = state.DefaultRoot

// ErrNotExist says that there is no container of the id; its text is one
// that engines look for.
var ErrNotExist = state.ErrNotExist

// ErrNotRunning says that a container has no process to signal; its text is
// one that engines look for.
var ErrNotRunning = errors.New("container not running")

// ProgramError says that a container's program could not be executed.
type ProgramError struct {
	Err     error
	Missing bool // there is no such file, or its interpreter is missing
}

func (e *ProgramError) Error() string { return e.Err.Error() }
func (e *ProgramError) Unwrap() error { return e.Err }

// errEnded is why a hook is killed.
var errEnded = errors.New("the container's process has ended")

// Status is one of the words of runtime-spec's "State".
const (
	Creating = "creating"
	Created  = "created"
	Running  = "running"
	Paused   = "paused"
	Stopped  = "stopped"
)

// Container is one container, known by its state directory.
type Container struct {
	// Warn is told what went wrong where the specification says to go on: a
	// poststop hook that failed. It may be nil.
	Warn func(error)

	// Trace notes what is done with the container. It may be nil.
	Trace *trace.Recorder

	id  string
	dir *state.Dir

	// Of the process that created it:
	in      *inside.Child
	console *os.File

	relay *notify.Relay // see ListenReady; nil: nobody has asked
}

// State is what `state` and `list` print, in runc's shape.
type State struct {
	Version     string            `json:"ociVersion"`
	ID          string            `json:"id"`
	Pid         int               `json:"pid"` // 0 when stopped
	Status      string            `json:"status"`
	Bundle      string            `json:"bundle"`
	Rootfs      string            `json:"rootfs"`
	Created     time.Time         `json:"created"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Owner       string            `json:"owner"`
}

// Open finds the container of an id. The error is ErrNotExist if there is
// none.
func Open(root, id string) (*Container, error) {
	dir, err := state.Open(root, id)
	if err != nil {
		return nil, err
	}
	return &Container{id: id, dir: dir}, nil
}

// Tidy removes what a create or a delete that was killed has left below root
// of a container that does not exist: before it did, or no more.
func Tidy(root string) {
	tidyBundles(root)
	state.Tidy(root)
}

// Executable is the path of the binary that was started, for hooks that call
// it again; what this process runs from may be a sealed copy of it.
func Executable() (string, error) { return seal.Path() }

// Rest is to be called when all that is left to do is to wait: it may take
// long, and what comes in between need not be quick.
func Rest() { entry.UnbindAll() }

// List gives the states of all containers below root, by id. Those that end
// meanwhile are left out, and so are those whose state cannot be read: warn is
// told of them, and the others are there for all that.
func List(root string, warn func(error)) ([]State, error) {
	ids, err := state.IDs(root)
	if err != nil {
		return nil, err
	}
	var list []State
	for _, id := range ids {
		st, err := stateOf(root, id)
		switch {
		case err == nil:
			list = append(list, st)
		case !errors.Is(err, ErrNotExist):
			warn(fmt.Errorf("container %s is left out: %w", id, err))
		}
	}
	return list, nil
}

func stateOf(root, id string) (State, error) {
	c, err := Open(root, id)
	if err != nil {
		return State{}, err
	}
	defer c.Close()
	return c.State()
}

// Close gives back what this process holds of the container. It changes
// nothing about it.
func (c *Container) Close() {
	_ = c.dir.Close()
	if c.in != nil {
		c.in.Close()
	}
	if c.console != nil {
		c.console.Close()
	}
	if c.relay != nil {
		c.relay.Close()
	}
}

// ID is the container's id.
func (c *Container) ID() string { return c.id }

// State is the container's state at this moment.
func (c *Container) State() (State, error) {
	st, err := c.dir.Load()
	if errors.Is(err, state.ErrNoState) {
		// A create has reserved the directory and not yet written to it, or
		// was killed just then.
		return State{ID: c.id, Status: c.unwritten()}, nil
	}
	if err != nil {
		return State{}, err
	}
	status := c.status(st)
	pid := st.Init.PID
	if status == Stopped {
		pid = 0
	}
	return State{
		Version: st.Version, ID: st.ID, Pid: pid, Status: status, Bundle: st.Bundle, Rootfs: st.Rootfs,
		Created: st.Created, Annotations: st.Annotations, Owner: st.Owner,
	}, nil
}

// unwritten is the status of a container without a state file: the lock
// tells whether somebody is about to write it.
func (c *Container) unwritten() string {
	if free, err := c.dir.TryLock(); err == nil && free {
		_ = c.dir.Unlock()
		return Stopped
	}
	return Creating
}

// status derives the word from what is there to be seen: nothing has to be
// written when a process ends or execs, so no crash can make it wrong.
func (c *Container) status(st *state.State) string {
	if st.Stage == state.Creating {
		if st.Creator.Alive() {
			return Creating
		}
		return Stopped
	}
	if !st.Init.Alive() {
		return Stopped
	}
	if paused(st) {
		return Paused
	}
	if c.waits() {
		return Created
	}
	return Running
}

// waits reports whether the process still waits for start: it has the gate
// open for reading until it execs. A FIFO without a reader cannot be opened
// for writing without blocking (fifo(7)).
func (c *Container) waits() bool {
	fd, err := unix.Open(c.dir.Path(startGate), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	unix.Close(fd)
	return true
}

// Kill sends a signal to the container's process; to all of its processes if
// it is SIGKILL and they would survive the first one, for want of a pid
// namespace of their own. The error wraps ErrNotRunning if there is none.
func (c *Container) Kill(sig unix.Signal) error {
	st, err := c.dir.Load()
	if errors.Is(err, state.ErrNoState) {
		return fmt.Errorf("%w: %q", ErrNotRunning, c.id)
	}
	if err != nil {
		return err
	}
	pidfd, err := c.pidfd(st)
	if err != nil {
		return err
	}
	defer unix.Close(pidfd)
	if sig == unix.SIGKILL && st.SharedPID && len(st.CgroupPaths) != 0 {
		return killAll(st, sig)
	}
	err = unix.PidfdSendSignal(pidfd, sig, nil, 0)
	if errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("%w: %q", ErrNotRunning, c.id)
	}
	if err != nil {
		return fmt.Errorf("send signal %d to process %d: %w", sig, st.Init.PID, err)
	}
	if sig == unix.SIGKILL {
		release(st)
	}
	return nil
}

// pidfd opens a pidfd of the container's process; the error wraps
// ErrNotRunning if it has ended, reaped or not.
func (c *Container) pidfd(st *state.State) (int, error) {
	if !st.Init.Alive() {
		return -1, fmt.Errorf("%w: %q", ErrNotRunning, c.id)
	}
	fd, err := st.Init.Pidfd()
	if errors.Is(err, unix.ESRCH) {
		return -1, fmt.Errorf("%w: %q", ErrNotRunning, c.id)
	}
	return fd, err
}

// KillAll sends a signal to every process of the container: see Processes. No
// error if there is none.
func (c *Container) KillAll(sig unix.Signal) error {
	st, err := c.dir.Load()
	if errors.Is(err, state.ErrNoState) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(st.CgroupPaths) == 0 {
		return c.killPIDNamespace(st, sig)
	}
	return killAll(st, sig)
}

// Signal passes a signal on to the process that this process created. No
// error if it is gone.
func (c *Container) Signal(sig unix.Signal) error {
	if err := unix.PidfdSendSignal(c.in.Pidfd, sig, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("send signal %d to process %d: %w", sig, c.in.PID, err)
	}
	return nil
}

// Wait waits for the process that this process created, and gives its exit
// status, 128+n if signal n ended it.
func (c *Container) Wait() (int, error) {
	status, err := c.in.Wait()
	if err != nil {
		return 0, err
	}
	return exitStatus(status), nil
}

// exitStatus is a process's end as shells tell it: its exit status, or 128+n
// if signal n ended it.
func exitStatus(status unix.WaitStatus) int {
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

// Console is the terminal of a container that this process created without a
// console socket; nil if it has none.
func (c *Container) Console() *os.File { return c.console }
