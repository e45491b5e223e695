package libcontainer

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/cgroups"
	"github.com/mocker-runtime/mocker/libcontainer/config"
	"github.com/mocker-runtime/mocker/libcontainer/inside"
	"github.com/mocker-runtime/mocker/libcontainer/namespaces"
	"github.com/mocker-runtime/mocker/libcontainer/netdevices"
	"github.com/mocker-runtime/mocker/libcontainer/process"
	"github.com/mocker-runtime/mocker/libcontainer/rootfs"
	"github.com/mocker-runtime/mocker/libcontainer/state"
	"github.com/mocker-runtime/mocker/libcontainer/trace"
)

// CreateOptions are the choices of one create that do not come from
// config.json.
type CreateOptions struct {
	Root          string          // directory of all states
	ID            string          // of the container
	PidFile       string          // file for the pid, as decimal digits; "": none
	ConsoleSocket string          // AF_UNIX socket that receives the terminal; "": see Container.Console
	NoPivot       bool            // move the root instead of pivot_root(2)
	NoNewKeyring  bool            // keep the caller's session keyring
	Rootless      bool            // go without cgroups that may not be made, unless limits are asked for
	NoCgroup      bool            // go without a cgroup
	PidfdSocket   string          // AF_UNIX socket that receives a pidfd of the process; "": none
	Sockets       Sockets         // that the process inherits
	PreserveFDs   int             // fds behind the sockets, else from 3 on, that the process inherits
	NotifySocket  string          // of the service manager that is to be told when the program is ready; "": none
	NoInput       bool            // stdin of a process without a terminal is the null device
	LogOutput     bool            // its output goes to the file "log" in its own bundle
	Resctrl       string          // directory that stands for the resctrl file system; "": where it is mounted
	Warn          func(error)     // see Container.Warn
	Trace         *trace.Recorder // see Container.Trace

	// MakeBundle fills a new directory that belongs to the container and goes
	// with it, and gives what its config.json means. It may be nil.
	MakeBundle func(dir string) (*config.Config, error)

	// Debugf is told what is worth knowing and no failure. It may be nil.
	Debugf func(format string, args ...any)
}

// creation is a create on its way.
type creation struct {
	cfg  *config.Config
	opts CreateOptions
	c    *Container
	st   *state.State

	class   *config.RDTGroup // nil: none
	cgroup  *cgroups.Cgroup
	devices *netdevices.Moved // nil: none
	in      *inside.Child
	root    *rootfs.Root

	entered *namespaces.Entered
	tty     *os.File // the container's end of its terminal
	gate    process.Gate
	program process.Last // what the process is to become
	last    *inside.Program

	pidFile bool // the pid file has been written
}

// steps are what Create does, in this order. The name of a step is what its
// errors begin with, but for those that say it themselves, and what a trace
// calls it.
//
// Nothing exists before the state says so, so that destroy finds it. The
// cgroup has its limits before there is a process to exceed them. Hooks see
// the namespaces before the root has changed, as libnetwork needs it. Masks
// come after everything that writes to /proc. What can fail because of the
// configuration comes before the process is on its own.
var steps = [...]struct {
	name  string
	plain bool // its errors say it themselves
	do    func(*creation) error
}{
	{"reserve", true, (*creation).reserve}, // its errors are about the id
	{"make bundle", true, (*creation).makeBundle},
	{"notify socket", true, (*creation).offerNotify},
	{"class of service", false, (*creation).makeClass},
	{"cgroup", false, (*creation).makeCgroup},
	{"birth", false, (*creation).birth},
	{"attach to cgroup", false, (*creation).attach},
	{"namespaces", false, (*creation).namespaces},
	{"network devices", false, (*creation).moveDevices},
	{"delegate cgroup", false, (*creation).delegate}, // whose it is depends on the user namespace
	{"session keyring", false, (*creation).keyring},
	{"rootfs", false, (*creation).mount},
	{"hooks", true, (*creation).hooks}, // its errors say which
	{"change root", false, (*creation).pivot},
	{"console", false, (*creation).openConsole},
	{"host name", false, (*creation).names},
	{"sysctl", false, func(n *creation) error { return n.root.Sysctls() }},
	{"protect paths", false, (*creation).protect},
	{"find program", false, (*creation).lookUp},
	{"confine", true, (*creation).confine}, // its errors say by what
	{"prepare process", false, (*creation).arm},
	{"pidfd socket", true, (*creation).sendPidfd},
	{"save", false, (*creation).save},
}

