package specconv

import (
	"math"
	"path/filepath"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

func convertHooks(spec *specs.Spec, cfg *config.Config) error {
	h := spec.Hooks
	if h == nil {
		return nil
	}
	for _, kind := range []struct {
		name  string
		given []specs.Hook
		to    *[]config.Hook
	}{
		{"prestart", h.Prestart, &cfg.Hooks.Prestart}, //nolint:staticcheck // deprecated, and what docker uses
		{"createRuntime", h.CreateRuntime, &cfg.Hooks.CreateRuntime},
		{"createContainer", h.CreateContainer, &cfg.Hooks.CreateContainer},
		{"startContainer", h.StartContainer, &cfg.Hooks.StartContainer},
		{"poststart", h.Poststart, &cfg.Hooks.Poststart},
		{"poststop", h.Poststop, &cfg.Hooks.Poststop},
	} {
		list := "hooks." + kind.name
		for i := range kind.given {
			hook, err := convertHook(item(list, i), &kind.given[i])
			if err != nil {
				return err
			}
			*kind.to = append(*kind.to, hook)
		}
	}
	return nil
}

func convertHook(at string, h *specs.Hook) (config.Hook, error) {
	var none config.Hook
	if h.Path == "" {
		return none, missing(at + ".path")
	}
	if err := checkNUL(at+".path", h.Path); err != nil {
		return none, err
	}
	if !filepath.IsAbs(h.Path) {
		return none, refuse(at+".path", h.Path, "not an absolute path")
	}
	if err := checkNULs(at+".args", h.Args); err != nil {
		return none, err
	}
	if err := checkNULs(at+".env", h.Env); err != nil {
		return none, err
	}
	hook := config.Hook{Path: h.Path, Args: h.Args, Env: h.Env}
	if h.Timeout != nil {
		if *h.Timeout <= 0 || int64(*h.Timeout) > math.MaxInt64/int64(time.Second) {
			return none, refuse(at+".timeout", *h.Timeout, "not a number of seconds above zero")
		}
		hook.Timeout = time.Duration(*h.Timeout) * time.Second
	}
	return hook, nil
}
