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
		{"linux.seccomp", filters(l.Seccomp)},
		{"linux.mountLabel", l.MountLabel != ""},
	})
}

func checkProcess(p *specs.Process) error {
	if p == nil {
		return nil
	}
	return refuseSet([]setting{
		{"process.apparmorProfile", p.ApparmorProfile != ""},
		{"process.selinuxLabel", p.SelinuxLabel != ""},
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

// filters reports whether a seccomp section asks for a filter. Without a
// default action and without rules runc takes it for none, and engines write
// that for "unconfined".
func filters(s *specs.LinuxSeccomp) bool {
	return s != nil && (s.DefaultAction != "" || len(s.Syscalls) > 0)
}
