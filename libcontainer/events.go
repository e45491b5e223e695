package libcontainer

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/cgroups"
	"github.com/mocker-runtime/mocker/libcontainer/state"
)

// Stats gives what the container uses at this moment. The error wraps
// ErrNotRunning if it has stopped.
func (c *Container) Stats() (Event, error) {
	st, cg, err := c.alive()
	if err != nil {
		return Event{}, err
	}
	event, err := c.stats(cg)
	if err != nil && !st.Init.Alive() {
		err = fmt.Errorf("%w: %q", ErrNotRunning, c.id)
	}
	return event, err
}

// Events calls emit with the statistics after each interval, and with an
// event each time when memory runs out, until the container's process ends or
// emit fails. The error wraps ErrNotRunning if it has stopped before.
func (c *Container) Events(interval time.Duration, emit func(Event) error) error {
	st, cg, err := c.alive()
	if err != nil {
		return err
	}
	pidfd, err := c.pidfd(st)
	if err != nil {
		return err
	}
	defer unix.Close(pidfd)
	oom, err := cg.WatchOOM()
	if err != nil {
		return err
	}
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	if oom != nil {
		defer oom.Close()
		fds = append(fds, oom.Poll)
	}
	for next := time.Now().Add(interval); ; {
		wait := min(max(time.Until(next), 0), time.Hour) // poll(2) counts milliseconds in 31 bits
		if _, err := unix.Poll(fds, int(wait.Milliseconds())+1); err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("wait for events: %w", err)
		}
		ended := fds[0].Revents != 0
		if oom != nil && oom.Take() {
			if err := emit(Event{Type: "oom", ID: c.id}); err != nil {
				return err
			}
		}
		if ended {
			return nil
		}
		if time.Now().Before(next) {
			continue
		}
		event, err := c.stats(cg)
		if err != nil && !st.Init.Alive() {
			return nil // deleted just now
		}
		if err == nil {
			err = emit(event)
		}
		if err != nil {
			return err
		}
		next = time.Now().Add(interval)
	}
}

func (c *Container) stats(cg *cgroups.Cgroup) (Event, error) {
	stats, err := cg.Stats()
	if err != nil {
		return Event{}, err
	}
	return Event{Type: "stats", ID: c.id, Data: statsOf(stats)}, nil
}

// alive gives state and cgroup of a container that has a process.
func (c *Container) alive() (*state.State, *cgroups.Cgroup, error) {
	st, err := c.dir.Load()
	if errors.Is(err, state.ErrNoState) || err == nil && !st.Init.Alive() {
		err = fmt.Errorf("%w: %q", ErrNotRunning, c.id)
	}
	if err != nil {
		return nil, nil, err
	}
	cg, err := cgroupOf(st)
	return st, cg, err
}
