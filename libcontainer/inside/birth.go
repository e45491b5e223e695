package inside

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/trace"
)

// lookAfter is how long either side waits before it looks whether the other
// is still alive: the end of a process that dies at the wrong moment is
// noticed after at most this long.
const lookAfter = 100 * time.Millisecond

// spins is how often either side looks before it sleeps, some ten
// microseconds: most calls, and most of what the parent does between two, take
// less than going to sleep and being woken.
const spins = 1 << 13

// Birth says how a child is born.
type Birth struct {
	Namespaces uintptr // CLONE_NEW* flags of clone3(2), all entered at once; not CLONE_NEWTIME
	CgroupFD   int     // v2 cgroup to be born into (CLONE_INTO_CGROUP); -1: the parent's

	Trace *trace.Recorder // notes its calls; nil: nobody does
}

// Child is a process inside a container that executes system calls for its
// parent. Its methods are used from the goroutine that called New, which
// stays locked to its thread until Release: PR_SET_PDEATHSIG fires at the end
// of the thread that gave birth, not of the process.
type Child struct {
	PID   int // as the parent sees it
	Pidfd int // close-on-exec; valid until Close

	// Listened says that somebody has the listener of the child's filter, and
	// answers the calls that it asks about.
	Listened bool

	trace       *trace.Recorder
	region      *region
	parent      int      // pidfd of this process, or the reading end of pipe
	pipe        *os.File // the writing end, which closes with this process; nil: see parent
	stack       uintptr  // an address in the child's stack
	dead        error    // why no further call can be made
	filter      *Filter  // that its calls run under; nil: none
	fixedGroups bool     // see FixedGroups
	reaped      bool
	closed      bool // the region is unmapped; only its address is left
	status      unix.WaitStatus
}

// births keeps two births from choosing at the same time what of the memory, which
// is the whole process's, a child is to get.
var births sync.Mutex

// New forks a child. The caller must end with Close, after Release where the
// child is to live on.
func New(b Birth) (*Child, error) {
	r, err := newRegion()
	if err != nil {
		return nil, err
	}
	parent, err := unix.PidfdOpen(os.Getpid(), 0) // close-on-exec by itself
	if err != nil {
		r.unmap()
		return nil, fmt.Errorf("open a pidfd of mocker: %w", err)
	}
	r.parent = unix.PollFd{Fd: int32(parent), Events: unix.POLLIN}
	r.tick = unix.NsecToTimespec(int64(lookAfter))
	if runtime.NumCPU() > 1 {
		r.spins = spins
	}

	page := uintptr(unix.Getpagesize())
	text, _ := textSegment() // unknown in a binary with cgo, for tests
	text = text.pages(page)
	r.fillCloneArgs(b)
	span := b.Trace.Begin(trace.Step, "clone3")
	runtime.LockOSThread()
	births.Lock()
	pid, stack, errno := fork(r, text, page)
	births.Unlock()
	span.End(errnoError(errno))
	if errno != 0 {
		runtime.UnlockOSThread()
		r.unmap()
		unix.Close(parent)
		return nil, birthError(b, errno)
	}
	in := &Child{PID: int(pid), Pidfd: int(r.pidfd), trace: b.Trace, region: r, parent: parent, stack: stack}
	if err := in.settle(); err != nil {
		in.Kill()
		in.Close()
		return nil, err
	}
	return in, nil
}

// errnoError is an errno as an error, and 0 as none.
func errnoError(errno unix.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

// Trace is what notes the child's calls; nil: nobody does.
func (in *Child) Trace() *trace.Recorder { return in.trace }

// settle is the first thing any child does.
func (in *Child) settle() error {
	p := in.NewProgram()
	p.Add("setsid", "", unix.SYS_SETSID)
	p.Add("prctl", "PR_SET_PDEATHSIG", unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, int(unix.SIGKILL))
	p.Add("prctl", "PR_SET_NAME", unix.SYS_PRCTL, unix.PR_SET_NAME, "mocker:[inside]")
	p.Add("umask", "0", unix.SYS_UMASK, 0) // modes given to mknodat and mkdirat are meant as they are
	return p.Run()
}

func birthError(b Birth, errno unix.Errno) error {
	switch {
	case errno == unix.ENOSYS || errno == unix.E2BIG:
		return fmt.Errorf("clone3: %w: mocker needs Linux 5.14 or newer, and a sandbox that lets clone3 through", errno)
	case (errno == unix.EACCES || errno == unix.EBUSY) && b.CgroupFD >= 0:
		return fmt.Errorf("clone3 into the cgroup: %w", errno)
	case errno == unix.EAGAIN && b.CgroupFD >= 0:
		return fmt.Errorf("clone3 into the cgroup: %w: a limit of processes is reached (pids.max of the cgroup or of one above, or RLIMIT_NPROC)", errno)
	case errno == unix.EPERM:
		return fmt.Errorf("clone3 with new namespaces (flags %#x): %w: it takes CAP_SYS_ADMIN, or a user namespace", b.Namespaces, errno)
	case errno == unix.ENOSPC || errno == unix.EUSERS:
		return fmt.Errorf("clone3 with new namespaces (flags %#x): %w: a limit in /proc/sys/user is reached", b.Namespaces, errno)
	}
	return fmt.Errorf("clone3 with new namespaces (flags %#x): %w", b.Namespaces, errno)
}

// Release lets the goroutine leave its thread. The child must have left its
// parent by then: a last program has cleared PR_SET_PDEATHSIG.
func (in *Child) Release() { runtime.UnlockOSThread() }

// Kill ends the child, and with it the pid namespace whose init it is, and
// waits for its end. No error if it is already gone.
func (in *Child) Kill() {
	if in.reaped {
		return
	}
	_ = unix.PidfdSendSignal(in.Pidfd, unix.SIGKILL, nil, 0) // ESRCH: gone
	_, _ = in.Wait()
}

// Wait waits for the end of the child, or of the program it has become, and
// reaps it. It may be called again.
func (in *Child) Wait() (unix.WaitStatus, error) {
	if in.reaped {
		return in.status, nil
	}
	status, err := Reap(in.PID)
	if err != nil {
		return 0, err
	}
	in.status, in.reaped = status, true
	return in.status, nil
}

// Close gives back what the parent holds of the child. It ends nothing.
func (in *Child) Close() {
	if in.closed {
		return
	}
	in.closed = true
	in.region.unmap()
	unix.Close(in.parent)
	if in.pipe != nil {
		in.pipe.Close()
	}
	unix.Close(in.Pidfd)
	in.dead = errors.New("the container's process was let go")
}
