package specconv

import (
	"errors"
	"runtime"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/libcontainer/config"
	"github.com/mocker-runtime/mocker/libcontainer/seccomp"
)

// convertSeccomp compiles the filter, also where there is no process yet that
// it would be for: a profile is right or wrong by itself.
func convertSeccomp(spec *specs.Spec, cfg *config.Config) error {
	if spec.Linux == nil || spec.Linux.Seccomp == nil {
		return nil
	}
	filter, err := seccomp.Compile(spec.Linux.Seccomp, runtime.GOARCH)
	if err != nil {
		return badSeccomp(err)
	}
	if filter == nil {
		return nil
	}
	if err := checkNUL("linux.seccomp.listenerPath", filter.ListenerPath); err != nil {
		return err
	}
	if cfg.Process != nil {
		cfg.Process.Seccomp = filter
	}
	return nil
}

// badSeccomp gives each of the errors about the section its whole path.
func badSeccomp(err error) error {
	var several interface {
		error
		Unwrap() []error
	}
	if !errors.As(err, &several) {
		return badSeccompProperty(err)
	}
	var bad problems
	for _, err := range several.Unwrap() {
		bad.add(badSeccompProperty(err))
	}
	return bad.err()
}

func badSeccompProperty(err error) error {
	const at = "linux.seccomp"
	bad := (*seccomp.PropertyError)(nil)
	switch {
	case !errors.As(err, &bad):
		return err
	case bad.Path == "":
		return &BadValue{File: configName, Path: at, Cause: bad.Cause}
	case bad.Value == nil:
		return &BadValue{File: configName, Path: at + "." + bad.Path, Cause: bad.Cause}
	}
	return refuse(at+"."+bad.Path, bad.Value, "%w", bad.Cause)
}
