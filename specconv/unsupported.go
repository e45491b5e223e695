package specconv

import (
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

// checkSupported refuses what the specification has and this build cannot do,
// where it is set to something that has an effect.
func checkSupported(spec *specs.Spec, _ *config.Config) error {
	if err := checkProcess(spec.Process); err != nil {
		return err
	}
	l := spec.Linux
	if l == nil {
		return nil
	}
	return refuseSet([]setting{
		{"linux.mountLabel", l.MountLabel != ""},
		{"linux.personality", l.Personality != nil},
		{"linux.intelRdt", l.IntelRdt != nil},
		{"linux.netDevices", len(l.NetDevices) > 0},
		{"linux.memoryPolicy", l.MemoryPolicy != nil},
	})
}

func checkProcess(p *specs.Process) error {
	if p == nil {
		return nil
	}
	return refuseSet([]setting{
		{"process.apparmorProfile", p.ApparmorProfile != ""},
		{"process.selinuxLabel", p.SelinuxLabel != ""},
		{"process.scheduler", p.Scheduler != nil},
		{"process.ioPriority", p.IOPriority != nil},
		{"process.execCPUAffinity", p.ExecCPUAffinity != nil && *p.ExecCPUAffinity != specs.CPUAffinity{}},
	})
}

type setting struct {
	path string
	set  bool
}

func refuseSet(list []setting) error {
	for _, s := range list {
		if s.set {
			return unsupported(s.path)
		}
	}
	return nil
}
