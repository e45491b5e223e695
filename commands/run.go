package commands

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/mocker-runtime/mocker/libcontainer"
	"github.com/mocker-runtime/mocker/libcontainer/console"
	"github.com/mocker-runtime/mocker/libcontainer/trace"
)

func (e *env) runVerb() *cli.Command {
	return &cli.Command{
		Name:      "run",
		Usage:     "create and start a container",
		ArgsUsage: "<container-id>",
		UsageText: "mocker run [options] --bundle DIR <container-id>\nmocker run [options] [image] [command] [argument...]",
		Description: `run creates a container, starts it, waits for its process, deletes the
container and exits with the status of the process, or 128 and the number of
the signal that ended it. Signals are passed on to the process; with a terminal
the keyboard is the container's.

With --bundle, or one word and a config.json in the current directory, the word
is a container id. Otherwise a first word that is a busybox applet, is no
directory and has neither ":" nor "/" is the command; any other first word names
the image: a directory is a root file system, used in place; busybox is built
in; and any other name runs on the busybox root, with a line on stderr that says
so. Without a command it is a shell. What follows the first word belongs to the
command.

An image gets a bundle of its own, which goes with the container; what is
written to volumes stays. The flags that are not about a bundle are docker's.
Detached, run prints the id and the output goes to the file log in that bundle
(see "mocker state"). Where docker exits with 125, 126 or 127, so does run.

EXAMPLE
    mocker spec --busybox --bundle /tmp/box
    mocker run --bundle /tmp/box box1

    mocker run sh
    mocker run ubuntu:latest /bin/echo "Hello from container"
    mocker run --memory 512m --volume ./data:/data:ro busybox ls -l /data`,
		UseShortOptionHandling: true, // docker run -it
		Flags:                  runFlags(),
		Action:                 e.run,
	}
}

func runFlags() []cli.Flag {
	both := append(launchFlags(),
		option("return once the process has started", "detach", "d"),
		option("do not delete the container when its process has ended", "keep"),
		option("accepted for callers of runc: mocker never becomes a subreaper", "no-subreaper"),
	)
	return append(both, boxFlags()...)
}

func (e *env) run(c *cli.Context) error {
	if c.NArg() == 0 {
		return errors.New(`"run" requires a minimum of 1 argument(s) (usage: mocker run [--bundle DIR] <container-id>, or mocker run [image] [command]...)`)
	}
	if c.Bool("rm") && c.Bool("keep") {
		return errors.New("--rm and --keep contradict each other")
	}
	if !bundleForm(c) {
		return boxError(e.stay(c, e.launchBox))
	}
	if err := wantArgs(c, 1, 1); err != nil {
		return err
	}
	if err := refuseBoxFlags(c); err != nil {
		return err
	}
	return e.stay(c, e.launch)
}

// stay launches a container, starts it and, unless it is detached, stays with
// it to its end.
func (e *env) stay(c *cli.Context, launch func(*cli.Context, bool) (*libcontainer.Container, error)) error {
	detached := c.Bool("detach")
	var signals chan os.Signal
	if !detached {
		// From here on, so that there is no moment at which a signal would
		// end mocker and leave the container alone. Those that ask to end
		// also interrupt a create; the others wait for the process.
		signals = e.catchSignals()
	}
	container, err := launch(c, detached)
	if err != nil {
		return err
	}
	defer container.Close()
	if err := container.ListenReady(os.Getenv("NOTIFY_SOCKET")); err != nil {
		return errors.Join(err, container.Delete(true))
	}
	if !detached {
		// mocker stays, and is what the service manager has started.
		go e.waitReady(container, os.Getpid())
	}
	span := e.trace.rec.Begin(trace.Step, "start and wait")
	status, err := e.follow(container, signals)
	span.End(err)
	if detached && err == nil {
		e.waitReady(container, 0)
	}
	if detached && err == nil && !bundleForm(c) {
		_, err = fmt.Fprintln(e.streams.Out, container.ID())
		return err
	}
	if c.Bool("keep") || (detached && err == nil) {
		return result(status, err)
	}
	deleteErr := container.Delete(true)
	if deleteErr != nil && err == nil && status != 0 {
		// The caller asked for the status: it must not be hidden behind 1.
		e.report.fail(deleteErr)
		return exitStatus(status)
	}
	return result(status, errors.Join(err, deleteErr))
}

// waitReady tells a service manager that the container is ready. The container
// runs whether it can be told or not.
func (e *env) waitReady(container *libcontainer.Container, mainPID int) {
	if err := container.WaitReady(mainPID); err != nil {
		e.report.warn(err)
	}
}

// process is what mocker can stay with: the first process of a container, or
// one that has joined it.
type process interface {
	Start() error
	Console() *os.File
	Signal(sig syscall.Signal) error
	Wait() (status int, err error)
}

// follow starts a process and, unless it is detached (signals is nil), stays
// with it to its end.
func (e *env) follow(p process, signals chan os.Signal) (status int, err error) {
	if signals == nil {
		return 0, p.Start()
	}
	if master := p.Console(); master != nil {
		// stdin need not be a terminal itself: unlike runc, mocker runs a
		// shell that a script talks to.
		session, err := console.Attach(master, e.streams.In, e.streams.Out)
		if err != nil {
			return 0, err
		}
		// The session has the only master now: it alone decides when the
		// process's terminal hangs up.
		if err := master.Close(); err != nil {
			return 0, err
		}
		// Close waits for the last output and gives the terminal back; it
		// must come before any error is printed.
		defer func() { err = errors.Join(err, session.Close()) }()
	}
	if err := p.Start(); err != nil {
		return 0, err
	}
	done := make(chan struct{})
	defer close(done)
	go e.forward(p, signals, done)
	return p.Wait()
}

// forward passes signals on to a process until done is closed.
func (e *env) forward(p process, signals chan os.Signal, done <-chan struct{}) {
	settled := time.After(settling)
	for {
		select {
		case <-done:
			return
		case <-settled:
			libcontainer.Rest()
			catchOthers(signals)
		case sig := <-signals:
			number, ok := sig.(syscall.Signal)
			if !ok {
				continue
			}
			if err := p.Signal(number); err != nil {
				e.report.debugf("forward signal %d: %v", number, err)
			}
		}
	}
}

// catchSignals starts to catch what a foreground run passes on. The Go runtime
// takes 40 microseconds for each signal, so those that hardly anybody sends, and
// that do mocker no harm, have to wait: see catchOthers.
func (e *env) catchSignals() chan os.Signal {
	span := e.trace.rec.Begin(trace.Step, "catch signals")
	caught := make(chan os.Signal, 128)
	notify(caught, urgent)
	span.End(nil)
	return caught
}

// settling is how long a program has to run until all signals are passed on to
// it, and mocker is at rest. Many have ended before.
const settling = 10 * time.Millisecond

// catchOthers catches the rest, once the container's program runs.
func catchOthers(caught chan os.Signal) {
	notify(caught, func(sig syscall.Signal) bool { return !urgent(sig) })
}

func notify(caught chan os.Signal, which func(syscall.Signal) bool) {
	var wanted []os.Signal
	for n := syscall.Signal(1); n <= sigRTMax; n++ {
		if forwarded(n) && which(n) {
			wanted = append(wanted, n)
		}
	}
	signal.Notify(caught, wanted...)
}

// result is what run returns: an error of mocker's own, or the status of the
// process, if that is not 0.
func result(status int, err error) error {
	if err != nil {
		return err
	}
	if status != 0 {
		return exitStatus(status)
	}
	return nil
}
