package commands

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/mocker-runtime/mocker/libcontainer"
	"github.com/mocker-runtime/mocker/libcontainer/config"
	"github.com/mocker-runtime/mocker/libcontainer/console"
	"github.com/mocker-runtime/mocker/specconv"
)

// The exit codes of a box that did not come to run, which are docker's.
const (
	boxFailure     = 125
	boxNotRunnable = 126
	boxNotFound    = 127
)

// The limits of a box that is given none.
const (
	boxMemory = "1g"
	boxCPUs   = "1"
	boxPids   = 1024
)

// boxFlags are the flags of run that say what a config.json would.
func boxFlags() []cli.Flag {
	const category = "With an image, as with docker:"
	text := func(name, alias, value, usage string) cli.Flag {
		f := &cli.StringFlag{Category: category, Name: name, Value: value, Usage: usage}
		if alias != "" {
			f.Aliases = []string{alias}
		}
		return f
	}
	list := func(usage, name string, aliases ...string) cli.Flag {
		return listFlag{&cli.StringSliceFlag{Category: category, Name: name, Aliases: aliases, Usage: usage}}
	}
	yes := func(usage, name string, aliases ...string) cli.Flag {
		f := option(usage, name, aliases...)
		f.Category = category
		return f
	}
	return []cli.Flag{
		yes("read stdin, as is the default but with --detach; =false: there is nothing to read", "interactive", "i"),
		yes("give it a terminal, as is the default where stdin and stdout are terminals; =false: never", "tty", "t"),
		yes("delete the container when its process has ended, as is the default", "rm"),
		text("name", "", "", "the container's `ID`; a random one otherwise"),
		text("memory", "m", boxMemory, "allow `SIZE` of memory: 512m, 2g; 0: no limit"),
		text("cpus", "", boxCPUs, "allow the time of `N` CPUs: 0.5, 2; 0: no limit"),
		&cli.Int64Flag{Category: category, Name: "pids-limit", Value: boxPids, Usage: "allow `N` processes and threads; 0: no limit"},
		list("set a `VARIABLE`, NAME=VALUE; NAME alone passes the caller's on", "env", "e"),
		list("mount a `VOLUME`, HOST:CONTAINER[:ro]: a file or directory by its path, which begins with / or . and is made if it is missing", "volume", "v"),
		text("workdir", "w", "/", "start in `DIR`, which is made if it is missing"),
		text("user", "u", "root", "run as `USER`[:GROUP], numbers or names of the image's"),
		text("hostname", "", "mocker", "call the container `NAME` (-h is help)"),
		text("network", "net", "veth", "veth: a `NETWORK` behind the host; none: lo alone; host: that of the host, the default of an ordinary user"),
		yes("make the root file system read-only", "read-only"),
		list("give the capability `CAP`, or ALL", "cap-add"),
		list("take the capability `CAP` away, or ALL", "cap-drop"),
		list("put `NAME=VALUE` into the state; mocker.network.subnet=10.1.0.0/16 chooses the network", "annotation"),
	}
}

// listFlag is a flag that may be given several times, by its name and its
// alias in turn. cli refuses that of flags that it knows to have an alias;
// both names set one list, so that there is nothing to refuse.
type listFlag struct{ *cli.StringSliceFlag }

// Names leaves the alias out.
func (f listFlag) Names() []string { return []string{f.Name} }

// given reports whether a flag, which may be a listFlag, is on the command
// line.
func given(c *cli.Context, name string) bool {
	return c.IsSet(name) || len(c.StringSlice(name)) != 0
}

// bundleForm decides which of the two forms of run a command line has.
func bundleForm(c *cli.Context) bool {
	if c.IsSet("bundle") {
		return true
	}
	if c.NArg() != 1 {
		return false
	}
	_, err := os.Lstat("config.json")
	return !errors.Is(err, os.ErrNotExist)
}

// refuseBoxFlags refuses the flags of a box beside a bundle: it would be
// guesswork to mix them with config.json.
func refuseBoxFlags(c *cli.Context) error {
	for _, flag := range boxFlags() {
		name := flag.Names()[0]
		if name == "rm" || !given(c, name) {
			continue
		}
		if c.IsSet("bundle") {
			return fmt.Errorf("--%s: not with --bundle, whose config.json says it", name)
		}
		return fmt.Errorf("--%s: the config.json in the current directory makes %q a container id, and says it", name, c.Args().First())
	}
	return nil
}

