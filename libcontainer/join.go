package libcontainer

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/cgroups"
	"github.com/mocker-runtime/mocker/libcontainer/config"
	"github.com/mocker-runtime/mocker/libcontainer/inside"
	"github.com/mocker-runtime/mocker/libcontainer/namespaces"
	"github.com/mocker-runtime/mocker/libcontainer/process"
	"github.com/mocker-runtime/mocker/libcontainer/ready"
	"github.com/mocker-runtime/mocker/libcontainer/resctrl"
	"github.com/mocker-runtime/mocker/libcontainer/seal"
	"github.com/mocker-runtime/mocker/libcontainer/state"
	"github.com/mocker-runtime/mocker/libcontainer/trace"
)

// place is where a joiner goes: what a container that exists is made of.
type place struct {
	pid, pidfd int // of the container's first process
	cgroup     *cgroups.Cgroup
	rdt        *config.RDTGroup
	traits     config.Traits
	affinity   config.Affinity
	keepGroups bool
	trace      *trace.Recorder // nil: nobody wants to know

	oomScoreAdj *int // nil: that of mocker
}

// placeOf is the place that a container's state describes.
func placeOf(st *state.State, pidfd int, cg *cgroups.Cgroup) place {
	return place{
		pid: st.Init.PID, pidfd: pidfd, cgroup: cg,
		rdt: st.RDT, traits: st.Traits, keepGroups: keepsGroups(st.Annotations),
	}
}

// join makes a child of mocker's in the cgroup and in the namespaces of a
// container. In its pid namespace there is nothing yet: only what the child
// becomes will be, so all that follows is out of the container's sight.
func (p place) join() (*inside.Child, error) {
	if err := undumpable(); err != nil {
		return nil, err
	}
	if p.affinity.Initial != nil {
		// The thread that is bound is the one that the child is born from.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
	}
	flags, err := namespaces.Others(p.pid)
	if err != nil {
		return nil, fmt.Errorf("namespaces: %w", err)
	}
	if err := process.SetAffinity(0, p.affinity.Initial, "initial"); err != nil {
		return nil, err
	}
	in, err := bear(0, p.cgroup, p.trace)
	if errors.Is(err, unix.EBUSY) {
		var of *cgroups.Cgroup
		if of, err = p.cgroup.Of(p.pid); err == nil {
			in, err = bear(0, of, p.trace)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("birth: %w", err)
	}
	// Now: in the user namespace of the container its files in /proc are root's.
	if err = process.SetOOMScoreAdj(in.PID, p.oomScoreAdj); err == nil {
		err = p.enter(in, flags)
	}
	if err != nil {
		in.Kill()
		in.Close()
		return nil, err
	}
	return in, nil
}

// enter brings a child from where it was born to its place.
func (p place) enter(in *inside.Child, flags uintptr) error {
	if p.keepGroups {
		in.KeepGroups()
	}
	if err := p.trace.Step("attach to cgroup", func() error { return attach(in, p.cgroup) }); err != nil {
		return fmt.Errorf("attach to cgroup: %w", err)
	}
	if err := resctrl.Attach(p.rdt, in.PID); err != nil {
		return err
	}
	if err := process.SetAffinity(in.PID, p.affinity.Final, "final"); err != nil {
		return err
	}
	err := p.trace.Step("namespaces", func() error { return namespaces.JoinProcess(in, p.pidfd, flags) })
	if err != nil {
		return fmt.Errorf("namespaces: %w", err)
	}
	if flags&unix.CLONE_NEWNS == 0 {
		if err := p.changeRoot(in); err != nil {
			return err
		}
	}
	return process.TakeOn(in, p.traits)
}

// changeRoot gives a joiner the root of a container that has the mount
// namespace of mocker: no namespace does it there.
func (p place) changeRoot(in *inside.Child) error {
	path := fmt.Sprintf("/proc/%d/root", p.pid)
	root, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	defer unix.Close(root)
	if err := in.Fchdir(root, path); err != nil {
		return err
	}
	return in.Chroot(".")
}

// lookUp is findProgram, and completes the environment from the container's
// root.
func lookUp(in *inside.Child, root int, last *process.Last, debugf func(string, ...any)) error {
	if err := findProgram(in, last, debugf); err != nil {
		return err
	}
	last.Env = process.WithHome(in, root, last.Process)
	return nil
}

// findProgram brings the child to where the program of a process will start,
// and finds that.
func findProgram(in *inside.Child, last *process.Last, debugf func(string, ...any)) error {
	missing, err := process.Grant(in, last.Process)
	if err != nil {
		return err
	}
	if missing != 0 && debugf != nil {
		debugf("process.capabilities: mocker does not have, and cannot give, the set %#x", missing)
	}
	if err := process.Enter(in, last.Process); err != nil {
		return err
	}
	if last.Path, err = process.LookUp(in, last.Process, seal.SameFile); err != nil {
		return &ProgramError{Err: err, Missing: errors.Is(err, unix.ENOENT) || errors.Is(err, exec.ErrNotFound)}
	}
	return nil
}

// ended reports whether the process of a pidfd has ended, waiting for it at
// most as long as given.
func ended(pidfd int, wait time.Duration) bool {
	return ready.Within(pidfd, unix.POLLIN, wait)
}
