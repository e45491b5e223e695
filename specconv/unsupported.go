package specconv

import (
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

// checkSupported refuses what the specification has and this build cannot do,
// where it is set to something that has an effect.
func checkSupported(spec *specs.Spec, _ *config.Config) error {
	l := spec.Linux
	var bad problems
	bad.add(checkProcess(spec.Process))
	bad.add(refuseSet([]setting{
		{"linux.seccomp", filters(l.Seccomp)},
		{"linux.personality", l.Personality != nil},
		{"linux.intelRdt", l.IntelRdt != nil},
		{"linux.netDevices", len(l.NetDevices) > 0},
		{"linux.memoryPolicy", l.MemoryPolicy != nil},
	}))
	return bad.err()
}

func checkProcess(p *specs.Process) error {
	if p == nil {
		return nil
	}
	return refuseSet([]setting{
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
	var bad problems
	for _, s := range list {
		if s.set {
			bad.add(unsupported(s.path))
		}
	}
	return bad.err()
}

// filters reports whether a seccomp section asks for a filter. Without a
// default action and without rules runc takes it for none, and engines write
// that for "unconfined".
func filters(s *specs.LinuxSeccomp) bool {
	return s != nil && (s.DefaultAction != "" || len(s.Syscalls) > 0)
}
