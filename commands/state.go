package commands

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/mocker-runtime/mocker/libcontainer"
	"github.com/mocker-runtime/mocker/libcontainer/lazyjson"
)

func (e *env) stateVerb() *cli.Command {
	return &cli.Command{
		Name:      "state",
		Usage:     "print the state of a container as JSON",
		ArgsUsage: "<container-id>",
		Description: `state prints the state of a container, as the runtime specification defines
it: status is creating, created, running, paused or stopped, and pid is 0 once
it has stopped.

EXAMPLE
    mocker state box1`,
		Action: e.state,
	}
}

func (e *env) state(c *cli.Context) error {
	return e.with(c, func(container *libcontainer.Container) error {
		st, err := container.State()
		if err != nil {
			return err
		}
		data, err := lazyjson.MarshalIndent(st, "  ")
		if err != nil {
			return fmt.Errorf("encode state of container %q: %w", st.ID, err)
		}
		_, err = e.streams.Out.Write(data)
		return err
	})
}
