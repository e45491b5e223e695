package specconv

import (
	"math"
	"path/filepath"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

// hookKind is one list of hooks.
type hookKind struct {
	name  string // in config.json
	given []specs.Hook
	to    *[]config.Hook
}

// hookKinds are all of them, in the order in which they run.
func hookKinds(from *specs.Hooks, to *config.Hooks) []hookKind {
	return []hookKind{
		{"prestart", from.Prestart, &to.Prestart}, //nolint:staticcheck // deprecated, and what docker uses
		{"createRuntime", from.CreateRuntime, &to.CreateRuntime},
		{"createContainer", from.CreateContainer, &to.CreateContainer},
		{"startContainer", from.StartContainer, &to.StartContainer},
		{"poststart", from.Poststart, &to.Poststart},
		{"poststop", from.Poststop, &to.Poststop},
	}
}

func convertHooks(spec *specs.Spec, cfg *config.Config) error {
	if spec.Hooks == nil {
		return nil
	}
	var bad problems
	for _, kind := range hookKinds(spec.Hooks, &cfg.Hooks) {
		for i := range kind.given {
			hook, err := convertHook(item("hooks."+kind.name, i), &kind.given[i])
			bad.add(err)
			*kind.to = append(*kind.to, hook)
		}
	}
	return bad.err()
}

func convertHook(at string, h *specs.Hook) (config.Hook, error) {
	var bad problems
	switch {
	case h.Path == "":
		bad.add(missing(at + ".path"))
	case !filepath.IsAbs(h.Path):
		bad.add(refuse(at+".path", h.Path, "not an absolute path"))
	default:
		bad.add(checkNUL(at+".path", h.Path))
	}
	bad.add(checkNULs(at+".args", h.Args))
	bad.add(checkNULs(at+".env", h.Env))
	hook := config.Hook{Path: h.Path, Args: h.Args, Env: h.Env}
	if h.Timeout != nil {
		if *h.Timeout <= 0 || int64(*h.Timeout) > math.MaxInt64/int64(time.Second) {
			bad.add(refuse(at+".timeout", *h.Timeout, "not a number of seconds above zero"))
		}
		hook.Timeout = time.Duration(*h.Timeout) * time.Second
	}
	return hook, bad.err()
}
