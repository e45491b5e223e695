package commands

import (
	"os"

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
and returns; with NOTIFY_SOCKET, at create and here, when the program has said
that it is ready (sd_notify), or has ended. If a hook fails the container is stopped and deleted.

EXAMPLE
    mocker create --bundle /tmp/box box1
    mocker start box1`,
		Action: e.start,
	}
}

func (e *env) start(c *cli.Context) error {
	return e.with(c, func(container *libcontainer.Container) error {
		if err := container.ListenReady(os.Getenv("NOTIFY_SOCKET")); err != nil {
			return err
		}
		if err := container.Start(); err != nil {
			return err
		}
		return container.WaitReady(0)
	})
}
