package state

import (
	"bytes"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Proc names one process for good: a pid alone may be given to a stranger
// once its process is gone, but never with the same start time.
type Proc struct {
	PID       int    `json:"pid"`
	StartTime uint64 `json:"startTime"` // clock ticks since boot: field 22 of /proc/PID/stat
}

// Self is the calling process.
func Self() (Proc, error) {
	return ProcOf(os.Getpid())
}

// ProcOf looks up the process that has this pid now. The error wraps
// os.ErrNotExist or ESRCH when there is none.
func ProcOf(pid int) (Proc, error) {
	st, err := readStat(pid)
	return Proc{PID: pid, StartTime: st.start}, err
}

// Alive reports whether the process still runs: it exists, with this start
// time, and is neither a zombie nor dead. A leading thread that has exited
// looks like a zombie while other threads of its process go on; that counts
// as alive.
func (p Proc) Alive() bool {
	if p.PID <= 0 {
		return false
	}
	st, err := readStat(p.PID)
	if err != nil || st.start != p.StartTime {
		return false
	}
	switch st.state {
	case 'X', 'x':
		return false
	case 'Z':
		return st.threads > 1
	}
	return true
}

// Condemned reports whether SIGKILL waits for the process: it has not ended
// only because it is frozen, or has not been scheduled since.
func (p Proc) Condemned() bool {
	st, err := readStat(p.PID)
	return err == nil && st.start == p.StartTime && st.pending&(1<<(unix.SIGKILL-1)) != 0
}

// Pidfd opens a pidfd (pidfd_open(2)) that refers to this process and no
// other. The error wraps ESRCH when the process is gone, even if its pid has
// been given away since. The caller closes the fd.
func (p Proc) Pidfd() (int, error) {
	if p.PID <= 0 {
		return -1, fmt.Errorf("open pidfd of process %d: %w", p.PID, unix.ESRCH)
	}
	fd, err := unix.PidfdOpen(p.PID, 0)
	if err != nil {
		return -1, fmt.Errorf("open pidfd of process %d: %w", p.PID, err)
	}
	// Only now: from here on the fd stands for one process, and the start
	// time tells whether it is the right one.
	if now, err := ProcOf(p.PID); err != nil || now != p {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("open pidfd of process %d: %w", p.PID, unix.ESRCH)
	}
	return fd, nil
}

// stat is what is used of /proc/PID/stat.
type stat struct {
	state   byte   // field 3
	threads int    // field 20
	start   uint64 // field 22
	pending uint64 // field 31: signals that wait for the first thread, a bit for each
}

func readStat(pid int) (stat, error) {
	path := "/proc/" + strconv.Itoa(pid) + "/stat"
	data, err := readFile(unix.AT_FDCWD, path)
	var st stat
	if err == nil {
		st, err = parseStat(data)
	}
	if err != nil {
		return stat{}, fmt.Errorf("read %s: %w", path, err)
	}
	return st, nil
}

// parseStat counts from the last parenthesis: the command name before it may
// hold blanks and parentheses of its own (proc_pid_stat(5)).
func parseStat(data []byte) (stat, error) {
	end := bytes.LastIndexByte(data, ')')
	if end < 0 {
		return stat{}, fmt.Errorf("no command name in %q", data)
	}
	fields := bytes.Fields(data[end+1:])
	if len(fields) < 20 {
		return stat{}, fmt.Errorf("%d fields after the command name, expected 20 at least", len(fields))
	}
	threads, err := strconv.Atoi(string(fields[17]))
	if err != nil {
		return stat{}, fmt.Errorf("number of threads: %w", err)
	}
	start, err := strconv.ParseUint(string(fields[19]), 10, 64)
	if err != nil {
		return stat{}, fmt.Errorf("start time: %w", err)
	}
	st := stat{state: fields[0][0], threads: threads, start: start}
	if len(fields) > 28 {
		st.pending, err = strconv.ParseUint(string(fields[28]), 10, 64)
		if err != nil {
			return stat{}, fmt.Errorf("pending signals: %w", err)
		}
	}
	return st, nil
}
