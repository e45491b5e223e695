package commands

import (
	"errors"
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/mocker-runtime/mocker/hooks/network"
)

// hookVerb runs the hooks that mocker ships. They are programs of their own
// for whichever runtime calls them; people never do, so it is hidden.
func (e *env) hookVerb() *cli.Command {
	return &cli.Command{
		Name:      "hook",
		Hidden:    true,
		Usage:     "run a hook that mocker ships",
		ArgsUsage: "<hook>",
		Description: `hook runs one of mocker's own OCI hooks: the state of the container is read
from stdin. The only one is network: as prestart or createRuntime hook it gives
the container a veth pair, as poststop hook it takes away what is left of it.

EXAMPLE (config.json)
    "hooks": {"prestart": [{"path": "/usr/bin/mocker", "args": ["mocker", "hook", "network"]}]}`,
		Action: e.hook,
	}
}

func (e *env) hook(c *cli.Context) error {
	if err := wantArgs(c, 1, 1); err != nil {
		return err
	}
	switch name := c.Args().First(); name {
	case "network":
		if os.Geteuid() != 0 {
			return errors.New("hook network: needs root: a rootless container has no network hook, it shares the machine's network (leave the hook and the network namespace out)")
		}
		return network.Run(e.streams.In, e.streams.Err)
	default:
		return fmt.Errorf("unknown hook %q (there is: network)", name)
	}
}
