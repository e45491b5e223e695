package inside

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// HandOver makes the child clone itself and go on as the copy, which is in
// the pid namespace that the child has joined with Setns, and in new
// namespaces as flags say. The child that was ends; PID and Pidfd are the
// copy's. The copy is a child of this process too (CLONE_PARENT). A child can
// hand over once: from then on its view of pids is not its parent's.
//
// A copy in a pid namespace that others live in is visible to them, and one
// with CAP_SYS_PTRACE there can do with it, and with the region, as it likes.
// For such a place there are MoveIn and Become.
func (in *Child) HandOver(flags uintptr) error {
	old := in.PID
	p := in.NewProgram()
	in.region.tid = 0
	p.addClone("hand over", flags|unix.CLONE_PIDFD|unix.CLONE_FILES)
	p.Add("prctl", "PR_SET_PDEATHSIG", unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, int(unix.SIGKILL)) // fork clears it
	p.Add("setsid", "", unix.SYS_SETSID)
	if err := in.runCopy(p); err != nil {
		return err
	}
	unix.Close(in.Pidfd)
	in.PID, in.Pidfd = int(in.region.tid), int(in.region.pidfd)
	_, err := Reap(old)
	return err
}

// MoveIn is HandOver for a child that has let go of all it shared with this
// process, into the pid namespace that it has joined and that others live in.
// The calls of before are executed in the child, which they cannot see; those
// of after in the copy, which they can.
//
// The child must have left its pidfd of this process behind: see WatchPipe.
// From then on the region is theirs to write as well: what the copy says is
// good for an error at most. Its pid is the one that the kernel wrote, and is
// taken only if the kernel confirms that it is a child of this process.
func (in *Child) MoveIn(before, after func(*Program)) error {
	old := in.PID
	p := in.NewProgram()
	in.region.tid = 0
	before(p)
	p.addOldClone("into the pid namespace", 0)
	after(p)
	if err := p.forget(); err != nil {
		return err
	}
	if err := in.runCopy(p); err != nil {
		return err
	}
	pid := int(atomic.LoadInt32(&in.region.tid))
	if _, err := Reap(old); err != nil {
		return err
	}
	// Not reaped, so the pid is its own; the old one is gone.
	if err := ownChild(pid); err != nil {
		return err
	}
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("open a pidfd of process %d: %w", pid, err)
	}
	unix.Close(in.Pidfd)
	in.PID, in.Pidfd = pid, pidfd
	return nil
}

// WatchPipe makes the child look at the end of a pipe instead of at a pidfd,
// which tells as well that this process is gone. For who can trace it a pidfd
// would be a way to all that this process has open (pidfd_getfd(2)).
func (in *Child) WatchPipe() error {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return fmt.Errorf("make a pipe: %w", err)
	}
	in.region.parent = unix.PollFd{Fd: int32(ends[0])} // what is waited for, POLLHUP, need not be asked for
	unix.Close(in.parent)
	in.parent, in.pipe = ends[0], os.NewFile(uintptr(ends[1]), "pipe")
	return nil
}

// runCopy has the child execute a program in which it hands over to a copy.
func (in *Child) runCopy(p *Program) error {
	if err := p.post(true); err != nil {
		return err
	}
	err := in.awaitCopy(p)
	if in.trace != nil {
		died := err
		if in.region.failed.slot != 0 {
			died = nil // a call of it has failed, and says so
		}
		p.note(in.PID, died)
	}
	if err != nil {
		in.dead = err
		in.endCopy(int(atomic.LoadInt32(&in.region.tid)))
		return err
	}
	return nil
}

// addClone appends the clone3 of a hand-over. exit_signal is 0: with
// CLONE_PARENT the copy has the one of the child.
func (p *Program) addClone(name string, flags uintptr) {
	if p.in.dead != nil {
		p.fail(p.in.dead)
		return
	}
	r := p.in.region
	r.clone = cloneArgs{
		flags:     uint64(flags) | unix.CLONE_PARENT | unix.CLONE_PARENT_SETTID,
		pidfd:     uint64(uintptr(unsafe.Pointer(&r.pidfd))),
		parentTID: uint64(uintptr(unsafe.Pointer(&r.tid))),
	}
	p.Add(name, fmt.Sprintf("clone3 %#x", flags), sysClone3, unsafe.Pointer(&r.clone), unsafe.Sizeof(r.clone))
}

