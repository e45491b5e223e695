// Package ready waits for what the kernel has to tell about a file descriptor
// (poll(2)): that a process has ended (a pidfd), that there is something to
// read, that a file of a cgroup has changed.
//
// It is the one place that turns a time into what poll(2) takes: never less
// than 0, which would be for ever, and rounded up, so that who waits again until
// the time has passed does not spin.
package ready

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// longest is what fits poll(2), which counts milliseconds in 31 bits.
const longest = 24 * time.Hour

// Until waits for one of events (unix.POLL*; POLLHUP and POLLERR count always)
// on fd until end, which may have passed, and reports whether there was one.
// Signals do not disturb it.
func Until(fd int, events int16, end time.Time) (bool, error) {
	fds := []unix.PollFd{{Fd: int32(fd), Events: events}}
	for {
		left := min(max(time.Until(end), 0), longest)
		n, err := unix.Poll(fds, int((left + time.Millisecond - 1).Milliseconds()))
		if n > 0 || err != nil && !errors.Is(err, unix.EINTR) {
			return n > 0, err
		}
		if left == 0 {
			return false, nil
		}
	}
}

// Within is [Until] that many from now on, without an error: what cannot be
// waited for is not ready.
func Within(fd int, events int16, wait time.Duration) bool {
	is, _ := Until(fd, events, time.Now().Add(wait))
	return is
}
