package libcontainer

import (
	"encoding/json"
	"errors"
	"fmt"

	oci "github.com/opencontainers/cgroups"
	devices "github.com/opencontainers/cgroups/devices/config"

	"github.com/mocker-runtime/mocker/libcontainer/lazyjson"
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
	old, err := limitsOf(st)
	if err != nil {
		return err
	}
	cg, err := cgroupOf(st)
	if err != nil {
		return err
	}
	if Unprivileged() && len(given.Devices) > 0 {
		// As create does. Engines hand over all that config.json has.
		copied := *given
		copied.SkipDevices, copied.Devices = true, nil
		given = &copied
	}
	var all *oci.Resources
	var undo func() error
	err = c.Trace.Step("set limits", func() (err error) {
		all, undo, err = cg.Update(&old.Resources, given, old.Always)
		return err
	})
	if err != nil {
		return err
	}
	if err = keepLimits(st, all, old.Always); err == nil {
		err = c.Trace.Step("class of service", func() error { return resctrl.Update(st.RDT, schemata) })
	}
	if err == nil {
		err = c.Trace.Step("save", func() error { return c.dir.Save(st) })
	}
	if err != nil {
		return errors.Join(err, undo())
	}
	return nil
}

// limits are State.Limits.
type limits struct {
	oci.Resources
	Always []*devices.Rule `json:"always"` // config.Cgroup.Always
}

func limitsOf(st *state.State) (*limits, error) {
	l := new(limits)
	if len(st.Limits) == 0 {
		return l, nil
	}
	if err := json.Unmarshal(st.Limits, l); err != nil {
		return nil, fmt.Errorf("read limits in the state of container %q: %w", st.ID, err)
	}
	return l, nil
}

// keepLimits puts limits into a state.
func keepLimits(st *state.State, all *oci.Resources, always []*devices.Rule) error {
	data, err := lazyjson.Types{}.Marshal(&limits{Resources: *all, Always: always})
	if err != nil {
		return fmt.Errorf("encode limits: %w", err)
	}
	st.Limits = data
	return nil
}
