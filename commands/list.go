package commands

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/mocker-runtime/mocker/libcontainer"
)

func (e *env) listVerb() *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "list the containers",
		Description: `list shows the containers whose state is kept under --root.

EXAMPLE
    mocker list
    mocker list --format json`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Aliases: []string{"f"}, Value: "table", Usage: "print a table or json"},
			option("print only the ids", "quiet", "q"),
		},
		Action: e.list,
	}
}

func (e *env) list(c *cli.Context) error {
	if err := wantArgs(c, 0, 0); err != nil {
		return err
	}
	format := c.String("format")
	if format != "table" && format != "json" {
		return fmt.Errorf("list --format %q: want table or json", format)
	}
	states, err := libcontainer.List(e.globals.Root, e.report.warn)
	if err != nil {
		return err
	}
	switch {
	case c.Bool("quiet"):
		return listIDs(e.streams.Out, states)
	case format == "json":
		return listJSON(e.streams.Out, states)
	default:
		return listTable(e.streams.Out, states)
	}
}

func listIDs(out io.Writer, states []libcontainer.State) error {
	var text bytes.Buffer // one write for all
	for _, st := range states {
		fmt.Fprintln(&text, st.ID)
	}
	_, err := text.WriteTo(out)
	return err
}

// listJSON prints null for an empty list, as runc does: go-runc and its like
// decode both, and scripts compare.
func listJSON(out io.Writer, states []libcontainer.State) error {
	if len(states) == 0 {
		states = nil
	}
	return json.NewEncoder(out).Encode(states)
}

func listTable(out io.Writer, states []libcontainer.State) error {
	var text bytes.Buffer // a tabwriter writes each cell on its own
	w := tabwriter.NewWriter(&text, 12, 1, 3, ' ', 0)
	fmt.Fprint(w, "ID\tPID\tSTATUS\tBUNDLE\tCREATED\tOWNER\n")
	for _, st := range states {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\n",
			st.ID, st.Pid, st.Status, st.Bundle, st.Created.Format(time.RFC3339Nano), st.Owner)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := text.WriteTo(out)
	return err
}
