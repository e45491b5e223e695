package entry

import (
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// The runtime has a thread that looks after the others (sysmon in its proc.go).
// It wakes up every 20 microseconds while something is being done. With one
// processor for all that is a sixth of the time that a command takes. A process
// may tell the kernel that its timers need not be on time (PR_SET_TIMERSLACK,
// prctl(2)); then this thread hardly ever wakes, and the sleeps of mocker's own
// are up to four milliseconds longer. A child inherits it: what outlives mocker, or
// works on its own, gets what mocker was given.

// slack is by how many nanoseconds a timer of mocker's may be late.
const slack = 4_000_000

// loosen lets the timers of this process, which has one thread as yet, be late.
//
//go:nosplit
//go:norace
//go:nocheckptr
func loosen() {
	given := call(syscall.SYS_PRCTL, args{unix.PR_GET_TIMERSLACK})
	if given > 0 && given < slack && call(syscall.SYS_PRCTL, args{unix.PR_SET_TIMERSLACK, slack}) == 0 {
		memory.slack = uintptr(given)
	}
}

// Prompt calls f in a thread whose children, and whatever it executes, have
// timers as exact as mocker was given.
func Prompt(f func()) {
	if memory.slack == 0 {
		f()
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if unix.Prctl(unix.PR_SET_TIMERSLACK, memory.slack, 0, 0, 0) == nil {
		defer func() { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, slack, 0, 0, 0) }()
	}
	f()
}
