package commands

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"

	"github.com/mocker-runtime/mocker/libcontainer"
	"github.com/mocker-runtime/mocker/libcontainer/config"
	"github.com/mocker-runtime/mocker/specconv"
)

func (e *env) execVerb() *cli.Command {
	return &cli.Command{
		Name:      "exec",
		Usage:     "run one more process in a container",
		ArgsUsage: "<container-id> <program> [arguments], or --process FILE <container-id>",
		Description: `exec runs a program beside the first process of a container, waits for it and
exits with its status, or 128 and the number of the signal that ended it, or
255 when mocker itself failed. The process is that of the bundle's config.json
with another command line, without a terminal unless --tty is given, and with
what the flags change; or that of a process.json. A process for which no
profile or label is given has the container's. Flags come before the id.

EXAMPLE
    mocker exec box1 ps
    mocker exec --tty --env TERM=linux --user 1000:1000 box1 sh
    mocker exec --apparmor docker-default box1 id`,
		Flags: append(processFlags(),
			&cli.StringFlag{Name: "process", Aliases: []string{"p"}, Usage: "take the process from `FILE`, which has what stands under \"process\" in a config.json; goes with none of the flags above but --tty"},
			option("return once the process has started", "detach", "d"),
			&cli.StringFlag{Name: "console-socket", Usage: "send the master side of the terminal to the AF_UNIX socket at `PATH`"},
			&cli.StringFlag{Name: "pid-file", Usage: "write the process id to `FILE`, digits only"},
			&cli.StringFlag{Name: "pidfd-socket", Usage: "send a pidfd of the process to the AF_UNIX socket at `PATH`"},
			&cli.IntFlag{Name: "preserve-fds", Usage: "pass `N` file descriptors, from 3 on, to the process"},
			listFlag{&cli.StringSliceFlag{Name: "cgroup", Usage: "put the process into the existing cgroup `[CONTROLLER[,CONTROLLER]:]PATH` below the container's"}},
			option("in a paused container wait until it is resumed", "ignore-paused"),
			&cli.BoolFlag{Name: "no-subreaper", Hidden: true}, // of runc, which hides it too: mocker never becomes a subreaper
		),
		Action: e.exec,
	}
}

// processFlags are the flags that say what a process is like.
func processFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "cwd", Usage: "start in the directory `PATH` of the container"},
		listFlag{&cli.StringSliceFlag{Name: "env", Aliases: []string{"e"}, Usage: "add `NAME=VALUE` to the environment"}},
		option("give the process a terminal", "tty", "t"),
		&cli.StringFlag{Name: "user", Aliases: []string{"u"}, Usage: "run as `UID[:GID]`, which are numbers"},
		listFlag{&cli.StringSliceFlag{Name: "additional-gids", Aliases: []string{"g"}, Usage: "add the group `GID`, a number"}},
		listFlag{&cli.StringSliceFlag{Name: "cap", Aliases: []string{"c"}, Usage: "add the capability `CAP_NAME`"}},
		option("let the process gain no privileges by execve", "no-new-privs"),
		&cli.StringFlag{Name: "apparmor", Usage: "confine the process by the AppArmor profile `NAME`, which is loaded; \"unconfined\" is by none"},
		&cli.StringFlag{Name: "process-label", Usage: "give the process the SELinux label `CONTEXT`"},
	}
}

func (e *env) exec(c *cli.Context) error {
	if err := wantArgs(c, 1, c.NArg()); err != nil {
		return err
	}
	opts, err := e.execOptions(c)
	if err != nil {
		return err
	}
	container, err := e.open(c.Args().First())
	if err != nil {
		return err
	}
	defer container.Close()
	process, err := e.process(c, container)
	if err != nil {
		return err
	}
	detached := c.Bool("detach")
	if err := checkConsole(detached, process.Terminal, opts.ConsoleSocket); err != nil {
		return err
	}
	joined, err := container.Exec(process, opts)
	if err != nil {
		return err
	}
	defer joined.Close()
	if detached {
		return joined.Start()
	}
	// Not before: until now a signal has to end mocker, and what has not
	// been started ends with it.
	return result(e.follow(joined, e.catchSignals()))
}

func (e *env) execOptions(c *cli.Context) (libcontainer.ExecOptions, error) {
	opts := libcontainer.ExecOptions{
		PidFile:       c.String("pid-file"),
		ConsoleSocket: c.String("console-socket"),
		PidfdSocket:   c.String("pidfd-socket"),
		PreserveFDs:   c.Int("preserve-fds"),
		IgnorePaused:  c.Bool("ignore-paused"),
		Debugf:        e.report.debugf,
	}
	if opts.PreserveFDs < 0 {
		return opts, fmt.Errorf("--preserve-fds %d: must not be negative", opts.PreserveFDs)
	}
	var err error
	opts.Cgroup, err = parseCgroups(c.StringSlice("cgroup"))
	return opts, err
}

