// Package hooks runs lists of OCI hooks (runtime-spec, config.md,
// "POSIX-platform Hooks"): programs of the host that are called at a point of
// a container's life with the container's state on their standard input.
//
// It acts on the host, in the namespaces of the caller, and knows nothing of
// what a hook does or at which point it runs: which list is due, and what a
// failure means for the container, is libcontainer's to decide. Hooks that
// run inside the container are not started here.
package hooks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

// leftBehind is how long the output of a hook that has ended is still waited
// for. A hook may leave a daemon that keeps our pipe open for ever.
const leftBehind = 100 * time.Millisecond

// Run runs the hooks in order and stops at the first one that fails. Each
// gets st as JSON on its standard input, the environment of its own entry and
// nothing else, and the bundle as its working directory ("/" once the bundle
// is gone, as it may be by the time of a poststop hook).
//
// The error names the hook by its path and ends with the last of what it
// wrote to its standard output and error. A hook that outlives its timeout is
// killed, with its process group, and the error says so; so it is when ctx
// ends, with the cause of that as the error. A hook that ends without reading
// its input is no failure, nor is one that leaves a process in the background:
// that one is left alone, but can write to nobody any more.
func Run(ctx context.Context, list []config.Hook, st *specs.State) error {
	if len(list) == 0 {
		return nil
	}
	state, err := json.Marshal(st)
	if err != nil {
		return fmt.Errorf("encode the state of container %q: %w", st.ID, err)
	}
	dir, err := workDir(st.Bundle)
	if err != nil {
		return err
	}
	for i := range list {
		if err := runOne(ctx, &list[i], dir, state); err != nil {
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

func runOne(ctx context.Context, hook *config.Hook, dir string, state []byte) error {
	if hook.Timeout > 0 {
		var stop context.CancelFunc
		cause := fmt.Errorf("timed out after %s", hook.Timeout)
		ctx, stop = context.WithTimeoutCause(ctx, hook.Timeout, cause)
		defer stop()
	}
	cmd := exec.CommandContext(ctx, hook.Path)
	if len(hook.Args) > 0 {
		cmd.Args = hook.Args
	}
	// Not nil, which would hand on our own environment.
	cmd.Env = append([]string{}, hook.Env...)
	cmd.Dir = dir
	var out tail
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(state), &out, &out
	// A group of its own, so that what the hook started dies with it. It dies
	// with mocker, or it would go on to make what nobody takes back; the signal
	// follows the thread, not the process, so this thread has to stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return killGroup(cmd.Process) }
	cmd.WaitDelay = leftBehind

	err := cmd.Run()
	if err == nil || errors.Is(err, exec.ErrWaitDelay) {
		return nil
	}
	if cmd.ProcessState == nil && ctx.Err() == nil {
		// It never ran. Run names the path, so that of the error goes.
		if pathErr := (*fs.PathError)(nil); errors.As(err, &pathErr) {
			err = pathErr.Err
		}
		return fmt.Errorf("start: %w", err)
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if text := out.String(); text != "" {
		return fmt.Errorf("%w: %s", err, text)
	}
	return err
}

// killGroup kills a hook with its process group. The process is killed on its
// own too: it may have moved to another group.
func killGroup(p *os.Process) error {
	_ = syscall.Kill(-p.Pid, syscall.SIGKILL) // ESRCH: they are gone
	return p.Kill()
}
