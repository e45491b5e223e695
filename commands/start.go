package commands

import (
	"github.com/urfave/cli/v2"

	"github.com/mocker-runtime/mocker/libcontainer"
)

func (e *env) startVerb() *cli.Command {
	return &cli.Command{
		Name:      "start",
		Usage:     "start the process of a created container",
		ArgsUsage: "<container-id>",
		Description: `start runs the startContainer hooks in the container, lets the process of a
created container execute its program, runs the poststart hooks on the host,
and returns. If a hook fails the container is stopped and deleted.

EXAMPLE
    mocker create --bundle /tmp/box box1
    mocker start box1`,
		Action: e.start,
	}
}

func (e *env) start(c *cli.Context) error {
	return e.with(c, (*libcontainer.Container).Start)
}