// process is what exec is to run: a process.json, or what the flags make of
// the bundle's own process.
func (e *env) process(c *cli.Context, container *libcontainer.Container) (*config.Process, error) {
	given, file, err := e.givenProcess(c, container)
	if err != nil {
		return nil, err
	}
	process, warnings, err := specconv.ConvertProcess(given, file)
	e.warnAll(warnings)
	return process, err
}

func (e *env) givenProcess(c *cli.Context, container *libcontainer.Container) (*specs.Process, string, error) {
	if file := c.String("process"); file != "" {
		for _, flag := range processFlags() {
			if name := flag.Names()[0]; given(c, name) && name != "tty" {
				return nil, "", fmt.Errorf("--%s: cannot be given together with --process, whose file says it", name)
			}
		}
		if c.NArg() > 1 {
			return nil, "", fmt.Errorf("%q: no program can be given together with --process, whose file names it", c.Args().Get(1))
		}
		process, err := specconv.LoadProcess(file)
		if err == nil && c.Bool("tty") {
			process.Terminal = true // podman says it twice
		}
		return process, file, err
	}
	if c.NArg() == 1 {
		return nil, "", errors.New("process args cannot be empty: name a program behind the container id, or a process.json with --process")
	}
	state, err := container.State()
	if err != nil {
		return nil, "", err
	}
	spec, err := e.loadSpec(state.Bundle)
	if err != nil {
		return nil, "", err
	}
	if spec.Process == nil {
		return nil, "", errors.New("config.json: process: missing, and so nothing to derive one from: use --process")
	}
	return spec.Process, "config.json", changeProcess(c, spec.Process)
}

// changeProcess makes of the bundle's process what the flags say.
func changeProcess(c *cli.Context, p *specs.Process) error {
	p.Args = c.Args().Tail()
	p.Terminal, p.ConsoleSize = c.Bool("tty"), nil
	if cwd := c.String("cwd"); cwd != "" {
		if !filepath.IsAbs(cwd) {
			return fmt.Errorf("--cwd %q: not an absolute path", cwd)
		}
		p.Cwd = cwd
	}
	for _, kv := range c.StringSlice("env") {
		if name, _, ok := strings.Cut(kv, "="); !ok || name == "" {
			return fmt.Errorf("--env %q: want NAME=VALUE", kv)
		}
		p.Env = append(p.Env, kv)
	}
	if c.IsSet("no-new-privs") {
		p.NoNewPrivileges = c.Bool("no-new-privs")
	}
	p.ApparmorProfile = cmp.Or(c.String("apparmor"), p.ApparmorProfile)
	p.SelinuxLabel = cmp.Or(c.String("process-label"), p.SelinuxLabel)
	if err := changeUser(c, &p.User); err != nil {
		return err
	}
	return addCapabilities(p, c.StringSlice("cap"))
}

func changeUser(c *cli.Context, u *specs.User) error {
	if user := c.String("user"); c.IsSet("user") {
		uid, gid, group := strings.Cut(user, ":")
		id, ok := specconv.ParseID(uid)
		if !ok {
			return fmt.Errorf("--user %q: the user is not a number from 0 to 4294967294", user)
		}
		u.UID, u.Username = id, ""
		if group {
			if id, ok = specconv.ParseID(gid); !ok {
				return fmt.Errorf("--user %q: the group is not a number from 0 to 4294967294", user)
			}
			u.GID = id
		}
	}
	for _, gid := range c.StringSlice("additional-gids") {
		id, ok := specconv.ParseID(gid)
		if !ok {
			return fmt.Errorf("--additional-gids %q: not a number from 0 to 4294967294", gid)
		}
		u.AdditionalGids = append(u.AdditionalGids, id)
	}
	return nil
}

// addCapabilities gives a process more capabilities, to use and to keep. It
// adds ambient ones only where the process has some to inherit, as runc does:
// without those none can be ambient.
func addCapabilities(p *specs.Process, names []string) error {
	if len(names) == 0 {
		return nil
	}
	if p.Capabilities == nil {
		p.Capabilities = &specs.LinuxCapabilities{}
	}
	c := p.Capabilities
	for _, name := range names {
		if !specconv.IsCapability(name) {
			return fmt.Errorf("--cap %q: not a capability", name)
		}
		c.Bounding = append(c.Bounding, name)
		c.Effective = append(c.Effective, name)
		c.Permitted = append(c.Permitted, name)
		if c.Inheritable != nil {
			c.Ambient = append(c.Ambient, name)
		}
	}
	return nil
}
