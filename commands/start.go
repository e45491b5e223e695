package commands

import (
	"github.com/urfave/cli/v2"
)

func (e *env) startVerb() *cli.Command {
	return &cli.Command{
		Name:      "start",
		Usage:     "start the process of a created container",
		ArgsUsage: "<container-id>",
		Description: `start lets the process of a created container execute its program, and
returns when it has.

EXAMPLE
    mocker create --bundle /tmp/box box1
    mocker start box1`,
		Action: e.start,
	}
}

func (e *env) start(c *cli.Context) error {
	if err := wantArgs(c, 1, 1); err != nil {
		return err
	}
	container, err := e.open(c.Args().First())
	if err != nil {
		return err
	}
	defer container.Close()
	return container.Start()
}
