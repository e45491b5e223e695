package commands

import (
	"errors"
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

EXAMPLE
    mocker spec --busybox --bundle /tmp/box
    mocker run --bundle /tmp/box box1`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "bundle", Aliases: []string{"b"}, Value: ".", Usage: "write to `DIR`"},
			option("make a root file system with busybox as well", "busybox"),
			option("not built yet: refused", "rootless"),
		},
		Action: e.spec,
	}
}

func (e *env) spec(c *cli.Context) error {
	if err := wantArgs(c, 0, 0); err != nil {
		return err
	}
	if c.Bool("rootless") {
		return errors.New("spec --rootless: rootless containers are not built yet")
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
		return specconv.Busybox(specconv.BusyboxOptions{Bundle: bundle, Mocker: self})
	}
	return specconv.Write(bundle, specconv.Example())
}
