package commands

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/sirupsen/logrus"
)

// reporter tells errors: one line on stderr, and exactly one record in the log
// file. podman decodes the whole log as one JSON object, so at the default
// level nothing else may get in there.
type reporter struct {
	stderr io.Writer
	logger *logrus.Logger // nil without --log and --debug
	debug  bool
	path   string // the log file; "" when the log goes to stderr
}

func newReporter(globals Globals, stderr io.Writer) *reporter {
	r := &reporter{stderr: stderr, debug: globals.Debug, path: globals.Log}
	if globals.Log == "" && !globals.Debug {
		return r
	}
	r.logger = logrus.New()
	// run ends with the status of the container, never through the logger.
	r.logger.ExitFunc = func(int) {}
	r.logger.SetOutput(stderr)
	if globals.Log != "" {
		r.logger.SetOutput(logFile(globals.Log))
	}
	r.logger.SetFormatter(&logrus.TextFormatter{DisableColors: true, FullTimestamp: true})
	if globals.JSON {
		r.logger.SetFormatter(&logrus.JSONFormatter{})
	}
	if globals.Debug {
		r.logger.SetLevel(logrus.DebugLevel)
	} else {
		r.logger.SetLevel(logrus.ErrorLevel)
	}
	return r
}

// adoptLibraries sends what libraries log (opencontainers/cgroups does) to
// mocker's log with --debug, and drops it otherwise.
func (r *reporter) adoptLibraries() {
	logrus.SetOutput(io.Discard)
	if !r.debug {
		return
	}
	logrus.SetOutput(r.logger.Out)
	logrus.SetFormatter(r.logger.Formatter)
	logrus.SetLevel(logrus.DebugLevel)
}

// fail reports the error that ends this call of mocker.
func (r *reporter) fail(err error) {
	message := oneLine(err)
	fmt.Fprintf(r.stderr, "mocker: %s\n", message)
	if r.path == "" {
		return
	}
	// logrus would report a log that cannot be written on the process's own
	// stderr, in words of its own.
	if err := logFile(r.path).usable(); err != nil {
		fmt.Fprintf(r.stderr, "mocker: --log %s: %s\n", r.path, oneLine(err))
		return
	}
	r.logger.Error(message)
}

// warn tells what went wrong where the specification says to go on. It gets
// into the log with --debug alone.
func (r *reporter) warn(err error) {
	message := oneLine(err)
	fmt.Fprintf(r.stderr, "mocker: warning: %s\n", message)
	if r.debug && r.path != "" {
		r.logger.Warn(message)
	}
}

func (r *reporter) debugf(format string, args ...any) {
	if r.debug {
		r.logger.Debugf(format, args...)
	}
}

// oneLine makes one line of an error: a hook's stderr can have many.
func oneLine(err error) string {
	fields := strings.FieldsFunc(err.Error(), func(c rune) bool { return c == '\n' || c == '\r' })
	for i := range fields {
		fields[i] = strings.TrimSpace(fields[i])
	}
	return strings.Join(fields, "; ")
}

// logFile is the path of a log that is opened when something is written, so
// that a call without an error costs and leaves nothing.
type logFile string

// usable reports why the log cannot be written, if it cannot.
func (path logFile) usable() error {
	f, err := path.open()
	if err != nil {
		return err
	}
	return f.Close()
}

// Write appends in one write: records of two calls of mocker never mix.
func (path logFile) Write(record []byte) (int, error) {
	f, err := path.open()
	if err != nil {
		return 0, err
	}
	n, err := f.Write(record)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return n, err
}

func (path logFile) open() (*os.File, error) {
	return os.OpenFile(string(path), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
}
