package commands

import (
	"github.com/urfave/cli/v2"
)

func (e *env) killVerb() *cli.Command {
	return &cli.Command{
		Name:      "kill",
		Usage:     "send a signal to the process of a container",
		ArgsUsage: "<container-id> [signal]",
		Description: `kill sends a signal to the first process of a container. The signal is a name
(TERM, SIGTERM, SIGRTMIN+3) or a number; without one it is TERM. The first
process of a pid namespace gets only the signals that it handles, and KILL.

EXAMPLE
    mocker kill box1 KILL`,
		Flags: []cli.Flag{
			option("send it to every process of the container; no error if there is none", "all", "a"),
		},
		Action: e.kill,
	}
}

func (e *env) kill(c *cli.Context) error {
	if err := wantArgs(c, 1, 2); err != nil {
		return err
	}
	name := "TERM"
	if c.NArg() == 2 {
		name = c.Args().Get(1)
	}
	sig, err := parseSignal(name)
	if err != nil {
		return err
	}
	container, err := e.open(c.Args().First())
	if err != nil {
		return err
	}
	defer container.Close()
	if c.Bool("all") {
		return container.KillAll(sig)
	}
	return container.Kill(sig)
}
