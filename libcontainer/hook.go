package libcontainer

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/hooks"
	"github.com/mocker-runtime/mocker/libcontainer/cgroups"
	"github.com/mocker-runtime/mocker/libcontainer/config"
	"github.com/mocker-runtime/mocker/libcontainer/inside"
	"github.com/mocker-runtime/mocker/libcontainer/nofile"
	"github.com/mocker-runtime/mocker/libcontainer/process"
	"github.com/mocker-runtime/mocker/libcontainer/seal"
	"github.com/mocker-runtime/mocker/libcontainer/state"
	"github.com/mocker-runtime/mocker/libcontainer/trace"
)

func hookState(st *state.State, status specs.ContainerState) *specs.State {
	s := &specs.State{Version: st.Version, ID: st.ID, Status: status, Bundle: st.Bundle, Annotations: st.Annotations}
	if status != specs.StateStopped {
		s.Pid = st.Init.PID
	}
	return s
}

// whileAlive is a context that ends with the process of a pidfd: a hook that
// hangs is killed when somebody kills the container.
func whileAlive(pidfd int) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.Background())
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}, {Fd: -1, Events: unix.POLLIN}}
	stop, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err == nil {
		fds[1].Fd = int32(stop)
	} // else it is looked every now and then whether it is over
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for ctx.Err() == nil {
			if _, err := unix.Poll(fds, 100); err == nil && fds[0].Revents != 0 {
				cancel(errEnded)
			}
		}
	}()
	return ctx, func() {
		cancel(nil)
		if err == nil {
			_, _ = unix.Write(stop, []byte{1, 0, 0, 0, 0, 0, 0, 0})
			defer unix.Close(stop)
		}
		<-stopped // the pidfd is the caller's again
	}
}

// hookTrace runs hooks of a kind and notes each of them.
type hookTrace struct {
	rec  *trace.Recorder // nil: nobody wants to know
	kind string
}

// run is hooks.Run.
func (t hookTrace) run(ctx context.Context, list []config.Hook, st *specs.State) error {
	return t.each(list, func(list []config.Hook) error { return hooks.Run(ctx, list, st) })
}

// each runs them one at a time.
func (t hookTrace) each(list []config.Hook, run func([]config.Hook) error) error {
	for i := range list {
		span := t.rec.Begin(trace.Hook, t.kind+" "+list[i].Path)
		err := run(list[i : i+1])
		span.End(err)
		if err != nil {
			return err
		}
	}
	return nil
}

// insider starts hooks inside a container: each one joins it, as exec does.
type insider struct {
	place
	kind    string // "createContainer"
	keyring string // of the container; "": it has none
	label   string // of SELinux, for the keyring

	// ready makes the last of a joiner: where in the container it is, as whom
	// it runs, and that its program is there.
	ready func(in *inside.Child, hook *config.Hook, last *process.Last) error
}

// run runs hooks inside the container, with a state in which the pid is the
// one that is seen there (runtime.md, "State").
func (i insider) run(ctx context.Context, list []config.Hook, st *specs.State) error {
	if len(list) == 0 {
		return nil
	}
	pid, err := pidInside(st.Pid)
	if err != nil {
		return err
	}
	st.Pid = pid
	return hookTrace{i.trace, i.kind}.each(list, func(list []config.Hook) error {
		return hooks.RunWith(ctx, list, st, i.start)
	})
}

func (i insider) start(hook *config.Hook, stdio [3]*os.File) (hooks.Process, error) {
	in, err := i.join()
	if err != nil {
		return nil, err
	}
	defer in.Release()
	defer in.Close()
	defer in.Kill()
	if err := joinKeyring(in, i.keyring, i.label); err != nil {
		return nil, err
	}
	last := process.Last{Env: hook.Env, Stdio: stdio, Mortal: true}
	last.Nofile[0], last.Nofile[1] = nofile.Original()
	if err := i.ready(in, hook, &last); err != nil {
		return nil, err
	}
	last.Path = hook.Path
	p := *last.Process
	if p.Args = hook.Args; len(p.Args) == 0 {
		p.Args = []string{hook.Path}
	}
	last.Process = &p
	pid, err := process.Join(in, last)
	return joined(pid), err
}

