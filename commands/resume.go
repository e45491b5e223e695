package commands

import (
	"github.com/urfave/cli/v2"
)

func (e *env) resumeVerb() *cli.Command {
	return &cli.Command{
		Name:      "resume",
		Usage:     "let the processes of a paused container go on",
		ArgsUsage: "<container-id>",
		Description: `resume lets the processes of a container go on that "mocker pause" has
stopped. Signals that were sent meanwhile arrive now.

EXAMPLE
    mocker pause box1
    mocker resume box1`,
		Action: e.resume,
	}
}

func (e *env) resume(c *cli.Context) error {
	if err := wantArgs(c, 1, 1); err != nil {
		return err
	}
	container, err := e.open(c.Args().First())
	if err != nil {
		return err
	}
	defer container.Close()
	return container.Resume()
}
