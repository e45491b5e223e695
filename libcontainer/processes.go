package libcontainer

import (
	"errors"

	"github.com/mocker-runtime/mocker/libcontainer/state"
)

// Processes lists the pids of the container's processes as the host has them,
// in ascending order; nil if there are none. All of its cgroup count: a
// container without a pid namespace of its own can have some when its first
// process has ended.
func (c *Container) Processes() ([]int, error) {
	st, err := c.dir.Load()
	if errors.Is(err, state.ErrNoState) {
		return nil, nil // nothing has been born yet
	}
	if err != nil || !st.Init.Alive() && len(st.CgroupPaths) == 0 {
		return nil, err
	}
	cg, err := cgroupOf(st)
	if err != nil {
		return nil, err
	}
	return cg.Procs()
}