// addOldClone is addClone by clone(2): where a seccomp filter is loaded
// already, it allows that one and not clone3, whose flags it cannot see.
func (p *Program) addOldClone(name string, flags uintptr) {
	if p.in.dead != nil {
		p.fail(p.in.dead)
		return
	}
	p.Add("clone", name, unix.SYS_CLONE, flags|unix.CLONE_PARENT|unix.CLONE_PARENT_SETTID, nil, unsafe.Pointer(&p.in.region.tid))
}

// awaitCopy waits for the end of a program in which the child hands over to a
// copy: the child's own end is part of it.
func (in *Child) awaitCopy(p *Program) error {
	r, begin := in.region, in.clock()
	for {
		done := atomic.LoadUint32(&r.finished)
		if done == r.posted {
			break
		}
		if tooLong(begin) {
			return p.died(errUnanswered)
		}
		in.sleep(done)
		pid := int(atomic.LoadInt32(&r.tid))
		if pid == 0 {
			pid = in.PID
		}
		if gone(pid) && atomic.LoadUint32(&r.finished) != r.posted {
			return fmt.Errorf("the container's process ended during %q", p.calls[0].String())
		}
	}
	return p.failure()
}

// gone reports whether a child of this process has ended; it is not reaped.
func gone(pid int) bool {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return err != nil || info.Signo != 0
}

// Become runs a last program in a pid namespace that others live in: the
// calls of before, in the child, which they cannot see; then those of after,
// in a copy, which they can. The last of these is execve; Become returns when
// it has been done, with the pid of the program, or when it failed.
//
// The child waits for its copy in the kernel (CLONE_VFORK) and ends after it:
// that end is what says that the copy has executed its program or ended.
// Nothing that the copy could say is relied on, for it may be traced by who
// lives there: the pid is used only if the kernel says that it is a child of
// this process, and the failure that is read back once is checked to be a
// call of this program.
//
// meet, if it is not nil, is called with the pid of the copy. Either the copy
// waits for it (see AddTurnstile), or it may be called when the copy has
// already executed its program. An error of it ends the copy.
func (in *Child) Become(before, after func(*Program), meet func(pid int) error) (pid int, err error) {
	p := in.NewProgram()
	in.region.tid = 0
	before(p)
	first := len(p.calls)
	p.addOldClone("join", unix.CLONE_VFORK)
	if meet != nil && in.filter.asks() {
		p.listened = len(p.calls)
	}
	after(p)
	p.Epilogue()
	p.Add("exit_group", "", unix.SYS_EXIT_GROUP, 255)
	if err := p.forget(); err != nil {
		return 0, err
	}
	p.followed = true
	if err := p.Post(); err != nil {
		return 0, err
	}
	if err := in.meetCopy(meet); err != nil {
		in.Kill()
		in.endCopy(int(atomic.LoadInt32(&in.region.tid)))
		return 0, err
	}
	status, err := in.Wait()
	if err != nil {
		return 0, err
	}
	in.dead = errors.New("the container's process has become a program")
	failed := in.region.failed
	pid = int(atomic.LoadInt32(&in.region.tid))
	done := failed.slot == 0 && status.ExitStatus() == 0 && pid != 0
	if in.trace != nil {
		var died error
		if !done && failed.slot == 0 {
			died = howEnded(status)
		}
		p.note(in.PID, died)
	}
	if done {
		return pid, ownChild(pid)
	}
	in.endCopy(pid)
	if i := int(failed.slot) - 1; i >= 0 && i < len(p.calls) && (i > first || status.Exited()) {
		return 0, callError(p.calls[i], unix.Errno(failed.errno))
	}
	return 0, fmt.Errorf("the process that joins the container %w", howEnded(status))
}

