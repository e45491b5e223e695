package commands

import (
	"errors"

	"github.com/urfave/cli/v2"

	"github.com/mocker-runtime/mocker/libcontainer"
)

func (e *env) deleteVerb() *cli.Command {
	return &cli.Command{
		Name:      "delete",
		Usage:     "delete a container and all it holds",
		ArgsUsage: "<container-id>",
		Description: `delete removes a container that is stopped or was never started: its cgroup,
its state, and with its poststop hooks its network. The bundle stays, and is not
needed any more; the one that run has made of an image goes too.

EXAMPLE
    mocker kill box1 KILL
    mocker delete box1`,
		Flags: []cli.Flag{
			option("kill it first if it runs; an unknown id is no error", "force", "f"),
		},
		Action: e.delete,
	}
}

func (e *env) delete(c *cli.Context) error {
	if err := wantArgs(c, 1, 1); err != nil {
		return err
	}
	force := c.Bool("force")
	container, err := e.open(c.Args().First())
	if force && errors.Is(err, libcontainer.ErrNotExist) {
		e.tidy()
		return nil // callers clean up twice, to be sure
	}
	if err != nil {
		return err
	}
	defer container.Close()
	return container.Delete(force)
}
