package process

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
	"github.com/mocker-runtime/mocker/libcontainer/inside"
)

// When the seccomp filter is loaded.
//
// As late as can be: right before execve, so that a profile need not allow
// anything but what the program does. Without no_new_privs it takes
// CAP_SYS_ADMIN; a process that is not to have it keeps it until then, and one
// capset follows.
//
// Earlier in two cases, before the child has a table of fds of its own. A
// filter with a listener: the fd has to come to mocker, which is gone when the
// container is started. And where the rest is done by a copy in a pid namespace
// that others live in, who could take CAP_SYS_ADMIN from it.

// filterCap is the capability that loading the filter takes and the process is
// not to have, as a bit; 0: there is none.
func filterCap(proc *config.Process) uint64 {
	const admin = 1 << unix.CAP_SYS_ADMIN
	if proc.Seccomp == nil || proc.NoNewPrivs || proc.Caps.Effective&admin != 0 {
		return 0
	}
	return admin
}

// filtersEarly reports whether the filter is loaded before the wait for start,
// and before there is a copy.
func (l *Last) filtersEarly() bool {
	if l.Process == nil || l.Process.Seccomp == nil {
		return false
	}
	return l.Process.Seccomp.Notify || (l.Joins || l.Inhabited) && filterCap(l.Process) != 0
}

// loadFilter appends the loading of the filter, if there is one, behind
// becomeUser, and takes away the capability for it.
func loadFilter(p *inside.Program, last Last) (listener inside.Result) {
	proc := last.Process
	if proc.Seccomp == nil {
		return 0
	}
	f := &inside.Filter{Instructions: proc.Seccomp.Filter, Flags: filterFlags(proc.Seccomp), Judge: last.Judge}
	listener = p.AddSeccomp(f)
	if filterCap(proc) != 0 {
		p.AddCapset(finalCaps(proc))
	}
	return listener
}

// filterFlags are those that the filter is loaded with. Those about a listener
// are the kernel's only with one; TSYNC, which it has not together with one,
// is about other threads, and there are none.
func filterFlags(s *config.Seccomp) uint {
	const listener = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER
	if s.Notify {
		return s.Flags&^unix.SECCOMP_FILTER_FLAG_TSYNC | listener
	}
	return s.Flags &^ (listener | unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)
}

// TakesFlags reports whether the kernel loads filters with these flags
// (SECCOMP_FILTER_FLAG_*).
func TakesFlags(flags uint) bool {
	if flags&unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV != 0 {
		flags |= unix.SECCOMP_FILTER_FLAG_NEW_LISTENER // without which it means nothing
	}
	return inside.CheckSeccomp(flags) == nil
}

// CheckFilter makes sure that the kernel can load a filter; nil is none.
func CheckFilter(s *config.Seccomp) error {
	if s == nil {
		return nil
	}
	if err := inside.CheckSeccomp(filterFlags(s)); err != nil {
		return fmt.Errorf("linux.seccomp: %w", err)
	}
	return nil
}

// becomeFiltered lets go of the parent, takes on the final credentials and
// loads the filter. The listener is the parent's to close; nil if there is
// none. Only with one are the fds still the parent's as well: else the calls
// that close them come before a filter that may not know them (close_range(2)
// is younger than many profiles).
func becomeFiltered(in *inside.Child, last Last, keep []int) (listener *os.File, err error) {
	p := in.NewProgram()
	if err := forgetParent(p, last); err != nil {
		return nil, err
	}
	if !last.Process.Seccomp.Notify {
		takeFiles(p, last, keep)
		closeOnExec(p, last)
	}
	if err := p.Run(); err != nil {
		return nil, err
	}
	if err := setRlimits(in.PID, last); err != nil {
		return nil, err
	}
	p = in.NewProgram()
	becomeUser(p, in, last.Process)
	hide(p)
	res := loadFilter(p, last)
	if err := p.Run(); err != nil {
		return nil, err
	}
	if last.Process.Seccomp.Notify {
		listener = os.NewFile(uintptr(p.Value(res)), "seccomp listener")
	}
	return listener, nil
}

// filterEarly is letGo for a process that loads its filter before.
func filterEarly(in *inside.Child, last Last, keep []int) error {
	keep = append(keep, in.ParentFD())
	listener, err := becomeFiltered(in, last, keep)
	if err != nil {
		return err
	}
	pass := func() error {
		if listener == nil {
			return nil
		}
		defer listener.Close()
		in.Listened = true
		return last.Pass(in.PID, listener)
	}
	if !last.Inhabited {
		if err := pass(); err != nil {
			return err
		}
	}
	if last.Process.Seccomp.Notify {
		p := in.NewProgram()
		takeFiles(p, last, keep)
		if err := p.Run(); err != nil {
			return err
		}
	}
	if !last.Inhabited {
		return nil
	}
	if err := moveIn(in, last); err != nil {
		return err
	}
	return pass() // not before the process has its final pid
}

// joinFiltered is Join for a process that loads its filter before it is
// copied.
func joinFiltered(in *inside.Child, last Last, t turnstile) (pid int, err error) {
	listener, err := becomeFiltered(in, last, append(t.keep, in.ParentFD()))
	if err != nil {
		return 0, err
	}
	if t.meet == nil {
		if err := schedule(in.PID, last.Process); err != nil {
			return 0, err
		}
	}
	meet := t.meet
	if listener != nil {
		defer listener.Close()
		meet = func(pid int) error {
			err := last.Pass(pid, listener)
			if err == nil && t.meet != nil {
				err = t.meet(pid)
			}
			return err
		}
	}
	pid, err = in.Become(func(p *inside.Program) {
		if last.Process.Seccomp.Notify {
			takeFiles(p, last, t.keep)
		} else {
			p.Add("close", "pidfd of mocker", unix.SYS_CLOSE, in.ParentFD())
		}
	}, func(p *inside.Program) {
		startSession(p, last, t.keep)
		limitProcesses(p, last.Process.Rlimits)
		p.Add("rt_sigprocmask", "none", unix.SYS_RT_SIGPROCMASK, sigSetmask, make([]byte, 8), nil, 8)
		p.Add("exec", last.Path, unix.SYS_EXECVE, last.Path, last.Process.Args, last.Env)
	}, meet)
	return pid, Explain(err)
}
