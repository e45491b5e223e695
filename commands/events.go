package commands

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/mocker-runtime/mocker/libcontainer"
)

func (e *env) eventsVerb() *cli.Command {
	return &cli.Command{
		Name:      "events",
		Usage:     "tell what a container uses, and when it runs out of memory",
		ArgsUsage: "<container-id>",
		Description: `events prints a line of JSON with what a container uses after each interval,
{"type":"stats",...}, and another whenever the kernel kills one of its
processes for want of memory, {"type":"oom",...}. It ends with the container.

EXAMPLE
    mocker events --stats box1
    mocker events --interval 1s box1`,
		Flags: []cli.Flag{
			&cli.DurationFlag{Name: "interval", Value: 5 * time.Second, Usage: "the time between two lines"},
			option("print one line and be done", "stats"),
		},
		Action: e.events,
	}
}

func (e *env) events(c *cli.Context) error {
	if err := wantArgs(c, 1, 1); err != nil {
		return err
	}
	interval := c.Duration("interval")
	if interval <= 0 {
		return fmt.Errorf("--interval %v: must be greater than 0", interval)
	}
	container, err := e.open(c.Args().First())
	if err != nil {
		return err
	}
	defer container.Close()
	out := json.NewEncoder(e.streams.Out)
	if c.Bool("stats") {
		event, err := container.Stats()
		if err != nil {
			return err
		}
		return out.Encode(event)
	}
	libcontainer.Rest()
	return container.Events(interval, func(event libcontainer.Event) error { return out.Encode(event) })
}