// joined is a hook inside a container: the pid of a child of mocker's.
type joined int

// Wait waits for the hook and reaps it.
func (pid joined) Wait() (syscall.WaitStatus, error) {
	status, err := inside.Reap(int(pid))
	return syscall.WaitStatus(status), err
}

// Kill kills the hook and its process group: it leads a session.
func (pid joined) Kill() {
	_ = unix.Kill(-int(pid), unix.SIGKILL)
	_ = unix.Kill(int(pid), unix.SIGKILL)
}

// containerHooks runs createContainer: in the container's namespaces before
// the change of root, so that paths are those of the host. The hooks are the
// host's, and run as root with all capabilities there are, in the directory
// that is going to be the root, as with runc.
func (n *creation) containerHooks(ctx context.Context) error {
	i := insider{place: placeOf(n.st, n.in.Pidfd, n.cgroup), kind: "createContainer", keyring: n.keyringName(), label: n.st.Labels.SELinux}
	i.trace = n.opts.Trace
	i.traits = config.Traits{} // it is a program of the host
	i.ready = func(in *inside.Child, hook *config.Hook, last *process.Last) error {
		own, err := in.Capget()
		if err != nil {
			return err
		}
		caps := own.Permitted
		last.Process = &config.Process{
			Args: []string{hook.Path}, Cwd: n.cfg.Rootfs.Path, Umask: 0o022,
			Caps: config.Capabilities{Bounding: ^uint64(0), Permitted: caps, Effective: caps},
		}
		if err := process.Enter(in, last.Process); err != nil {
			return err
		}
		_, err = process.LookUp(in, last.Process, func(int) (bool, error) { return false, nil }) // mocker may be one
		return err
	}
	return i.run(ctx, n.cfg.Hooks.CreateContainer, hookState(n.st, specs.StateCreating))
}

// startHooks runs startContainer: in the container, right before its program
// and as the process that will be it, confined like it, but for the command
// line and the environment, as with runc.
func (c *Container) startHooks(st *state.State) error {
	list := st.Hooks.StartContainer
	if len(list) == 0 {
		return nil
	}
	pidfd, err := c.pidfd(st)
	if err != nil {
		return err
	}
	defer unix.Close(pidfd)
	cg, err := cgroups.FromPaths(st.CgroupPaths)
	if err != nil {
		return err
	}
	i := insider{place: placeOf(st, pidfd, cg.In(st.Delegate)), kind: "startContainer", label: st.Labels.SELinux}
	i.trace = c.Trace
	if !st.NoKeyring {
		i.keyring = keyringName(st.ID)
	}
	i.ready = func(in *inside.Child, hook *config.Hook, last *process.Last) error {
		p := *st.Process
		p.Args = []string{hook.Path}
		p.Scheduler, p.IOPriority = nil, nil // the program's, not its hooks'
		last.Process = &p
		if err := findProgram(in, last, nil); err != nil {
			return err
		}
		return confine(in, p.Labels, st.Traits)
	}
	ctx, cancel := whileAlive(pidfd)
	defer cancel()
	return i.run(ctx, list, hookState(st, specs.StateCreated))
}

// sealForHooks makes sure, before anything is open or locked, that what joins
// a container for its startContainer hooks is a sealed binary. It does not
// return if mocker has to be started anew for it: start does not seal for
// containers without such hooks.
func (c *Container) sealForHooks() error {
	st, err := c.dir.Load()
	if err != nil || len(st.Hooks.StartContainer) == 0 || os.Geteuid() != 0 {
		return nil //nolint:nilerr // Start loads it again and says so
	}
	return seal.Ensure(c.dir.Root())
}

// pidInside is the pid of a process in its own pid namespace.
func pidInside(pid int) (int, error) {
	file := fmt.Sprintf("/proc/%d/status", pid)
	data, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if list, ok := strings.CutPrefix(line, "NSpid:"); ok {
			pids := strings.Fields(list)
			return strconv.Atoi(pids[len(pids)-1])
		}
	}
	return 0, fmt.Errorf("read %s: no NSpid in it", file)
}
