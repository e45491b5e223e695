package libcontainer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/inside"
	"github.com/mocker-runtime/mocker/libcontainer/process"
	"github.com/mocker-runtime/mocker/libcontainer/state"
)

// Start runs the startContainer hooks, lets the container's process execute
// its program, runs the poststart hooks and returns, or with the reason why
// the program could not be executed. If a hook fails the container is stopped
// and destroyed (runtime.md, "Lifecycle", steps 7 and 9).
//
// For startContainer hooks it executes this program anew, sealed, if it is not
// yet: it is to be called before much else is done.
func (c *Container) Start() error {
	if err := c.Trace.Step("seal for hooks", c.sealForHooks); err != nil {
		return err
	}
	if err := c.lock(0); err != nil {
		return err
	}
	defer func() { _ = c.dir.Unlock() }()
	st, err := c.load()
	if err != nil {
		return err
	}
	switch status := c.status(st); {
	case status == Running:
		return fmt.Errorf("cannot start an already running container: %q", c.id)
	case status == Stopped:
		return fmt.Errorf("cannot start a container that has stopped: %q", c.id)
	case status != Created:
		return fmt.Errorf("cannot start a container in the %s state: %q", status, c.id)
	case st.NoProcess:
		return fmt.Errorf("cannot start a container whose config.json has no process: %q", c.id)
	}
	if err := c.Trace.Step("startContainer hooks", func() error { return c.startHooks(st) }); err != nil {
		return c.giveUp(st, fmt.Errorf("startContainer hooks: %w", err))
	}
	c.tellProgram(st)
	if err := c.Trace.Step("open gate", func() error { return c.open(st) }); err != nil {
		return err
	}
	err = c.Trace.Step("poststart hooks", func() error {
		return hookTrace{c.Trace, "poststart"}.run(context.Background(), st.Hooks.Poststart, hookState(st, specs.StateRunning))
	})
	if err != nil {
		return c.giveUp(st, fmt.Errorf("poststart hooks: %w", err))
	}
	return nil
}

// lock locks the container's directory, and waits for whoever has it.
func (c *Container) lock(wait time.Duration) error {
	return c.Trace.Step("lock", func() error { return c.dir.Lock(wait) })
}

// load reads the state, as a step.
func (c *Container) load() (st *state.State, err error) {
	err = c.Trace.Step("load state", func() error {
		st, err = c.dir.Load()
		return err
	})
	return st, err
}

// tellProgram notes what the container's process is going to do.
func (c *Container) tellProgram(st *state.State) {
	if c.Trace == nil {
		return
	}
	if names, err := os.ReadFile(c.dir.Path(programFile)); err == nil {
		c.Trace.Program(st.Init.PID, strings.Split(string(names), "\n"))
	}
}

// giveUp stops and destroys a container, one of whose hooks has failed.
func (c *Container) giveUp(st *state.State, err error) error {
	return errors.Join(err, c.end(st), c.destroy(st))
}

// open opens the gate and waits for what comes of it.
func (c *Container) open(st *state.State) error {
	started, err := openFIFO(c.dir.Path(startedGate), unix.O_RDONLY)
	if err != nil {
		return err
	}
	defer started.Close()
	gate, err := openFIFO(c.dir.Path(startGate), unix.O_WRONLY)
	if errors.Is(err, unix.ENXIO) {
		return fmt.Errorf("cannot start a container that has stopped: %q", c.id)
	}
	if err != nil {
		return err
	}
	_, err = gate.Write([]byte{process.Marker})
	gate.Close()
	if err != nil {
		return fmt.Errorf("write to FIFO %s: %w", gate.Name(), err)
	}
	// The process has the other end open until it execs or ends. Where others
	// may trace it, they can write there without end.
	said, err := hear(started, st)
	if errors.Is(err, errUnanswered) {
		return errors.Join(err, c.end(st))
	}
	if err != nil {
		return fmt.Errorf("read FIFO %s: %w", started.Name(), err)
	}
	if err := c.outcome(said); err != nil {
		// It has said so and is about to end: who asks next, sees it stopped.
		if pidfd, e := st.Init.Pidfd(); e == nil {
			ended(pidfd, time.Second)
			unix.Close(pidfd)
		}
		return err
	}
	return nil
}

// maxSaid is more than a process can have to say.
const maxSaid = 4096

// openFIFO opens one end without waiting for the other; reads wait then.
func openFIFO(path string, mode int) (*os.File, error) {
	fd, err := unix.Open(path, mode|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err == nil {
		if err = unix.SetNonblock(fd, false); err != nil {
			unix.Close(fd)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open FIFO %s: %w", path, err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

// outcome reads what the process said: the marker alone right before it
// became the program, a failure after or instead of it, or nothing.
func (c *Container) outcome(said []byte) error {
	if len(said) == 1 && said[0] == process.Marker {
		return nil
	}
	if len(said) < inside.FailureSize {
		return errors.New("the container's process was killed before it could start")
	}
	index, errno := inside.Failure([inside.FailureSize]byte(said[len(said)-inside.FailureSize:]))
	call := fmt.Sprintf("call %d", index)
	if names, err := os.ReadFile(c.dir.Path(programFile)); err == nil {
		if list := strings.Split(string(names), "\n"); index >= 0 && index < len(list) {
			call = list[index]
		}
	}
	err := process.Explain(fmt.Errorf("%s: %w", call, errno))
	if strings.HasPrefix(call, "exec ") {
		return &ProgramError{Err: err, Missing: errno == unix.ENOENT}
	}
	return err
}
