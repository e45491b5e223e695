package commands

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/mocker-runtime/mocker/specconv"
)

func (e *env) validateVerb() *cli.Command {
	return &cli.Command{
		Name:  "validate",
		Usage: "check a bundle, and make nothing of it",
		Description: `validate checks the config.json of a bundle as create does, but for all that is
wrong and not only for the first thing. Each violation is a line of its own: the
place in config.json, the value, the rule, and the section of the runtime
specification that has the property. It needs no root.

The exit code is 1 if there is a violation, and 0 otherwise.

EXAMPLE
    mocker validate --bundle /tmp/box`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "bundle", Aliases: []string{"b"}, Value: ".", Usage: "check the bundle in `DIR`"},
		},
		Action: e.validate,
	}
}

func (e *env) validate(c *cli.Context) error {
	if err := wantArgs(c, 0, 0); err != nil {
		return err
	}
	violations, warnings, err := specconv.Validate(c.String("bundle"))
	if err != nil {
		return err
	}
	for _, warning := range warnings {
		e.report.warn(errors.New(warning))
	}
	for _, violation := range violations {
		fmt.Fprintln(e.streams.Out, violation)
	}
	if len(violations) > 0 {
		return exitStatus(1)
	}
	fmt.Fprintln(e.streams.Out, "config.json: ok")
	return nil
}
