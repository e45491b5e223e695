package commands

import (
	"encoding/json"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/mocker-runtime/mocker/libcontainer"
	"github.com/mocker-runtime/mocker/specconv"
)

func (e *env) featuresVerb(build Build) *cli.Command {
	return &cli.Command{
		Name:  "features",
		Usage: "print what this build of mocker can do, as JSON",
		Description: `features prints the features structure of the runtime specification: the
versions of config.json that mocker reads, and the hooks, mount options,
namespaces, capabilities and other properties that it honours. It is about
mocker, but for seccomp's supportedFlags, which this kernel has; what else the
kernel lacks is an error of create.

EXAMPLE
    mocker features`,
		Action: func(c *cli.Context) error { return e.features(c, build) },
	}
}

func (e *env) features(c *cli.Context, build Build) error {
	if err := wantArgs(c, 0, 0); err != nil {
		return err
	}
	list := specconv.Features()
	// All else is about mocker alone, but this is what the specification has
	// beside the flags that are known.
	list.Linux.Seccomp.SupportedFlags = libcontainer.SeccompFlags()
	list.Annotations["io.github.mocker-runtime.mocker.version"] = build.Version
	// The key that every runtime says it with.
	list.Annotations["org.opencontainers.runc.checkpoint.enabled"] = "false"
	if build.Commit != "" {
		list.Annotations["io.github.mocker-runtime.mocker.commit"] = build.Commit
	}
	data, err := json.MarshalIndent(list, "", "    ")
	if err != nil {
		return fmt.Errorf("encode features: %w", err)
	}
	_, err = e.streams.Out.Write(append(data, '\n'))
	return err
}
