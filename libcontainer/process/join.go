package process

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
	"github.com/mocker-runtime/mocker/libcontainer/entry"
	"github.com/mocker-runtime/mocker/libcontainer/inside"
)

// Join makes one more process of a container of the child, which has entered
// its namespaces, and returns its pid when it has executed its program.
//
// The container's own processes see the copy that does so in their pid
// namespace and may trace it. Everything that could be of use to them is gone
// before there is a copy: memory, fds, ids and capabilities. It has only left
// to do what a stranger may watch.
func Join(in *inside.Child, last Last) (pid int, err error) {
	last.Joins = true
	if a := last.Process.Affinity; a.Initial == nil && a.Final == nil {
		if err := entry.Unbind(in.PID); err != nil {
			return 0, err
		}
	}
	var t turnstile
	if afterFork(last.Process.Scheduler) {
		if err := t.open(last.Process); err != nil {
			return 0, err
		}
		defer t.close()
	}
	if last.filtersEarly() {
		return joinFiltered(in, last, t)
	}
	if err := letGo(in, last, t.keep); err != nil {
		return 0, err
	}
	if t.meet == nil {
		if err := schedule(in.PID, last.Process); err != nil {
			return 0, err
		}
	}
	pid, err = in.Become(func(p *inside.Program) {
		p.Add("close", "pidfd of mocker", unix.SYS_CLOSE, in.ParentFD())
		becomeUser(p, in, last.Process)
		hide(p)
	}, func(p *inside.Program) {
		startSession(p, last, t.keep)
		limitProcesses(p, last.Process.Rlimits)
		p.Add("rt_sigprocmask", "none", unix.SYS_RT_SIGPROCMASK, sigSetmask, make([]byte, 8), nil, 8)
		loadFilter(p, last)
		p.Add("exec", last.Path, unix.SYS_EXECVE, last.Path, last.Process.Args, last.Env)
	}, t.meet)
	return pid, Explain(err)
}

// hide undoes what a change of ids has done: after it the process is what
// fs.suid_dumpable says.
func hide(p *inside.Program) {
	p.Add("prctl", "PR_SET_DUMPABLE", unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0)
}

// startSession makes the copy the leader of a session, and the terminal its
// own. Before it is a mortal one it passes the turnstiles (AddTurnstile).
func startSession(p *inside.Program, last Last, turnstiles []int) {
	p.Add("setsid", "", unix.SYS_SETSID)
	if last.Terminal != nil {
		p.Add("ioctl", "TIOCSCTTY", unix.SYS_IOCTL, 0, unix.TIOCSCTTY, 0)
	}
	for _, fd := range turnstiles {
		p.AddTurnstile(fd)
	}
	if last.Mortal {
		p.Add("prctl", "PR_SET_PDEATHSIG", unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, int(unix.SIGKILL))
	}
}

// turnstile is where a copy waits until its parent has given it a scheduler
// that it could not have got from the process it was copied from.
type turnstile struct {
	r, w *os.File
	keep []int // fds that the copy needs for it
	meet func(pid int) error
}

func (t *turnstile) open(p *config.Process) (err error) {
	if t.r, t.w, err = os.Pipe(); err != nil {
		return fmt.Errorf("make a pipe: %w", err)
	}
	t.keep = []int{int(t.r.Fd())}
	t.meet = func(pid int) error {
		if err := schedule(pid, p); err != nil {
			return err
		}
		_, err := t.w.Write([]byte{Marker})
		return err
	}
	return nil
}

func (t *turnstile) close() {
	t.r.Close()
	t.w.Close()
}

// limitProcesses sets RLIMIT_NPROC in the copy: the child counts as a process
// of the user too, and the limit must not be what keeps it from being copied.
func limitProcesses(p *inside.Program, limits []config.Rlimit) {
	for _, r := range limits {
		if r.Resource == unix.RLIMIT_NPROC {
			p.AddSetrlimit(r)
		}
	}
}

// Explain adds to the error of a last program what its errno stands for.
func Explain(err error) error {
	if err == nil || !strings.HasPrefix(err.Error(), "exec ") {
		return err
	}
	switch {
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("%w (its interpreter or dynamic loader is missing)", err)
	case errors.Is(err, unix.ENOEXEC):
		return fmt.Errorf("%w (neither a program for this machine nor a script that begins with #!)", err)
	}
	return err
}

// SetOOMScoreAdj tells the kernel how willingly to kill a process when memory
// is short (proc_pid_oom_score_adj(5)); nil leaves it as it is.
func SetOOMScoreAdj(pid int, adj *int) error {
	if adj == nil {
		return nil
	}
	value := fmt.Sprint(*adj)
	err := os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte(value), 0)
	if errors.Is(err, unix.EACCES) {
		return fmt.Errorf("write %q to oom_score_adj: %w (lowering it takes CAP_SYS_RESOURCE)", value, unix.EACCES)
	}
	if err != nil {
		return fmt.Errorf("write %q to oom_score_adj: %w", value, err)
	}
	return nil
}
