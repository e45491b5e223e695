package commands

import (
	"github.com/urfave/cli/v2"

	"github.com/mocker-runtime/mocker/libcontainer"
)

func (e *env) pauseVerb() *cli.Command {
	return &cli.Command{
		Name:      "pause",
		Usage:     "stop all processes of a container for a while",
		ArgsUsage: "<container-id>",
		Description: `pause stops every process of a container that is created or running, and
returns when they stand still. Its status is "paused" until "mocker resume".
Signals wait until then, but for KILL, which ends it at once.

EXAMPLE
    mocker pause box1
    mocker resume box1`,
		Action: e.pause,
	}
}

func (e *env) pause(c *cli.Context) error {
	return e.with(c, (*libcontainer.Container).Pause)
}
