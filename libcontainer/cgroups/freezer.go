package cgroups

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	oci "github.com/opencontainers/cgroups"
	fs1 "github.com/opencontainers/cgroups/fs"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/ready"
)

// settling is how long a freezer that is on its way is given to arrive. A
// process that enters a frozen cgroup makes it such for microseconds.
const settling = 100 * time.Millisecond

// errNoFreezer is for a cgroup that was made without one.
var errNoFreezer = errors.New("the container has no freezer: neither a cgroup v1 hierarchy with that controller nor cgroup v2 was mounted when it was created")

// freezerDir is the directory whose files stop the container: that of v1's
// controller where there is one, else that of v2, where every cgroup has it.
func (c *Cgroup) freezerDir() (dir string, v2 bool) {
	if dir := c.paths["freezer"]; dir != "" {
		return dir, false
	}
	return c.paths[""], true
}

// Freeze stops every process of the cgroup and of those below it, and returns
// when the last one stands still. If one does not, it lets go of all.
func (c *Cgroup) Freeze() error {
	dir, v2 := c.freezerDir()
	if dir == "" {
		return errNoFreezer
	}
	var err error
	if v2 {
		err = freezeV2(dir, time.Now().Add(patience))
	} else {
		// Freezing may have to be asked for several times while processes
		// fork; the library knows how often.
		err = new(fs1.FreezerGroup).Set(dir, &oci.Resources{Freezer: oci.Frozen})
	}
	if err != nil {
		return fmt.Errorf("freeze cgroup %s: %w", dir, plain(err))
	}
	return nil
}

// freezeV2 waits by poll(2) for what the library looks for every ten
// milliseconds.
func freezeV2(dir string, deadline time.Time) error {
	events, err := oci.OpenFile(dir, "cgroup.events", os.O_RDONLY)
	if err != nil {
		return err
	}
	defer events.Close()
	if err := oci.WriteFile(dir, "cgroup.freeze", "1"); err != nil {
		return err
	}
	buf := make([]byte, 256)
	for time.Now().Before(deadline) {
		// Reading arms the poll.
		n, err := events.ReadAt(buf, 0)
		if n == 0 && err != nil {
			return err // gone
		}
		if strings.Contains(string(buf[:n]), "frozen 1") {
			return nil
		}
		_, _ = ready.Until(int(events.Fd()), unix.POLLPRI, deadline)
	}
	_ = oci.WriteFile(dir, "cgroup.freeze", "0")
	return fmt.Errorf("a process has not stopped within %v", patience)
}

// Thaw lets the processes go on. What the container has frozen below, itself
// or through an engine of its own, stays so.
func (c *Cgroup) Thaw() error {
	dir, v2 := c.freezerDir()
	file, value := "freezer.state", string(oci.Thawed)
	if v2 {
		file, value = "cgroup.freeze", "0"
	}
	if dir == "" {
		return errNoFreezer
	}
	if err := oci.WriteFile(dir, file, value); err != nil {
		return fmt.Errorf("thaw cgroup %s: %w", dir, plain(err))
	}
	return nil
}

// Paused reports whether the cgroup itself has been frozen and all stand
// still; not whether one of its parents is. A cgroup that is gone is not.
func (c *Cgroup) Paused() (bool, error) {
	dir, v2 := c.freezerDir()
	if dir == "" {
		return false, nil
	}
	look := pausedV1
	if v2 {
		look = pausedV2
	}
	for deadline := time.Now().Add(settling); ; time.Sleep(time.Millisecond) {
		asked, done, err := look(dir)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("look up freezer: %w", plain(err))
		}
		if !asked || done || time.Now().After(deadline) {
			return asked && done, nil
		}
	}
}

// pausedV1 reads the state first: it is all there is to read of a container
// that runs.
func pausedV1(dir string) (asked, done bool, err error) {
	state, err := oci.ReadFile(dir, "freezer.state")
	if err != nil || strings.HasPrefix(state, string(oci.Thawed)) {
		return false, false, err
	}
	self, err := oci.ReadFile(dir, "freezer.self_freezing")
	return strings.HasPrefix(self, "1"), strings.HasPrefix(state, string(oci.Frozen)), err
}

func pausedV2(dir string) (asked, done bool, err error) {
	freeze, err := oci.ReadFile(dir, "cgroup.freeze")
	if err != nil || !strings.HasPrefix(freeze, "1") {
		return false, false, err
	}
	events, err := oci.ReadFile(dir, "cgroup.events")
	return true, strings.Contains(events, "frozen 1"), err
}

// Frozen reports whether the cgroup is frozen or about to be, itself or by
// one of its parents: what enters it would stop. A cgroup that is gone is not.
func (c *Cgroup) Frozen() (bool, error) {
	dir, v2 := c.freezerDir()
	if dir == "" {
		return false, nil
	}
	file, sign := "freezer.state", "THAWED"
	if v2 {
		file, sign = "cgroup.events", "frozen 0"
	}
	text, err := oci.ReadFile(dir, file)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look up freezer: %w", err)
	}
	if strings.Contains(text, sign) && v2 {
		// Asked for, but some process still has to reach its stop.
		text, err = oci.ReadFile(dir, "cgroup.freeze")
		if err != nil {
			return false, fmt.Errorf("look up freezer: %w", err)
		}
		return strings.TrimSpace(text) != "0", nil
	}
	return !strings.Contains(text, sign), nil
}

// Release lets killed processes end: v1 holds them as long as they are
// frozen, by whomever, v2 does not. Errors show as processes that do not end.
func (c *Cgroup) Release() { c.freezer(oci.Thawed) }

// freezer sets the state of the v1 freezer, thawing in all cgroups below too,
// for a container may have frozen some.
func (c *Cgroup) freezer(state oci.FreezerState) {
	top := c.paths["freezer"]
	if top == "" {
		return
	}
	_ = filepath.WalkDir(top, func(dir string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && (state == oci.Thawed || dir == top) {
			_ = oci.WriteFile(dir, "freezer.state", string(state))
		}
		return nil
	})
}
