package libcontainer

import (
	"encoding/json"
	"errors"
	"fmt"

	oci "github.com/opencontainers/cgroups"

	"github.com/mocker-runtime/mocker/libcontainer/resctrl"
	"github.com/mocker-runtime/mocker/libcontainer/state"
)

// Update changes the limits that are given, and the shares of the container's
// class of service, lines for its schemata, and leaves the others as they
// are. If one cannot be set, none is changed. The error wraps ErrNotRunning if
// the container has stopped.
func (c *Container) Update(given *oci.Resources, schemata []string) error {
	st, _, err := c.lockAlive("update")
	if err != nil {
		return err
	}
	defer func() { _ = c.dir.Unlock() }()
	if len(schemata) > 0 && st.RDT == nil {
		return fmt.Errorf("container %q has no class of service: its config.json has no linux.intelRdt", c.id)
	}
	old := new(oci.Resources)
	if len(st.Limits) > 0 {
		if err := json.Unmarshal(st.Limits, old); err != nil {
			return fmt.Errorf("read limits in the state of container %q: %w", c.id, err)
		}
	}
	cg, err := cgroupOf(st)
	if err != nil {
		return err
	}
	limits, undo, err := cg.Update(old, given)
	if err != nil {
		return err
	}
	if err = keepLimits(st, limits); err == nil {
		err = resctrl.Update(st.RDT, schemata)
	}
	if err == nil {
		err = c.dir.Save(st)
	}
	if err != nil {
		return errors.Join(err, undo())
	}
	return nil
}

// keepLimits puts limits into a state. The rules for devices are long, and
// nobody asks for them again.
func keepLimits(st *state.State, limits *oci.Resources) error {
	kept := *limits
	kept.Devices = nil
	data, err := json.Marshal(&kept)
	if err != nil {
		return fmt.Errorf("encode limits: %w", err)
	}
	st.Limits = data
	return nil
}
