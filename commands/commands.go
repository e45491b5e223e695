// Package commands is mocker's command line: one file per verb. A verb parses
// its flags, calls specconv and libcontainer, and prints what they answer. The
// command lines, the JSON and the exit codes are runc's, so that every caller
// of runc can call mocker.
//
// It runs outside the container only and knows nothing about the kernel: no
// system calls, no /sys, no /proc. What a verb does is decided in
// libcontainer; what a config.json means, in specconv.
package commands

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"

	"github.com/mocker-runtime/mocker/libcontainer"
	"github.com/mocker-runtime/mocker/libcontainer/trace"
)

// Build says which build of mocker this is.
type Build struct {
	Version string // "0.1.0"
	Commit  string // the commit it was built from; "" when that is not known
}

// Streams are the three standard streams of the command line: answers go to
// Out and errors to Err. A container without a terminal gets the standard
// streams of the process itself, whatever stands here.
type Streams struct {
	In, Out, Err *os.File
}

// ownFailure is the exit code of what mocker itself could not do. exec has one
// of its own, to tell it from what a program of the container could not do.
func ownFailure(globals Globals) int {
	if globals.Verb == "exec" {
		return 255
	}
	return 1
}

// exitStatus is the end of a container's process that run and exec pass on. It is an
// error only so that it can travel through the actions: nothing is printed.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// ownError is an error of mocker's own with an exit code other than
// ownFailure.
type ownError struct {
	error
	code int
}

func (e *ownError) Unwrap() error { return e.error }

// env is what the actions of one call of mocker share.
type env struct {
	globals Globals
	streams Streams
	report  *reporter
	started time.Time
	trace   tracing

	rootless bool // --rootless, with auto resolved
	noCgroup bool // --cgroup-manager disabled
}

// Main carries out one command line (args[0] is the program) and returns the
// exit code: 0, 1 when mocker itself failed (255 for exec, 125 to 127 for run
// with an image), or for run and exec the status of the container's process.
func Main(args []string, build Build, streams Streams) int {
	started := time.Now()
	globals := Peek(args)
	e := &env{globals: globals, streams: streams, report: newReporter(globals, streams.Err), started: started}
	// Libraries that log must not write to stderr: callers parse stdout and
	// stderr of state and list together.
	e.report.adoptLibraries()

	cli.VersionPrinter = func(*cli.Context) { printVersion(streams.Out, build) }
	err := e.app(build).Run(args)
	if globals.EntersContainer() {
		// Sealing made it, and perhaps no container came to be in it.
		e.tidy()
	}
	e.trace.write(err, e.report.warn)
	e.report.debugf("%s took %s", globals.Verb, time.Since(started))

	var status exitStatus
	if errors.As(err, &status) {
		return int(status)
	}
	if err != nil {
		e.report.fail(err)
		var own *ownError
		if errors.As(err, &own) {
			return own.code
		}
		return ownFailure(globals)
	}
	return 0
}

// Fail reports an error that came before Main, as Main would have done, and
// returns the exit code.
func Fail(globals Globals, streams Streams, err error) int {
	newReporter(globals, streams.Err).fail(err)
	return ownFailure(globals)
}

func printVersion(out *os.File, build Build) {
	fmt.Fprintf(out, "mocker version %s\n", build.Version)
	if build.Commit != "" {
		fmt.Fprintf(out, "commit: %s\n", build.Commit)
	}
	fmt.Fprintf(out, "spec: %s\n", specs.Version)
}

// open finds a container; the caller closes it.
func (e *env) open(id string) (*libcontainer.Container, error) {
	container, err := libcontainer.Open(e.globals.Root, id)
	if err != nil {
		return nil, err
	}
	container.Warn, container.Trace = e.report.warn, e.trace.rec
	return container, nil
}

func (e *env) tidy() {
	span := e.trace.rec.Begin(trace.Step, "tidy")
	libcontainer.Tidy(e.globals.Root)
	span.End(nil)
}