// boxError gives an error of a box docker's exit code.
func boxError(err error) error {
	var program *libcontainer.ProgramError
	var status exitStatus
	switch {
	case err == nil, errors.As(err, &status):
		return err
	case !errors.As(err, &program):
		return &ownError{err, boxFailure}
	case program.Missing:
		return &ownError{err, boxNotFound}
	}
	return &ownError{err, boxNotRunnable}
}

// launchBox makes the container of an image and flags.
func (e *env) launchBox(c *cli.Context, detached bool) (*libcontainer.Container, error) {
	opts, err := e.createOptions(c)
	if err != nil {
		return nil, err
	}
	if opts.ID = c.String("name"); !c.IsSet("name") {
		opts.ID = randomID()
	}
	image, err := specconv.ReadImage(c.Args().Slice())
	if err != nil {
		return nil, err
	}
	terminal := e.wantsTerminal(c, detached)
	if err := checkConsole(detached, terminal, opts.ConsoleSocket); err != nil {
		return nil, err
	}
	box, err := e.newBox(c, image, terminal)
	if err != nil {
		return nil, err
	}
	if image.Missing() {
		e.report.warn(noImage(c, image.Name))
	}
	if opts.NoInput = !interactive(c, detached); opts.NoInput {
		// For a terminal that was asked for: who types into it is mocker.
		if e.streams.In, err = os.Open(os.DevNull); err != nil {
			return nil, err
		}
	}
	opts.LogOutput = detached
	opts.MakeBundle = func(dir string) (*config.Config, error) {
		cfg, err := box.Make(dir)
		if err == nil {
			e.warnAll(cfg.Warnings)
		}
		return cfg, err
	}
	undo, err := box.MakeVolumes()
	if err != nil {
		return nil, err
	}
	container, err := libcontainer.Create(nil, opts)
	if err != nil {
		undo()
	}
	return container, err
}

func (e *env) newBox(c *cli.Context, image *specconv.Image, terminal bool) (*specconv.Box, error) {
	// The hooks in the container's config.json call this very binary.
	self, err := libcontainer.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the path of mocker: %w", err)
	}
	opts := specconv.BoxOptions{
		Mocker:      self,
		LookupEnv:   os.LookupEnv,
		Terminal:    terminal,
		Rootless:    e.rootless,
		Memory:      c.String("memory"),
		CPUs:        c.String("cpus"),
		PidsLimit:   c.Int64("pids-limit"),
		Env:         c.StringSlice("env"),
		Volumes:     c.StringSlice("volume"),
		Annotations: c.StringSlice("annotation"),
		Workdir:     c.String("workdir"),
		User:        c.String("user"),
		Hostname:    c.String("hostname"),
		Network:     c.String("network"),
		ReadOnly:    c.Bool("read-only"),
		CapAdd:      c.StringSlice("cap-add"),
		CapDrop:     c.StringSlice("cap-drop"),
	}
	if e.rootless {
		e.withoutRoot(c, &opts)
	}
	return specconv.NewBox(image, opts)
}

// withoutRoot takes back the defaults that an ordinary user cannot have.
func (e *env) withoutRoot(c *cli.Context, opts *specconv.BoxOptions) {
	if !c.IsSet("memory") {
		opts.Memory = "0"
	}
	if !c.IsSet("cpus") {
		opts.CPUs = "0"
	}
	if !c.IsSet("pids-limit") {
		opts.PidsLimit = 0
	}
	if !c.IsSet("network") {
		opts.Network = "host"
		e.report.warn(errors.New("a network of its own takes root, so the container has the host's (--network none: no network)"))
	}
}

// noImage says what an image that does not exist comes to, and what else may
// have been meant.
func noImage(c *cli.Context, name string) error {
	hint := ""
	if c.NArg() == 1 {
		hint = "; the id of a container goes with --bundle"
	}
	return fmt.Errorf("image %s: mocker cannot get images yet, so it runs on the busybox root%s", name, hint)
}

// interactive reports whether the box has mocker's stdin. Nobody types into
// one that is detached, unless it is asked for.
func interactive(c *cli.Context, detached bool) bool {
	if c.IsSet("interactive") {
		return c.Bool("interactive")
	}
	return !detached
}

func (e *env) wantsTerminal(c *cli.Context, detached bool) bool {
	if c.IsSet("tty") {
		return c.Bool("tty")
	}
	return !detached && interactive(c, detached) && console.IsTerminal(e.streams.In) && console.IsTerminal(e.streams.Out)
}

// randomID is an id as docker abbreviates its own.
func randomID() string {
	var id [6]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}
