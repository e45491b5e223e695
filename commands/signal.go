package commands

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// The C library keeps 32 and 33 for itself: SIGRTMIN is 34 for every program
// that a user could mean (signal(7)).
const (
	sigRTMin = 34
	sigRTMax = 64
)

// parseSignal reads a signal as callers give it: a number from 0 to 64, or a
// name with or without SIG in any case, SIGRTMIN+n and SIGRTMAX-n included.
func parseSignal(text string) (syscall.Signal, error) {
	unknown := fmt.Errorf("unknown signal %q", text)
	if n, err := strconv.Atoi(text); err == nil {
		if n < 0 || n > sigRTMax {
			return 0, unknown
		}
		return syscall.Signal(n), nil
	}
	name := strings.TrimPrefix(strings.ToUpper(text), "SIG")
	if n, ok := realtimeSignal(name); ok {
		return n, nil
	}
	if sig := unix.SignalNum("SIG" + name); sig != 0 {
		return sig, nil
	}
	return 0, unknown
}

// realtimeSignal reads RTMIN, RTMIN+n, RTMAX and RTMAX-n.
func realtimeSignal(name string) (syscall.Signal, bool) {
	base := sigRTMin
	offset, ok := strings.CutPrefix(name, "RTMIN")
	sign := byte('+')
	if !ok {
		base, sign = sigRTMax, '-'
		if offset, ok = strings.CutPrefix(name, "RTMAX"); !ok {
			return 0, false
		}
	}
	if offset == "" {
		return syscall.Signal(base), true
	}
	n, err := strconv.Atoi(offset)
	if err != nil || offset[0] != sign {
		return 0, false
	}
	if n += base; n < sigRTMin || n > sigRTMax {
		return 0, false
	}
	return syscall.Signal(n), true
}

// signalNames are those of signals below the real-time ones, without SIG.
func signalNames() []string {
	var names []string
	for n := syscall.Signal(1); n < sigRTMin; n++ {
		if name := unix.SignalName(n); name != "" {
			names = append(names, strings.TrimPrefix(name, "SIG"))
		}
	}
	return names
}

// forwarded are the signals that a foreground run passes on to the container:
// all that can be caught, but those that are about mocker itself. SIGCHLD tells
// of mocker's own children, SIGPIPE of its own output, SIGURG is the Go
// scheduler's, SIGWINCH the console's.
func forwarded(sig syscall.Signal) bool {
	switch sig {
	case syscall.SIGKILL, syscall.SIGSTOP, // cannot be caught
		syscall.SIGCHLD, syscall.SIGPIPE, syscall.SIGURG, syscall.SIGWINCH,
		32, 33: // the C library's
		return false
	}
	return sig >= 1 && sig <= sigRTMax
}

// urgent are those of the forwarded signals that would end or stop mocker if
// they were not caught, as far as people and service managers send them, and
// those that they may send at any moment.
func urgent(sig syscall.Signal) bool {
	switch sig {
	case syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGABRT, syscall.SIGTERM,
		syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM,
		syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGCONT:
		return true
	}
	return false
}
