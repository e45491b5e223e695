package libcontainer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/cgroups"
	"github.com/mocker-runtime/mocker/libcontainer/config"
	"github.com/mocker-runtime/mocker/libcontainer/console"
	"github.com/mocker-runtime/mocker/libcontainer/inside"
	"github.com/mocker-runtime/mocker/libcontainer/namespaces"
	"github.com/mocker-runtime/mocker/libcontainer/nofile"
	"github.com/mocker-runtime/mocker/libcontainer/process"
	"github.com/mocker-runtime/mocker/libcontainer/rootfs"
	"github.com/mocker-runtime/mocker/libcontainer/state"
	"github.com/mocker-runtime/mocker/libcontainer/trace"
)

// The texts are those of runc.
var (
	errStopped = errors.New("cannot exec in a stopped container")
	errPaused  = errors.New("cannot exec in a paused container (use --ignore-paused to override)")
)

// ExecOptions are the choices of one exec that are not about the process
// itself.
type ExecOptions struct {
	PidFile       string            // file for the pid, as decimal digits; "": none
	ConsoleSocket string            // AF_UNIX socket that receives the terminal; "": see Process.Console
	PidfdSocket   string            // AF_UNIX socket that receives a pidfd of the process; "": none
	PreserveFDs   int               // fds from 3 on that the process inherits
	IgnorePaused  bool              // in a paused container, wait until it is resumed
	Cgroup        map[string]string // cgroups below the container's by controller; "": all controllers

	// Debugf is told what is worth knowing and no failure. It may be nil.
	Debugf func(format string, args ...any)
}

// Process is one more process of a container. It has joined it, and executes
// its program with Start. It is to be used from one goroutine up to then.
type Process struct {
	opts    ExecOptions
	init    int // the container's first process
	pidfd   int // of it
	in      *inside.Child
	trace   *trace.Recorder // nil: nobody wants to know
	last    process.Last
	console *os.File

	pid   int // of the program, once it has been started
	child int // its pidfd
}

// Exec joins the container with a process that is to run beside those it has.
// Until Start, nothing of it is to be seen in the container.
//
// A container whose process still waits for start takes others, as with runc.
// The container is not locked: hooks of start may call exec.
func (c *Container) Exec(cfg *config.Process, opts ExecOptions) (*Process, error) {
	if err := checkPreserved(0, opts.PreserveFDs); err != nil {
		return nil, err
	}
	st, err := c.load()
	if err != nil {
		return nil, err
	}
	switch status := c.status(st); status {
	case Stopped:
		return nil, fmt.Errorf("%w: %q", errStopped, c.id)
	case Creating:
		return nil, fmt.Errorf("cannot exec in a container in the %s state: %q", status, c.id)
	}
	if err := confineLike(cfg, st.Labels); err != nil {
		return nil, err
	}
	pidfd, err := c.pidfd(st)
	if errors.Is(err, ErrNotRunning) {
		err = fmt.Errorf("%w: %q", errStopped, c.id)
	}
	if err != nil {
		return nil, err
	}
	p := &Process{opts: opts, trace: c.Trace, init: st.Init.PID, pidfd: pidfd, child: -1, last: process.Last{Process: cfg, Preserve: opts.PreserveFDs}}
	p.last.Nofile[0], p.last.Nofile[1] = nofile.Original()
	err = c.Trace.Step("load filter", func() error { return p.filter(c, st) })
	if err == nil {
		err = p.enter(st)
	}
	if err != nil {
		err = p.why(err)
		p.Close()
		return nil, err
	}
	return p, nil
}

// enter brings the joiner to where the program will start.
func (p *Process) enter(st *state.State) error {
	var cg *cgroups.Cgroup
	err := p.trace.Step("cgroup", func() (err error) {
		cg, err = p.findCgroup(st)
		return err
	})
	if err != nil {
		return err
	}
	to := placeOf(st, p.pidfd, cg)
	to.trace = p.trace
	to.affinity = p.last.Process.Affinity
	to.oomScoreAdj = p.last.Process.OOMScoreAdj
	err = p.trace.Step("join", func() (err error) {
		p.in, err = to.join()
		return err
	})
	if err != nil {
		return err
	}
	err = p.trace.Step("session keyring", func() error {
		if st.NoKeyring {
			return nil
		}
		return joinKeyring(p.in, keyringName(st.ID), p.last.Process.Labels.SELinux)
	})
	if err != nil {
		return err
	}
	return p.prepare(st)
}

// findCgroup finds the cgroup that the process will be in, which must not be
// frozen.
func (p *Process) findCgroup(st *state.State) (*cgroups.Cgroup, error) {
	cg, err := cgroups.FromPaths(st.CgroupPaths)
	if err != nil {
		return nil, err
	}
	frozen, err := cg.Frozen()
	if err != nil {
		return nil, err
	}
	if frozen && !p.opts.IgnorePaused {
		return nil, errPaused
	}
	if cg, err = cg.In(st.Delegate).Below(p.opts.Cgroup); err != nil {
		return nil, fmt.Errorf("--cgroup: %w", err)
	}
	return cg, nil
}

