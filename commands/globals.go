package commands

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/mocker-runtime/mocker/libcontainer"
	"github.com/mocker-runtime/mocker/libcontainer/trace"
)

// Globals are the global flags that matter before the command line is parsed
// in full, and the verb.
type Globals struct {
	Verb  string // "" when none is given
	Args  bool   // something stands behind the verb
	Root  string // --root; absolute unless the working directory is gone
	Log   string // --log; "" for none
	JSON  bool   // --log-format json
	Debug bool   // --debug
	Help  bool   // a help text may be asked for
}

// EntersContainer reports whether the verb brings mocker's own process into a
// container, so that the container could get at its binary.
func (g Globals) EntersContainer() bool {
	return g.Args && (g.Verb == "create" || g.Verb == "run" || g.Verb == "exec")
}

// CheckKernel reports what the kernel lacks to make or enter any container.
func (Globals) CheckKernel() error { return libcontainer.CheckKernel() }

// Peek reads the global flags and the verb of a command line (args[0] is the
// program). It is cheap and forgiving: main needs it before anything is set
// up, and Main reports what is wrong with the flags.
func Peek(args []string) Globals {
	g := Globals{Root: libcontainer.UserRoot()}
	for i := 1; i < len(args); i++ {
		arg := args[i]
		if arg == "--" || arg == "-" || !strings.HasPrefix(arg, "-") {
			if arg == "--" && i+1 < len(args) {
				i++
			}
			g.Verb, g.Args = args[i], i+1 < len(args)
			break
		}
		name, value, given := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if !given && takesValue(name) && i+1 < len(args) {
			i++
			value = args[i]
		}
		g.set(name, value)
	}
	g.Help = slices.Contains(args, "--help") || slices.Contains(args, "-h")
	if abs, err := filepath.Abs(g.Root); err == nil {
		g.Root = abs
	}
	return g
}

func takesValue(name string) bool {
	switch name {
	case "root", "log", "log-format", "rootless", "cgroup-manager", "trace", "trace-format":
		return true
	}
	return false
}

// set takes the last one of a flag that is given twice: dockerd's runtimeArgs
// and its shim both add flags.
func (g *Globals) set(name, value string) {
	switch name {
	case "root":
		if value != "" { // Main refuses it
			g.Root = value
		}
	case "log":
		g.Log = value
	case "log-format":
		g.JSON = value == "json"
	case "debug":
		g.Debug = value == "" || value == "true" || value == "1"
	}
}

func globalFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "root", Value: libcontainer.UserRoot(), Usage: "keep the state of containers in `DIR`, which should be on a tmpfs; an ordinary user's is $XDG_RUNTIME_DIR/mocker"},
		&cli.StringFlag{Name: "log", Usage: "append errors to `FILE` too"},
		&cli.StringFlag{Name: "log-format", Value: "text", Usage: "write the log as text or json"},
		option("log warnings and timings as well", "debug"),
		&cli.StringFlag{Name: "rootless", Value: "auto", Usage: "go without cgroups that may not be made: true, false, or auto, which is true for all but the machine's root"},
		&cli.StringFlag{Name: "cgroup-manager", Value: "cgroupfs", Usage: "cgroupfs, or disabled: a container that is made has no cgroup of its own, and no limits (systemd is not built yet)"},
		option("not built yet: refused", "systemd-cgroup"),
		&cli.StringFlag{Name: "trace", Usage: "write what is done, step by step and with every system call inside, and how long it takes, to `FILE`"},
		&cli.StringFlag{Name: "trace-format", Value: trace.Chrome, Usage: "write the trace as chrome, which Perfetto and chrome://tracing open, or as jsonl, an object a line"},
		cli.HelpFlag,
	}
}

// option is a flag without a value.
func option(usage, name string, aliases ...string) *cli.BoolFlag {
	return &cli.BoolFlag{Name: name, Aliases: aliases, Usage: usage, DisableDefaultText: true}
}

// parsed gives flags to be parsed: without what is only for help, unless that
// is asked for.
func (e *env) parsed(flags []cli.Flag) []cli.Flag {
	if e.globals.Help || e.globals.Verb == "" || e.globals.Verb == "help" {
		return flags
	}
	list := make([]cli.Flag, len(flags))
	for i, flag := range flags {
		if flag == cli.HelpFlag { // cli would add it otherwise
			list[i] = flag
			continue
		}
		switch f := flag.(type) {
		case *cli.StringSliceFlag:
			list[i] = parsedSlice{f, f.Names()}
		case listFlag:
			list[i] = parsedSlice{f.StringSliceFlag, f.Names()}
		case *cli.StringFlag:
			list[i] = parsedFlag{f, names(f.Name, f.Aliases)}
		case *cli.BoolFlag:
			list[i] = parsedFlag{f, names(f.Name, f.Aliases)}
		default:
			list[i] = parsedFlag{f, f.Names()}
		}
	}
	return list
}

// parsedFlag is a flag that cli only parses. Of others it writes the help text
// at once, and it asks for all their names again for each, which it looks
// through with a regular expression.
type parsedFlag struct {
	cli.Flag
	names []string
}

func (f parsedFlag) Names() []string { return f.names }

// names are what a flag's own Names gives, without a regular expression.
func names(name string, aliases []string) []string { return append([]string{name}, aliases...) }

// parsedSlice is a parsedFlag that cli can tell what separates values.
type parsedSlice struct {
	*cli.StringSliceFlag
	names []string
}

func (f parsedSlice) Names() []string { return f.names }

// GetCategory gives none: one that has one is one for a help text.
func (f parsedSlice) GetCategory() string { return "" }

// checkGlobals refuses global flags that this build cannot honour.
func (e *env) checkGlobals(c *cli.Context) error {
	if format := c.String("log-format"); format != "text" && format != "json" {
		return fmt.Errorf("--log-format %q: want text or json", format)
	}
	if c.String("root") == "" {
		return fmt.Errorf("--root: the path is empty")
	}
	if log := c.String("log"); log != "" {
		// The file itself is opened when there is something to write.
		if _, err := os.Stat(filepath.Dir(log)); err != nil {
			e.report.path = "" // said once is enough
			return fmt.Errorf("--log %s: %w", log, err)
		}
	}
	if c.Bool("systemd-cgroup") {
		return fmt.Errorf("--systemd-cgroup: the systemd cgroup driver is not built yet, use cgroupfs")
	}
	switch manager := c.String("cgroup-manager"); manager {
	case "cgroupfs":
	case "disabled":
		e.noCgroup = true
	case "systemd":
		return fmt.Errorf("--cgroup-manager systemd: the systemd cgroup driver is not built yet, use cgroupfs")
	default:
		return fmt.Errorf("--cgroup-manager %q: want cgroupfs or disabled", manager)
	}
	switch rootless := c.String("rootless"); rootless {
	case "auto":
		e.rootless = libcontainer.Unprivileged()
	case "false":
	case "true":
		e.rootless = true
	default:
		return fmt.Errorf("--rootless %q: want true, false or auto", rootless)
	}
	return e.openTrace(c)
}