// Create makes a container whose process waits for Start. If it fails it has
// undone everything. cfg is nil with opts.MakeBundle.
func Create(cfg *config.Config, opts CreateOptions) (*Container, error) {
	interrupts := make(chan os.Signal, 1) // a context would take a goroutine to hear of it
	signal.Notify(interrupts, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	defer signal.Stop(interrupts)
	n := &creation{cfg: cfg, opts: opts}
	defer n.close()
	for _, step := range steps {
		span := opts.Trace.Begin(trace.Step, step.name)
		err := step.do(n)
		span.End(err)
		if err == nil && len(interrupts) > 0 {
			err = errors.New("interrupted by a signal")
		}
		if err != nil {
			if !step.plain {
				err = fmt.Errorf("%s: %w", step.name, err)
			}
			return nil, n.undo(err)
		}
	}
	if opts.Trace != nil {
		opts.Trace.Program(n.in.PID, n.last.Names())
	}
	if err := opts.Trace.Step("let go", n.last.Post); err != nil {
		return nil, n.undo(err)
	}
	n.in.Release()
	_ = n.c.dir.Unlock()
	return n.c, nil
}

// undo takes back what has been made, and adds to the error what could not
// be.
func (n *creation) undo(err error) error {
	if n.c == nil {
		return err // nothing reserved
	}
	if n.devices != nil {
		err = errors.Join(err, n.devices.Undo())
	}
	if n.in != nil {
		n.in.Kill()
	}
	if n.pidFile {
		_ = os.Remove(n.opts.PidFile)
	}
	left := n.c.destroy(n.st)
	if left != nil {
		// Nobody comes after this to try again, and what was short may be
		// there now.
		left = n.c.destroy(n.st)
	}
	n.c.Close()
	n.c = nil
	if left != nil {
		return fmt.Errorf("%w (and when undoing it: %w)", err, left)
	}
	return err
}

// close gives back the parent's fds. The child shares them until it has been
// armed, so not before.
func (n *creation) close() {
	if n.root != nil {
		n.root.Close()
	}
	for _, f := range append(n.program.Stdio[:], n.tty) {
		if f != nil {
			f.Close()
		}
	}
	if n.entered != nil {
		n.entered.Close()
	}
	if n.devices != nil {
		n.devices.Close()
	}
	for _, fd := range []int{n.gate.Start, n.gate.Started} {
		if fd > 0 {
			unix.Close(fd)
		}
	}
}

// checkPreserved refuses to pass on what the caller has not opened: sockets,
// and what lies behind them. What mocker itself has open there is
// close-on-exec, unlike all that it has inherited.
func checkPreserved(sockets, count int) error {
	for fd := 3; fd < 3+sockets+count; fd++ {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err == nil && flags&unix.FD_CLOEXEC == 0 {
			continue
		}
		if fd < 3+sockets {
			return fmt.Errorf("LISTEN_FDS=%d: fd %d is not open", sockets, fd)
		}
		return fmt.Errorf("--preserve-fds %d: fd %d is not open", count, fd)
	}
	return nil
}

func (n *creation) reserve() error {
	if err := checkPreserved(n.opts.Sockets.Count, n.opts.PreserveFDs); err != nil {
		return err
	}
	if err := checkUser(n.cfg); err != nil {
		return err
	}
	if err := checkFilter(n.cfg); err != nil {
		return err
	}
	if err := checkLabels(n.cfg); err != nil {
		return err
	}
	if err := n.checkMachine(); err != nil {
		return err
	}
	dir, err := state.Reserve(n.opts.Root, n.opts.ID)
	if err != nil {
		return err
	}
	n.c = &Container{Warn: n.opts.Warn, Trace: n.opts.Trace, id: n.opts.ID, dir: dir}
	n.st = &state.State{ID: n.opts.ID} // for undo
	return nil
}

// makeBundle makes the container's own bundle, if it is to have one. From
// here on the configuration is known.
func (n *creation) makeBundle() (err error) {
	if n.opts.MakeBundle != nil {
		if n.cfg, err = n.c.makeBundle(n.opts.MakeBundle); err != nil {
			return err
		}
	}
	n.st = &state.State{
		Version: n.cfg.Version, ID: n.opts.ID, Bundle: n.cfg.Bundle, Rootfs: n.cfg.Rootfs.Path,
		Created: time.Now().UTC(), Owner: state.UserName(os.Getuid()), Stage: state.Creating,
		Annotations: n.cfg.Annotations,
		NoKeyring:   n.opts.NoNewKeyring,
		NoCgroup:    n.opts.NoCgroup,
		Traits:      n.cfg.Traits,
		SharedPID:   n.cfg.NewFlags()&unix.CLONE_NEWPID == 0, NoProcess: n.cfg.Process == nil,
		Hooks: config.Hooks{StartContainer: n.cfg.Hooks.StartContainer, Poststart: n.cfg.Hooks.Poststart, Poststop: n.cfg.Hooks.Poststop},
	}
	if n.cfg.Process != nil {
		n.st.Labels = n.cfg.Process.Labels
	}
	if len(n.st.Hooks.StartContainer) > 0 && n.cfg.Process != nil {
		p := *n.cfg.Process
		p.Seccomp = nil // hooks are the host's
		n.st.Process = &p
	}
	if err := keepLimits(n.st, n.cfg.Cgroup.Resources, n.cfg.Cgroup.Always); err != nil {
		return err
	}
	n.st.Creator, err = state.Self()
	return err
}

func (n *creation) makeCgroup() error {
	if n.opts.NoCgroup {
		var err error
		n.cgroup, err = cgroups.None(n.cfg.Cgroup)
		return err
	}
	cg, err := cgroups.Open(n.cfg.Cgroup, n.opts.ID, n.opts.Rootless)
	if err != nil {
		return err
	}
	n.st.CgroupPaths, n.st.CgroupsFound, n.st.Delegate = cg.Paths(), cg.Found(), n.cfg.Cgroup.Delegate
	if err := n.c.dir.Save(n.st); err != nil {
		return err
	}
	if err := cg.Make(); err != nil {
		n.st.CgroupPaths = nil // Make has removed what it had made
		return err
	}
	n.cgroup = cg
	n.st.CgroupPaths = cg.Paths() // some may be gone without
	return nil
}
