package commands

import "github.com/urfave/cli/v2"

func (e *env) createVerb() *cli.Command {
	return &cli.Command{
		Name:      "create",
		Usage:     "create a container, ready to be started",
		ArgsUsage: "<container-id>",
		Description: `create makes a container from a bundle and everything it needs: namespaces,
cgroup, mounts, network. Its process waits for "mocker start" to execute the
program of config.json. The id is yours to choose and unique on the machine.

EXAMPLE
    mocker create --bundle /tmp/box --pid-file /tmp/box.pid box1
    mocker start box1`,
		Flags:  launchFlags(),
		Action: e.create,
	}
}

func (e *env) create(c *cli.Context) error {
	if err := wantArgs(c, 1, 1); err != nil {
		return err
	}
	container, err := e.launch(c, true)
	if err != nil {
		return err
	}
	container.Close()
	return nil
}
