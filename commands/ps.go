package commands

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
)

func (e *env) psVerb() *cli.Command {
	return &cli.Command{
		Name:      "ps",
		Usage:     "list the processes of a container",
		ArgsUsage: "<container-id> [ps options]",
		Description: `ps lists the processes of a container as the host sees them, with the host's
pids. The table is that of the host's ps(1), called with the options behind
the id (-ef if there are none), without the processes of others. json is the
list of pids, null when there are none.

EXAMPLE
    mocker ps box1
    mocker ps box1 -o pid,stat,args
    mocker ps --format json box1`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Aliases: []string{"f"}, Value: "table", Usage: "print a table or json"},
		},
		Action: e.ps,
	}
}

func (e *env) ps(c *cli.Context) error {
	if err := wantArgs(c, 1, math.MaxInt); err != nil {
		return err
	}
	format := c.String("format")
	if format != "table" && format != "json" {
		return fmt.Errorf("ps --format %q: want table or json", format)
	}
	container, err := e.open(c.Args().First())
	if err != nil {
		return err
	}
	defer container.Close()
	pids, err := container.Processes()
	if err != nil {
		return err
	}
	if format == "json" {
		return json.NewEncoder(e.streams.Out).Encode(pids)
	}
	options := c.Args().Tail()
	if len(options) == 0 {
		options = []string{"-ef"}
	}
	table, err := hostPS(options)
	if err != nil {
		return err
	}
	return psTable(e.streams.Out, table, pids)
}

// hostPS runs the host's ps; the error has what it says.
func hostPS(options []string) (string, error) {
	path, err := findPS()
	if err != nil {
		return "", err
	}
	out, err := exec.Command(path, options...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		// The rest of it is how to call ps.
		said, _, _ := strings.Cut(strings.TrimSpace(string(exit.Stderr)), "\n")
		return "", fmt.Errorf("run ps %s: %w: %s", strings.Join(options, " "), err, said)
	}
	if err != nil {
		return "", fmt.Errorf("run ps %s: %w", strings.Join(options, " "), err)
	}
	return string(out), nil
}

// findPS looks into the usual places too: engines call with an environment
// that is nearly empty.
func findPS() (string, error) {
	for _, name := range []string{"ps", "/usr/bin/ps", "/bin/ps"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("find the program ps: not in $PATH, /usr/bin or /bin; install the package procps")
}

// psTable prints the title line of a table that ps has made and the lines of
// these processes.
func psTable(out io.Writer, table string, pids []int) error {
	title, rows, _ := strings.Cut(table, "\n")
	column := slices.Index(strings.Fields(title), "PID")
	if column < 0 {
		return fmt.Errorf("couldn't find PID field in ps output: its title line is %q", title)
	}
	if _, err := fmt.Fprintln(out, title); err != nil {
		return err
	}
	for row := range strings.Lines(rows) {
		fields := strings.Fields(row)
		if len(fields) <= column {
			continue
		}
		pid, err := strconv.Atoi(fields[column])
		if err != nil {
			return fmt.Errorf("find the pid in ps output: %q: %w", strings.TrimSpace(row), err)
		}
		if !slices.Contains(pids, pid) {
			continue
		}
		if _, err := io.WriteString(out, row); err != nil {
			return err
		}
	}
	return nil
}
