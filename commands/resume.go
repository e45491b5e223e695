package commands

import (
	"github.com/urfave/cli/v2"

	"github.com/mocker-runtime/mocker/libcontainer"
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
	return e.with(c, (*libcontainer.Container).Resume)
}
