package libcontainer

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/cgroups"
	"github.com/mocker-runtime/mocker/libcontainer/config"
	"github.com/mocker-runtime/mocker/libcontainer/state"
)

// Unprivileged reports whether mocker runs without the rights of the
// machine's root: as an ordinary user, or as the root of a user namespace.
func Unprivileged() bool { return os.Geteuid() != 0 || state.InUserNamespace() }

// UserRoot is where the states of the calling user's containers are kept
// unless mocker is told otherwise: DefaultRoot for the machine's root.
func UserRoot() string { return state.UserRoot() }

// checkUser refuses what only root can have. Without a user namespace every
// step would fail, and none would say why. Where there is no cfg yet it is one
// of mocker's own making, for who calls it.
func checkUser(cfg *config.Config) error {
	if os.Geteuid() == 0 || cfg == nil || cfg.Has(unix.CLONE_NEWUSER) {
		return nil
	}
	return errors.New("config.json: linux.namespaces: an ordinary user needs a user namespace (mocker spec --rootless writes one)")
}

// cgroupOf is the cgroup of a container, for what cannot be done without one.
func cgroupOf(st *state.State) (*cgroups.Cgroup, error) {
	if st.NoCgroup {
		return nil, fmt.Errorf("container %q has no cgroup: it was made with the cgroup manager disabled", st.ID)
	}
	if len(st.CgroupPaths) == 0 {
		return nil, fmt.Errorf("container %q has no cgroup: its user may not make one here", st.ID)
	}
	return cgroups.FromPaths(st.CgroupPaths)
}
