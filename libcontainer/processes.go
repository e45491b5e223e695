package libcontainer

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/cgroups"
	"github.com/mocker-runtime/mocker/libcontainer/state"
)

// Processes lists the pids of the container's processes as the host has them,
// in ascending order; nil if there are none. All of its cgroup count: a
// container without a pid namespace of its own can have some when its first
// process has ended. Where an ordinary user goes without a cgroup, it is all of
// its pid namespace.
func (c *Container) Processes() ([]int, error) {
	st, err := c.dir.Load()
	if errors.Is(err, state.ErrNoState) {
		return nil, nil // nothing has been born yet
	}
	if err != nil {
		return nil, err
	}
	if len(st.CgroupPaths) == 0 {
		return c.inPIDNamespace(st)
	}
	cg, err := cgroups.FromPaths(st.CgroupPaths)
	if err != nil {
		return nil, err
	}
	return cg.Procs()
}

// inPIDNamespace lists the processes that are in the pid namespace of the
// container's first one, if that is its own.
func (c *Container) inPIDNamespace(st *state.State) ([]int, error) {
	if st.SharedPID {
		return nil, fmt.Errorf("list processes of container %q: it has neither a cgroup nor a pid namespace of its own", c.id)
	}
	if !st.Init.Alive() {
		return nil, nil
	}
	wanted := pidNamespace(st.Init.PID)
	entries, err := os.ReadDir("/proc")
	if err != nil || wanted == "" {
		return nil, err
	}
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && pidNamespace(pid) == wanted {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids, nil
}

// pidNamespace names the pid namespace of a process; "" if it is another
// user's, or gone.
func pidNamespace(pid int) string {
	name, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid))
	return name
}

// killPIDNamespace sends a signal to every process of the container's pid
// namespace.
func (c *Container) killPIDNamespace(st *state.State, sig unix.Signal) error {
	if sig == unix.SIGKILL && !st.SharedPID {
		return c.end(st) // takes all of them with it
	}
	pids, err := c.inPIDNamespace(st)
	if err != nil || len(pids) == 0 {
		return err
	}
	namespace := pidNamespace(st.Init.PID)
	var errs []error
	for _, pid := range pids {
		pidfd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue // ended
		}
		// From here on the pid is nobody else's.
		if pidNamespace(pid) == namespace {
			err = unix.PidfdSendSignal(pidfd, sig, nil, 0)
		}
		if err != nil && !errors.Is(err, unix.ESRCH) {
			errs = append(errs, fmt.Errorf("send signal %d to process %d: %w", sig, pid, err))
		}
		unix.Close(pidfd)
	}
	return errors.Join(errs...)
}
