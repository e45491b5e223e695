package commands

import (
	"errors"
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/mocker-runtime/mocker/libcontainer/trace"
)

// tracing is what --trace asks for. Its zero value is none.
type tracing struct {
	rec    *trace.Recorder // nil: nobody has asked
	whole  trace.Span
	file   *os.File
	format string
}

// openTrace opens the trace that is asked for. That is before anything is
// made; and it stays open, so that what has been done can be written.
func (e *env) openTrace(c *cli.Context) error {
	format := c.String("trace-format")
	if format != trace.Chrome && format != trace.Lines {
		return fmt.Errorf("--trace-format %q: want chrome or jsonl", format)
	}
	path := c.String("trace")
	switch {
	case path == "" && c.IsSet("trace"):
		return errors.New("--trace: the path is empty")
	case path == "" && c.IsSet("trace-format"):
		return errors.New("--trace-format: there is no trace without --trace")
	case path == "":
		e.begin()
		return nil
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		var errno *os.PathError
		if errors.As(err, &errno) {
			err = errno.Err // without the path, which is named once
		}
		return fmt.Errorf("--trace %s: %w", path, err)
	}
	e.trace = tracing{rec: trace.New(e.started), file: file, format: format}
	e.begin()
	return nil
}

// begin notes the beginning of the command.
func (e *env) begin() { e.trace.whole = e.trace.rec.Whole("mocker " + e.globals.Verb) }

// write writes the trace of a command that has come to its end. What the
// command did is done, so that it cannot be written is a warning.
func (t *tracing) write(err error, warn func(error)) {
	if t.rec == nil {
		t.whole.End(nil)
		return
	}
	var status exitStatus
	if errors.As(err, &status) {
		err = nil // of the container's program, not of mocker
	}
	t.whole.End(err)
	failed := t.rec.Write(t.file, t.format)
	if closed := t.file.Close(); failed == nil {
		failed = closed
	}
	if failed != nil {
		warn(fmt.Errorf("--trace: %w", failed))
	}
}
