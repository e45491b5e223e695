package specconv

import (
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

// checkSupported refuses what the specification has and this build cannot do,
// where it is set to something that has an effect.
func checkSupported(spec *specs.Spec, _ *config.Config) error {
	if filters(spec.Linux.Seccomp) {
		return unsupported("linux.seccomp")
	}
	return nil
}

// filters reports whether a seccomp section asks for a filter. Without a
// default action and without rules runc takes it for none, and engines write
// that for "unconfined".
func filters(s *specs.LinuxSeccomp) bool {
	return s != nil && (s.DefaultAction != "" || len(s.Syscalls) > 0)
}