// prepare makes the joiner, which is in its place, ready for its program.
func (p *Process) prepare(st *state.State) error {
	uids, err := p.checkIDs()
	if err != nil {
		return err
	}
	root, err := p.in.Openat2(unix.AT_FDCWD, "/", unix.O_PATH|unix.O_DIRECTORY, 0, 0)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	if err := p.trace.Step("console", func() error { return p.terminal(root, uids) }); err != nil {
		return fmt.Errorf("console: %w", err)
	}
	err = p.trace.Step("find program", func() error { return lookUp(p.in, root, &p.last, p.opts.Debugf) })
	if err != nil {
		return fmt.Errorf("find program: %w", err)
	}
	return p.trace.Step("confine", func() error { return confine(p.in, p.last.Process.Labels, st.Traits) })
}

// checkIDs makes sure that the process can take on its ids, and gives the map
// of the user ids.
func (p *Process) checkIDs() (config.IDMap, error) {
	uids, gids, err := namespaces.Maps(p.in.PID)
	if err != nil {
		return nil, err
	}
	cfg := p.last.Process
	if !uids.Has(cfg.UID) {
		return nil, fmt.Errorf("user %d: not mapped in the container's user namespace", cfg.UID)
	}
	for _, gid := range append([]uint32{cfg.GID}, cfg.Groups...) {
		if !gids.Has(gid) {
			return nil, fmt.Errorf("group %d: not mapped in the container's user namespace", gid)
		}
	}
	return uids, nil
}

// terminal gives the process a terminal of the container, if it wants one,
// else the streams that mocker has.
func (p *Process) terminal(root int, uids config.IDMap) error {
	if !p.last.Process.Terminal {
		return process.FixStdio(p.in, p.last, uids)
	}
	master, slave, err := rootfs.Terminal(p.in, root)
	if err != nil {
		return err
	}
	p.console, p.last.Terminal = master, slave
	if err := giveTerminal(p.in, p.last.Process, master, slave); err != nil {
		return err
	}
	if p.opts.ConsoleSocket == "" {
		return nil
	}
	p.console = nil
	return errors.Join(console.Send(p.opts.ConsoleSocket, master), master.Close())
}

// Start lets the process execute its program, and returns when it has.
func (p *Process) Start() error {
	pid := 0
	err := p.trace.Step("become program", func() (err error) {
		pid, err = process.Join(p.in, p.last)
		return err
	})
	if err != nil {
		return p.why(explainFilter(err))
	}
	p.in.Release()
	p.pid = pid
	if p.last.Terminal != nil {
		p.last.Terminal.Close() // the program alone decides when it hangs up
	}
	// A child that has not been reaped: its pid is its own.
	if p.child, err = unix.PidfdOpen(pid, 0); err != nil {
		err = fmt.Errorf("open pidfd of process %d: %w", pid, err)
	} else {
		err = p.trace.Step("report", p.report)
	}
	if err != nil {
		_ = unix.Kill(pid, unix.SIGKILL)
		_, _ = p.Wait()
	}
	return err
}

// report tells who wants to know of the process.
func (p *Process) report() error {
	if p.opts.PidfdSocket != "" {
		if err := console.Pass("pidfd socket", p.opts.PidfdSocket, "setns", p.child); err != nil {
			return err
		}
	}
	if p.opts.PidFile == "" {
		return nil
	}
	return writePidFile(p.opts.PidFile, p.pid)
}

// why is the reason behind an error: whatever failed, when the container has
// stopped meanwhile it was for that. A process that is about to end has no
// namespaces any more.
func (p *Process) why(err error) error {
	if _, gone := namespaces.Others(p.init); ended(p.pidfd, 0) || errors.Is(gone, fs.ErrNotExist) {
		return fmt.Errorf("%w: it has ended meanwhile (%w)", errStopped, err)
	}
	return err
}

// Signal sends a signal to the program. No error if it is gone.
func (p *Process) Signal(sig unix.Signal) error {
	if err := unix.PidfdSendSignal(p.child, sig, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("send signal %d to process %d: %w", sig, p.pid, err)
	}
	return nil
}

// Wait waits for the program and gives its exit status, 128+n if signal n
// ended it.
func (p *Process) Wait() (int, error) {
	status, err := inside.Reap(p.pid)
	if err != nil {
		return 0, err
	}
	return exitStatus(status), nil
}

// Console is the terminal of a process without a console socket; nil if it
// has none.
func (p *Process) Console() *os.File { return p.console }

// Close gives back what this process holds of the other one: one that has
// been started lives on, one that has not ends.
func (p *Process) Close() {
	unix.Close(p.pidfd)
	if p.in != nil {
		p.in.Kill()
		p.in.Close()
	}
	if p.child >= 0 {
		unix.Close(p.child)
	}
	for _, f := range []*os.File{p.console, p.last.Terminal} {
		if f != nil {
			f.Close()
		}
	}
}
