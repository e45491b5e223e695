package inside

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Filter is a seccomp filter for a child (seccomp(2)).
type Filter struct {
	Instructions []unix.SockFilter // at least one
	Flags        uint              // SECCOMP_FILTER_FLAG_*; with NEW_LISTENER the call's result is an fd

	// Judge says what the filter answers to a call, a SECCOMP_RET_* action.
	Judge func(nr uintptr, args [6]uintptr) uint32
}

// patience is how long a child may take whose calls somebody else answers, who
// has the listener of its filter.
const patience = 10 * time.Second

// asks reports whether somebody else may answer calls. It is false without a
// filter.
func (f *Filter) asks() bool { return f != nil && f.Flags&unix.SECCOMP_FILTER_FLAG_NEW_LISTENER != 0 }

// errUnanswered is the end of patience.
var errUnanswered = errors.New("waits for an answer of who has the listener of its seccomp filter")

// clock is when a wait for the child began; zero where its calls are answered
// by the kernel alone, which is waited for as long as it takes.
func (in *Child) clock() time.Time {
	if !in.filter.asks() {
		return time.Time{}
	}
	return time.Now()
}

// tooLong reports whether a wait that began at a time has lasted too long.
func tooLong(begin time.Time) bool { return !begin.IsZero() && time.Since(begin) > patience }

// fprog is struct sock_fprog of the kernel.
type fprog struct {
	count   uint16
	program uintptr
}

// AddSeccomp appends the loading of a filter. The calls behind it, and those
// of all later programs, run under it: one that the filter does not let
// through is an error of Run and Post, before the child executes anything.
func (p *Program) AddSeccomp(f *Filter) Result {
	program := unsafe.Slice((*byte)(unsafe.Pointer(&f.Instructions[0])), len(f.Instructions)*unix.SizeofSockFilter)
	prog := fprog{uint16(len(f.Instructions)), p.copy(program, 8)}
	res := p.Add("seccomp", "SECCOMP_SET_MODE_FILTER", unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, uintptr(f.Flags), bytesOf(&prog))
	p.filter, p.filtered = f, len(p.calls)
	return res
}

// CheckSeccomp makes sure that the kernel loads filters with these flags
// (SECCOMP_FILTER_FLAG_*). It loads none: an address that nothing is at is
// looked at after the flags.
func CheckSeccomp(flags uint) error {
	_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, uintptr(flags), 0)
	switch errno {
	case unix.EFAULT:
		return nil
	case unix.ENOSYS:
		return fmt.Errorf("%w: the kernel has no seccomp filters (CONFIG_SECCOMP_FILTER)", errno)
	case unix.EINVAL:
		return fmt.Errorf("%w: the kernel has no seccomp filters with the flags %#x", errno, flags)
	}
	return fmt.Errorf("seccomp with the flags %#x: %w", flags, errno)
}

// underFilter are the calls of the program that run under a filter, from the
// index on; nil: none do.
func (p *Program) underFilter() (f *Filter, from int) {
	if p.filter != nil {
		return p.filter, p.filtered
	}
	return p.in.filter, 0
}

// checkFilter makes sure that the filter lets the program through. answered
// says that the child is to go on after it: then the loop has calls to make
// as well.
func (p *Program) checkFilter(answered bool) error {
	f, from := p.underFilter()
	if f == nil || p.passed {
		return nil
	}
	for i := from; i < len(p.calls); i++ {
		s, name := &p.in.region.slots[i], p.calls[i].name
		if s.nr == unix.SYS_EXECVE {
			name = "execve"
		}
		if err := f.passes(name, s.nr, s.args, p.in.Listened || p.listened != 0 && i >= p.listened); err != nil {
			return err
		}
	}
	listened := p.in.Listened || p.listened != 0
	// A child that could not end would go on with what is not meant for it.
	if err := f.passes("exit_group", sysExitGroup, [6]uintptr{}, listened); err != nil || !answered {
		p.passed = err == nil
		return err
	}
	if err := f.passes("futex", sysFutex, [6]uintptr{}, listened); err != nil {
		return err
	}
	return f.passes("ppoll", unix.SYS_PPOLL, [6]uintptr{}, listened)
}

// passes makes sure that the filter lets a call through; listened says that
// somebody is there to be asked.
func (f *Filter) passes(name string, nr uintptr, args [6]uintptr, listened bool) error {
	answer := f.Judge(nr, args)
	switch answer & unix.SECCOMP_RET_ACTION_FULL {
	case unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_LOG:
		return nil
	case unix.SECCOMP_RET_USER_NOTIF:
		if listened {
			return nil
		}
	}
	return &FilterError{name, answer}
}

// FilterError says that a filter does not let the child do what it has to do
// once the filter is loaded.
type FilterError struct {
	Call   string // the name of the system call
	Answer uint32 // of the filter to it, SECCOMP_RET_*; USER_NOTIF where nobody can be asked yet
}

func (e *FilterError) Error() string {
	return fmt.Sprintf("the seccomp filter answers %#x to %s, which has to be called after it is loaded", e.Answer, e.Call)
}

// AddWriteFailure appends, in an epilogue, a write of the Failure that led to
// it; nothing where the filter denies that.
func (p *Program) AddWriteFailure(fd int) {
	what := unsafe.Pointer(&p.in.region.failed)
	args := [6]uintptr{uintptr(fd), uintptr(what), uintptr(FailureSize)}
	if f, _ := p.underFilter(); f != nil && f.passes("write", unix.SYS_WRITE, args, p.in.Listened) != nil {
		return
	}
	p.Add("write", "failure", unix.SYS_WRITE, fd, what, FailureSize)
}
