// Package hooks runs lists of OCI hooks (runtime-spec, config.md,
// "POSIX-platform Hooks"): programs that are called at a point of a
// container's life with the container's state on their standard input.
//
// It knows nothing of what a hook does or at which point it runs: which list
// is due, and what a failure means for the container, is libcontainer's to
// decide. Run starts them on the host, in the namespaces of the caller; those
// that run inside a container are started by whoever calls RunWith, and are
// fed, timed and listened to here all the same.
package hooks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"syscall"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/libcontainer/config"
	"github.com/mocker-runtime/mocker/libcontainer/entry"
)

// leftBehind is how long the output of a hook that has ended is still waited
// for. A hook may leave a daemon that keeps our pipe open for ever.
const leftBehind = 100 * time.Millisecond

// Process is a hook that has been started.
type Process interface {
	Wait() (syscall.WaitStatus, error)
	Kill() // with its process group; it may have ended
}

// Start starts a hook whose standard input, output and error are given. The
// hook ends with mocker, or it would go on to make what nobody takes back.
type Start func(hook *config.Hook, stdio [3]*os.File) (Process, error)

// Run runs the hooks in order and stops at the first one that fails. Each
// gets st as JSON on its standard input, the environment of its own entry and
// nothing else, and the bundle as its working directory ("/" once the bundle
// is gone, as it may be by the time of a poststop hook).
//
// The error names the hook by its path and ends with the last of what it
// wrote to its standard output and error, unless annotations of the container
// send that elsewhere (see newPipes). A hook that outlives its timeout is
// killed, with its process group, and the error says so; so it is when ctx
// ends, with the cause of that as the error. A hook that ends without reading
// its input is no failure, nor is one that leaves a process in the background:
// that one is left alone, but can write to nobody any more.
func Run(ctx context.Context, list []config.Hook, st *specs.State) error {
	if len(list) == 0 {
		return nil
	}
	dir, err := workDir(st.Bundle)
	if err != nil {
		return err
	}
	// The signal at mocker's end follows the thread, not the process, so this
	// thread has to stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return RunWith(ctx, list, st, func(hook *config.Hook, stdio [3]*os.File) (Process, error) {
		return startHere(hook, dir, stdio)
	})
}

// RunWith is Run for hooks that are started by a function.
func RunWith(ctx context.Context, list []config.Hook, st *specs.State, start Start) error {
	state, err := json.Marshal(st)
	if err != nil {
		return fmt.Errorf("encode the state of container %q: %w", st.ID, err)
	}
	for i := range list {
		if err := runOne(ctx, &list[i], st.Annotations, state, start); err != nil {
			return fmt.Errorf("hook %q: %w", list[i].Path, err)
		}
	}
	return nil
}

// workDir is the bundle, or "/" if that is gone. It is looked at beforehand,
// because a fork that fails in chdir blames the program.
func workDir(bundle string) (string, error) {
	switch _, err := os.Stat(bundle); {
	case err == nil:
		return bundle, nil
	case errors.Is(err, fs.ErrNotExist):
		return "/", nil
	default:
		return "", fmt.Errorf("enter the bundle for the hooks: %w", err)
	}
}

func runOne(ctx context.Context, hook *config.Hook, annotations map[string]string, state []byte, start Start) error {
	if hook.Timeout > 0 {
		var stop context.CancelFunc
		cause := fmt.Errorf("timed out after %s", hook.Timeout)
		ctx, stop = context.WithTimeoutCause(ctx, hook.Timeout, cause)
		defer stop()
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	p, err := newPipes(annotations)
	if err != nil {
		return err
	}
	defer p.close()
	proc, err := start(hook, p.stdio)
	p.closeStdio()
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	p.serve(state)
	err = wait(ctx, proc)
	if text := p.output(); err != nil && text != "" {
		return fmt.Errorf("%w: %s", err, text)
	}
	return err
}

// wait waits for the end of a hook, and kills it when ctx ends before.
func wait(ctx context.Context, proc Process) error {
	var status syscall.WaitStatus
	var err error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		status, err = proc.Wait()
	}()
	select {
	case <-ctx.Done():
		proc.Kill()
		<-ended
		return context.Cause(ctx)
	case <-ended:
	}
	if err != nil {
		return err
	}
	return failure(status)
}

// failure is what is wrong with the end of a process; nil if nothing is.
func failure(status syscall.WaitStatus) error {
	switch {
	case status.Signaled():
		return fmt.Errorf("signal: %s", status.Signal())
	case status.ExitStatus() != 0:
		return fmt.Errorf("exit status %d", status.ExitStatus())
	}
	return nil
}

// startHere starts a hook on the host. Its process group is its own, so that
// what it started can be killed with it.
func startHere(hook *config.Hook, dir string, stdio [3]*os.File) (Process, error) {
	args := hook.Args
	if len(args) == 0 {
		args = []string{hook.Path}
	}
	attr := &os.ProcAttr{
		Dir: dir, Files: stdio[:],
		Env: append([]string{}, hook.Env...), // not nil, which would hand on our own
		Sys: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
	}
	var p *os.Process
	var err error
	entry.Unbound(func() { p, err = os.StartProcess(hook.Path, args, attr) })
	if pathErr := (*fs.PathError)(nil); errors.As(err, &pathErr) {
		err = pathErr.Err // without the path, which is named once
	}
	return here{p}, err
}

// here is a hook that runs on the host.
type here struct{ *os.Process }

func (p here) Wait() (syscall.WaitStatus, error) {
	state, err := p.Process.Wait()
	if err != nil {
		return 0, err
	}
	status, _ := state.Sys().(syscall.WaitStatus)
	return status, nil
}

// Kill kills the process on its own too: it may have moved to another group.
func (p here) Kill() {
	_ = syscall.Kill(-p.Pid, syscall.SIGKILL) // ESRCH: they are gone
	_ = p.Process.Kill()
}
