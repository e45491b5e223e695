package cgroups

import (
	"errors"
	"fmt"

	oci "github.com/opencontainers/cgroups"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

var errDisabled = errors.New("the cgroup manager is disabled")

// None is the cgroup of a container that is to have none of its own: its
// processes stay where mocker is. Errors name the member of config.json that
// cannot be fulfilled like that. The rules for devices do not count: engines
// write some for every container.
func None(cfg config.Cgroup) (*Cgroup, error) {
	if cfg.Path != "" {
		return nil, fmt.Errorf("linux.cgroupsPath: %q: %w", cfg.Path, errDisabled)
	}
	if cfg.Delegate != "" {
		return nil, fmt.Errorf("annotations.run.oci.delegate-cgroup: %q: %w", cfg.Delegate, errDisabled)
	}
	limits := *cfg.Resources
	limits.SkipDevices = true
	wants, err := wanted(&limits, oci.IsCgroup2UnifiedMode())
	if err != nil {
		return nil, err
	}
	if len(wants) > 0 {
		return nil, fmt.Errorf("%s: %w", wants[0].member, errDisabled)
	}
	return &Cgroup{}, nil
}
