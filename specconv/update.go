package specconv

import (
	"fmt"
	"io"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// LoadResources reads what engines hand to `update`: the linux.resources of a
// config.json alone, by itself or with members that are not to change left
// out. The error names line and column, or the JSON path.
func LoadResources(r io.Reader) (*specs.LinuxResources, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxConfig+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxConfig {
		return nil, fmt.Errorf("larger than %d MiB", maxConfig>>20)
	}
	res := new(specs.LinuxResources)
	if err := decode(data, res); err != nil {
		return nil, err
	}
	return res, nil
}

// Limits converts limits that are to change; members that are not given, or
// 0 where that is no limit, are zero in the result. Rules for devices, where
// there are any, are a new list in the place of the old one. The error for a
// bad value is a *BadValue. warnings say what is ignored.
func Limits(from *specs.LinuxResources) (to *cgroups.Resources, warnings []string, err error) {
	to = &cgroups.Resources{SkipDevices: len(from.Devices) == 0}
	if to.Devices, err = deviceRules(from); err != nil {
		return nil, nil, err
	}
	if err := convertLimits(from, to); err != nil {
		return nil, nil, err
	}
	warnings = memoryWarnings(from.Memory)
	if m := from.Memory; m != nil && m.KernelTCP != nil && *m.KernelTCP != 0 {
		warnings = append(warnings, "linux.resources.memory.kernelTCP: ignored: create alone sets it")
	}
	return to, warnings, nil
}