// with carries out a verb whose one argument is a container's id.
func (e *env) with(c *cli.Context, do func(*libcontainer.Container) error) error {
	if err := wantArgs(c, 1, 1); err != nil {
		return err
	}
	container, err := e.open(c.Args().First())
	if err != nil {
		return err
	}
	defer container.Close()
	return do(container)
}

func (e *env) app(build Build) *cli.App {
	app := &cli.App{
		Name:    "mocker",
		Usage:   "a low-level OCI container runtime",
		Version: build.Version,
		Description: `mocker creates and runs containers from OCI bundles: a directory with a
config.json and a root file system. Engines such as podman, containerd and
docker call it in place of runc; it is as easily called by hand:

    mocker spec --busybox --bundle /tmp/box
    mocker run --bundle /tmp/box box1

"mocker help VERB" explains a verb and gives an example.`,
		Flags:    e.parsed(globalFlags()),
		Commands: e.verbs(build),
		// A comma in a value is the value's own: --env LIST=a,b.
		DisableSliceFlagSeparator: true,

		HideHelpCommand: true, // help is a verb of ours, with our errors
		Writer:          e.streams.Out,
		ErrWriter:       e.streams.Err,
		// cli would otherwise stat the binary on every start.
		Compiled:       time.Unix(1, 0),
		ExitErrHandler: func(*cli.Context, error) {}, // Main prints and exits
		OnUsageError:   usageError,
		Before:         e.checkGlobals,
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return unknownVerb(c.Args().First(), c.App.Commands)
			}
			return cli.ShowAppHelp(c)
		},
	}
	for _, verb := range app.Commands {
		// Without this, cli adds a verb "help" to each verb, and a container
		// called "help" or "h" could not be named.
		verb.HideHelpCommand = true
		verb.OnUsageError = usageError
	}
	return app
}

// verbs makes the verbs: where one has been called, that one alone. The flags
// of all take a millisecond, which no command has to spare.
func (e *env) verbs(build Build) []*cli.Command {
	table := []struct {
		name string
		make func() *cli.Command
	}{
		{"spec", e.specVerb},
		{"create", e.createVerb},
		{"start", e.startVerb},
		{"run", e.runVerb},
		{"exec", e.execVerb},
		{"state", e.stateVerb},
		{"list", e.listVerb},
		{"kill", e.killVerb},
		{"ps", e.psVerb},
		{"events", e.eventsVerb},
		{"update", e.updateVerb},
		{"pause", e.pauseVerb},
		{"resume", e.resumeVerb},
		{"delete", e.deleteVerb},
		{"validate", e.validateVerb},
		{"features", func() *cli.Command { return e.featuresVerb(build) }},
		{"completion", e.completionVerb},
		{"complete", e.completeVerb},
		{"hook", e.hookVerb},
		{"help", e.helpVerb},
	}
	for _, verb := range table {
		if verb.name == e.globals.Verb && verb.name != "help" && verb.name != "complete" { // which speak of others
			made := verb.make()
			made.Flags = e.parsed(made.Flags)
			return []*cli.Command{made}
		}
	}
	var verbs []*cli.Command
	for _, verb := range table {
		verbs = append(verbs, verb.make())
	}
	return verbs
}

func (e *env) helpVerb() *cli.Command {
	return &cli.Command{
		Name:      "help",
		Aliases:   []string{"h"},
		Usage:     "explain mocker, or one verb",
		ArgsUsage: "[verb]",
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 1); err != nil {
				return err
			}
			name := c.Args().First()
			if name == "" {
				return cli.ShowAppHelp(c)
			}
			verb := c.App.Command(name)
			if verb == nil {
				return unknownVerb(name, c.App.Commands)
			}
			cli.HelpPrinter(c.App.Writer, cli.CommandHelpTemplate, verb)
			return nil
		},
	}
}
