package commands

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/mocker-runtime/mocker/specconv"
)

func (e *env) specVerb() *cli.Command {
	return &cli.Command{
		Name:  "spec",
		Usage: "write a config.json to start from",
		Description: `spec writes a config.json that runs sh on a terminal, to be edited. With
--busybox it makes a whole bundle: a root file system with busybox, a network
of its own (a veth pair, by "mocker hook network"), and limits of 1 GiB of
memory, one CPU and 1024 processes.

With --rootless it writes one for the user who calls it, who is root in the
container and nobody else outside. With --busybox the other ids are those that
/etc/subuid and /etc/subgid give the user, where newuidmap is installed. There
are no limits, and there is no network hook: it takes root, so the network is
the machine's.

EXAMPLE
    mocker spec --busybox --bundle /tmp/box
    mocker run --bundle /tmp/box box1

EXAMPLE (as an ordinary user)
    mocker spec --busybox --rootless --bundle ~/box
    mocker run --bundle ~/box box1`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "bundle", Aliases: []string{"b"}, Value: ".", Usage: "write to `DIR`"},
			option("make a root file system with busybox as well", "busybox"),
			option("for an ordinary user: a user namespace, the machine's network, no limits", "rootless"),
		},
		Action: e.spec,
	}
}

func (e *env) spec(c *cli.Context) error {
	if err := wantArgs(c, 0, 0); err != nil {
		return err
	}
	bundle, err := filepath.Abs(c.String("bundle"))
	if err != nil {
		return fmt.Errorf("resolve bundle %q: %w", c.String("bundle"), err)
	}
	if c.Bool("busybox") {
		// The hooks in config.json call this very binary.
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find the path of mocker: %w", err)
		}
		return specconv.Busybox(specconv.BusyboxOptions{Bundle: bundle, Mocker: self, Rootless: c.Bool("rootless")})
	}
	spec := specconv.Example()
	if c.Bool("rootless") {
		uids, gids := specconv.OwnIDs()
		specconv.Rootless(spec, uids, gids)
	}
	return specconv.Write(bundle, spec)
}
