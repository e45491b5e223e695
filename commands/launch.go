package commands

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"

	"github.com/mocker-runtime/mocker/libcontainer"
	"github.com/mocker-runtime/mocker/libcontainer/config"
	"github.com/mocker-runtime/mocker/specconv"
)

// launchFlags are the flags that create and run share.
func launchFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "bundle", Aliases: []string{"b"}, Value: ".", Usage: "take config.json and the root file system from `DIR`"},
		&cli.StringFlag{Name: "console-socket", Usage: "send the master side of the terminal to the AF_UNIX socket at `PATH`"},
		&cli.StringFlag{Name: "pid-file", Usage: "write the process id to `FILE`, digits only"},
		&cli.StringFlag{Name: "pidfd-socket", Usage: "send a pidfd of the process to the AF_UNIX socket at `PATH`"},
		option("move the root instead of pivot_root, for a root file system on the initramfs", "no-pivot"),
		option("keep the caller's session keyring", "no-new-keyring"),
		&cli.IntFlag{Name: "preserve-fds", Usage: "pass `N` file descriptors, from 3 on, to the process; with LISTEN_FDS those behind the sockets"},
		&cli.StringFlag{Name: "resctrl", Usage: "use the resctrl file system at `DIR`, for linux.intelRdt, instead of the one that is mounted"},
	}
}

// launch reads the bundle of a create or run and creates its container.
// detached says that mocker does not stay with it. The caller closes it.
func (e *env) launch(c *cli.Context, detached bool) (*libcontainer.Container, error) {
	opts, err := e.createOptions(c)
	if err != nil {
		return nil, err
	}
	cfg, err := e.loadConfig(c.String("bundle"))
	if err != nil {
		return nil, err
	}
	e.warnAll(cfg.Warnings)
	terminal := cfg.Process != nil && cfg.Process.Terminal
	if err := checkConsole(detached, terminal, opts.ConsoleSocket); err != nil {
		return nil, err
	}
	return libcontainer.Create(cfg, opts)
}

// warnAll tells what is ignored of a config.json to a person, or with --debug
// to the log that an engine has named.
func (e *env) warnAll(warnings []string) {
	for _, warning := range warnings {
		if e.globals.Log == "" {
			e.report.warn(errors.New(warning))
		} else {
			e.report.debugf("%s", warning)
		}
	}
}

func (e *env) createOptions(c *cli.Context) (libcontainer.CreateOptions, error) {
	opts := libcontainer.CreateOptions{
		Root:          e.globals.Root,
		ID:            c.Args().First(),
		PidFile:       c.String("pid-file"),
		ConsoleSocket: c.String("console-socket"),
		NoPivot:       c.Bool("no-pivot"),
		NoNewKeyring:  c.Bool("no-new-keyring"),
		Rootless:      e.rootless,
		NoCgroup:      e.noCgroup,
		PreserveFDs:   c.Int("preserve-fds"),
		PidfdSocket:   c.String("pidfd-socket"),
		Sockets:       listenSockets(),
		NotifySocket:  os.Getenv("NOTIFY_SOCKET"),
		Resctrl:       c.String("resctrl"),
		Warn:          e.report.warn,
		Trace:         e.trace.rec,
		Debugf:        e.report.debugf,
	}
	if opts.PreserveFDs < 0 {
		return opts, fmt.Errorf("--preserve-fds %d: must not be negative", opts.PreserveFDs)
	}
	return opts, nil
}

// listenSockets are the sockets that a service manager has opened for mocker,
// and so for the container (sd_listen_fds(3)).
func listenSockets() libcontainer.Sockets {
	count, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil || count <= 0 || os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return libcontainer.Sockets{}
	}
	return libcontainer.Sockets{Count: count, Names: os.Getenv("LISTEN_FDNAMES")}
}

// loadConfig reads, checks and resolves the config.json of a bundle.
func (e *env) loadConfig(bundle string) (*config.Config, error) {
	dir, err := filepath.Abs(bundle)
	if err != nil {
		return nil, fmt.Errorf("resolve bundle %q: %w", bundle, err)
	}
	spec, err := e.loadSpec(dir)
	if err != nil {
		return nil, err
	}
	var cfg *config.Config
	err = e.trace.rec.Step("resolve config.json", func() (err error) {
		cfg, err = specconv.Convert(spec, dir)
		return err
	})
	return cfg, err
}

func (e *env) loadSpec(bundle string) (spec *specs.Spec, err error) {
	err = e.trace.rec.Step("read config.json", func() error {
		spec, err = specconv.Load(bundle)
		return err
	})
	return spec, err
}

// checkConsole refuses the combinations of a terminal and a console socket
// that have no meaning, in runc's words.
func checkConsole(detached, terminal bool, socket string) error {
	if detached && terminal && socket == "" {
		return errors.New("cannot allocate tty if mocker will detach without setting console socket")
	}
	if (!detached || !terminal) && socket != "" {
		return errors.New("cannot use console socket if mocker will not detach or allocate tty")
	}
	return nil
}