// meetCopy waits until there is a copy, and does something with it. Where
// somebody else may answer calls of the copy, it waits for the copy to get on.
func (in *Child) meetCopy(do func(pid int) error) error {
	if do == nil {
		return nil
	}
	begin, met := in.clock(), false
	for wait := time.Duration(0); !in.ended(wait); wait = min(wait+time.Millisecond, lookAfter) {
		if tooLong(begin) {
			return errUnanswered
		}
		pid := int(atomic.LoadInt32(&in.region.tid))
		if met || pid == 0 {
			continue
		}
		if err := ownChild(pid); err != nil {
			return err
		}
		if err := do(pid); err != nil || begin.IsZero() {
			return err
		}
		met = true
	}
	// What is wrong, if something is, Become says.
	if pid := int(atomic.LoadInt32(&in.region.tid)); !met && pid != 0 && in.region.failed.slot == 0 && ownChild(pid) == nil {
		return do(pid)
	}
	return nil
}

// AddTurnstile appends the calls by which a copy waits for a byte from its
// parent on a pipe; it does not outlive the parent there.
func (p *Program) AddTurnstile(pipe int) {
	p.Add("prctl", "PR_SET_PDEATHSIG", unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, int(unix.SIGKILL))
	p.Add("read", "turnstile", unix.SYS_READ, pipe, make([]byte, 8), 1)
	p.Add("close", "turnstile", unix.SYS_CLOSE, pipe)
	p.Add("prctl", "PR_SET_PDEATHSIG", unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, 0)
}

// forget takes out of the region what earlier programs have left in it: the
// copy has it mapped, and who may read the copy's memory is a stranger.
func (p *Program) forget() error {
	if err := errors.Join(p.err, p.in.dead); err != nil {
		return err
	}
	r := p.in.region
	clear(r.slots[len(p.calls):])
	page := unix.Getpagesize()
	base := int(uintptr(unsafe.Pointer(&r.arena)) % uintptr(page))
	end := min((base+p.text+page-1)/page*page-base, arenaSize) // the first whole page behind the program
	clear(r.arena[p.text:end])
	rest := r.arena[end : arenaSize-(base+arenaSize)%page]
	if err := unix.Madvise(rest, unix.MADV_REMOVE); err != nil {
		return fmt.Errorf("madvise MADV_REMOVE: %w", err)
	}
	return nil
}

// endCopy ends a copy that is not to go on. One that is not reaped would keep
// the init of its pid namespace from ending.
func (in *Child) endCopy(pid int) {
	if pid == 0 || pid == in.PID || ownChild(pid) != nil {
		return
	}
	_ = unix.Kill(pid, unix.SIGKILL) // a child that is not reaped: the pid is still its own
	_, _ = Reap(pid)
}

// ownChild makes sure that a pid is that of a child of this process which
// has not been reaped.
func ownChild(pid int) error {
	var info unix.Siginfo
	if err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil); err != nil {
		return fmt.Errorf("process %d is no child of mocker: %w", pid, err)
	}
	return nil
}

// Reap waits for the end of a child of this process, and reaps it.
func Reap(pid int) (status unix.WaitStatus, err error) {
	for {
		_, err = unix.Wait4(pid, &status, 0, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return 0, fmt.Errorf("wait for process %d: %w", pid, err)
	}
	return status, nil
}

// sleep waits for the child to end a program, lookAfter at most.
func (in *Child) sleep(done uint32) (timedOut bool) {
	r := in.region
	atomic.StoreUint32(&r.parentSleeps, 1)
	defer atomic.StoreUint32(&r.parentSleeps, 0)
	tick := unix.NsecToTimespec(int64(lookAfter / time.Nanosecond))
	_, _, errno := unix.Syscall6(sysFutex, uintptr(unsafe.Pointer(&r.finished)), futexWait, uintptr(done),
		uintptr(unsafe.Pointer(&tick)), 0, 0)
	return errno == unix.ETIMEDOUT
}
