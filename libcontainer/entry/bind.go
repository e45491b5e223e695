package entry

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A command stays on the processor that it was called on. Its threads do
// little at the same time, and neither do it and a child in a container, which
// answer each other some hundred times: to wake somebody on another processor,
// idle as like as not, takes longer than most of what is asked for. What
// outlives the command, or works on its own, gets the processors back that
// mocker was given: the container's processes, hooks, and mocker itself once it
// only waits.
//
// This is done before the runtime is, so that its threads come along.

type processors struct {
	given      unix.CPUSet // to mocker
	everybodys unix.CPUSet // of process 1
	one        unix.CPUSet // that mocker stays on
	number     uint32      // of it
	bound      bool
}

// bind binds the process, which has one thread as yet.
//
//go:nosplit
//go:norace
//go:nocheckptr
func bind() {
	const size = unsafe.Sizeof(unix.CPUSet{})
	p := &memory.processors
	if call(syscall.SYS_SCHED_GETAFFINITY, args{0, size, uintptr(unsafe.Pointer(&p.given))}) <= 0 ||
		call(unix.SYS_GETCPU, args{uintptr(unsafe.Pointer(&p.number))}) != 0 {
		return // more processors than there is room for
	}
	p.one[p.number/64%uint32(len(p.one))] = 1 << (p.number % 64)
	p.bound = call(syscall.SYS_SCHED_SETAFFINITY, args{0, size, uintptr(unsafe.Pointer(&p.one))}) == 0
	// The kernel remembers what a process asks for, and adds nothing to it that
	// comes later. Who was given as much as anybody is to get all there will be.
	if call(syscall.SYS_SCHED_GETAFFINITY, args{1, size, uintptr(unsafe.Pointer(&p.everybodys))}) <= 0 {
		return
	}
	for i := range p.given {
		if p.given[i] != p.everybodys[i] {
			return
		}
	}
	for i := range p.given {
		p.given[i] = 1<<64 - 1
	}
}

// Unbind gives a process or thread, this one with 0, the processors that mocker
// was given; unless it has others than mocker's one already. (Until Linux 6.2
// what enters a cgroup has those of its cpuset, whatever it had.)
func Unbind(pid int) error {
	var now unix.CPUSet
	if !memory.processors.bound {
		return nil
	}
	if err := unix.SchedGetaffinity(pid, &now); err == nil && now != memory.processors.one {
		return nil
	}
	if err := unix.SchedSetaffinity(pid, &memory.processors.given); err != nil && !errors.Is(err, unix.EINVAL) { // it is in a cpuset with others
		return fmt.Errorf("sched_setaffinity: %w", err)
	}
	return nil
}

// Unbound calls f in a thread whose children, and whatever it executes, get
// the processors that mocker was given, and its timers.
func Unbound(f func()) {
	if !memory.processors.bound {
		Prompt(f)
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if Unbind(0) == nil {
		defer func() { _ = unix.SchedSetaffinity(0, &memory.processors.one) }()
	}
	Prompt(f)
}

// UnbindAll gives all of mocker the processors back: a thread that comes to be
// meanwhile may be left out.
func UnbindAll() {
	if !memory.processors.bound {
		return
	}
	threads, _ := os.ReadDir("/proc/self/task")
	for _, thread := range threads {
		if tid, err := strconv.Atoi(thread.Name()); err == nil {
			_ = Unbind(tid)
		}
	}
}
