package libcontainer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/cgroups"
	"github.com/mocker-runtime/mocker/libcontainer/config"
	"github.com/mocker-runtime/mocker/libcontainer/console"
	"github.com/mocker-runtime/mocker/libcontainer/entry"
	"github.com/mocker-runtime/mocker/libcontainer/inside"
	"github.com/mocker-runtime/mocker/libcontainer/namespaces"
	"github.com/mocker-runtime/mocker/libcontainer/nofile"
	"github.com/mocker-runtime/mocker/libcontainer/process"
	"github.com/mocker-runtime/mocker/libcontainer/resctrl"
	"github.com/mocker-runtime/mocker/libcontainer/rootfs"
	"github.com/mocker-runtime/mocker/libcontainer/state"
	"github.com/mocker-runtime/mocker/libcontainer/trace"
)

// The steps of a create from the birth on, in the order of create.go.

func (n *creation) birth() error {
	if err := undumpable(); err != nil {
		return err
	}
	in, err := bear(namespaces.AtBirth(n.cfg), n.cgroup, n.opts.Trace)
	if errors.Is(err, unix.EACCES) {
		if err := n.cgroup.Forgo(err); err != nil {
			return err
		}
		n.st.CgroupPaths = nil
		in, err = bear(namespaces.AtBirth(n.cfg), n.cgroup, n.opts.Trace)
	}
	if err != nil {
		return err
	}
	n.in, n.c.in = in, in
	if keepsGroups(n.cfg.Annotations) {
		in.KeepGroups()
	}
	h := &n.cfg.Hooks
	n.st.Hooked = len(h.Prestart) > 0 || len(h.CreateRuntime) > 0 || len(h.CreateContainer) > 0
	if err := n.saveInit(); err != nil {
		return err
	}
	if n.cfg.Process == nil {
		return nil
	}
	return process.SetOOMScoreAdj(n.in.PID, n.cfg.Process.OOMScoreAdj)
}

// saveInit writes down which process the container's is.
func (n *creation) saveInit() error {
	var err error
	if n.st.Init, err = state.ProcOf(n.in.PID); err != nil {
		return err
	}
	return n.c.dir.Save(n.st)
}

// undumpable makes this process, and so every child that it will have, one
// that nobody in a container may look into (CVE-2016-9962). An ordinary user
// could then not write the maps of a child: there it is the child that becomes
// so, when they have been (namespaces.Enter).
func undumpable() error {
	if os.Geteuid() != 0 {
		return nil
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("prctl PR_SET_DUMPABLE: %w", err)
	}
	return nil
}

// bear makes a child in new namespaces (CLONE_NEW* flags) and in the v2 part
// of a cgroup.
func bear(namespaces uintptr, cg *cgroups.Cgroup, rec *trace.Recorder) (*inside.Child, error) {
	b := inside.Birth{Namespaces: namespaces, CgroupFD: -1, Trace: rec}
	dir, err := cg.FD()
	if err != nil {
		return nil, err
	}
	if dir != nil {
		defer dir.Close()
		b.CgroupFD = int(dir.Fd())
	}
	var in *inside.Child
	entry.Prompt(func() { in, err = inside.New(b) })
	return in, err
}

// attach lets the child enter its cgroup in the hierarchies that it could not
// be born into, and its class of service.
func (n *creation) attach() error {
	if err := attach(n.in, n.cgroup); err != nil {
		return err
	}
	return resctrl.Attach(n.st.RDT, n.in.PID)
}

func attach(in *inside.Child, cg *cgroups.Cgroup) error {
	files, err := cg.Tasks()
	if err != nil {
		return err
	}
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	if len(files) == 0 {
		return nil
	}
	var fds []int
	var names []string
	for _, f := range files {
		fds, names = append(fds, int(f.Fd())), append(names, f.Name())
	}
	err = in.WriteEach(fds, names, "0")
	if errors.Is(err, unix.ENOSPC) {
		return fmt.Errorf("%w (a cpuset without cpus or mems takes no process)", err)
	}
	return err
}

func (n *creation) namespaces() error {
	entered, err := namespaces.Enter(n.in, n.cfg)
	if err != nil {
		return err
	}
	n.entered = entered
	if n.in.PID == n.st.Init.PID {
		return nil
	}
	return n.saveInit()
}

// delegate makes the process's user the owner of the cgroup, where it is the
// container's to fill: in a cgroup namespace that has it mounted writable, or
// asked for by annotation.
func (n *creation) delegate() error {
	if n.opts.Rootless || n.opts.NoCgroup || n.cfg.Cgroup.Delegate == "" && !n.ownsCgroup() {
		return nil
	}
	var uid uint32
	if n.cfg.Process != nil {
		uid = n.cfg.Process.UID
	}
	uid, ok := n.cfg.UIDMap.Outside(uid)
	if !ok {
		return nil // of nobody; the process will fail for that
	}
	return n.cgroup.GiveTo(int(uid))
}

// ownsCgroup is the condition of config-linux.md, "Cgroup ownership".
func (n *creation) ownsCgroup() bool {
	if n.cfg.NewFlags()&unix.CLONE_NEWCGROUP == 0 {
		return false
	}
	return slices.ContainsFunc(n.cfg.Mounts, func(m config.Mount) bool {
		return (m.Type == "cgroup" || m.Type == "cgroup2") && m.Destination == "/sys/fs/cgroup" &&
			(m.Set|m.RecSet)&unix.MOUNT_ATTR_RDONLY == 0
	})
}

func (n *creation) mount() error {
	var dirs []rootfs.CgroupDir
	for _, h := range n.cgroup.Hierarchies() {
		dirs = append(dirs, rootfs.CgroupDir{Name: h.Name, Dir: h.Dir, Links: h.Links})
	}
	mounting := func(ids []uint64) error {
		n.st.Mounts = ids
		return n.c.dir.Save(n.st)
	}
	root, err := rootfs.New(n.in, n.cfg, rootfs.Host{Cgroups: dirs, PIDNS: n.entered.PID, Unprivileged: Unprivileged, Mounting: mounting})
	if err != nil {
		return err
	}
	n.root = root
	if err := root.Mount(); err != nil {
		return err
	}
	if err := root.Devices(); err != nil {
		return err
	}
	if n.cfg.Process == nil {
		return nil
	}
	// Engines rely on a working directory that the image does not have.
	if err := root.MakeDir(n.cfg.Process.Cwd); err != nil {
		return fmt.Errorf("working directory: %w", err)
	}
	return nil
}

// hooks runs prestart, createRuntime and createContainer, with the container's
// namespaces made and its root not yet changed (runtime.md, "Lifecycle"): the
// first two in mocker's own namespaces, the last in the container's. They end
// with the child: delete --force of a container whose hook hangs kills it.
func (n *creation) hooks() error {
	if !n.st.Hooked {
		return nil
	}
	ctx, cancel := whileAlive(n.in.Pidfd)
	defer cancel()
	t := hookTrace{n.opts.Trace, "prestart"}
	if err := t.run(ctx, n.cfg.Hooks.Prestart, hookState(n.st, specs.StateCreating)); err != nil {
		return fmt.Errorf("prestart hooks: %w", err)
	}
	t.kind = "createRuntime"
	if err := t.run(ctx, n.cfg.Hooks.CreateRuntime, hookState(n.st, specs.StateCreating)); err != nil {
		return fmt.Errorf("createRuntime hooks: %w", err)
	}
	if err := n.containerHooks(ctx); err != nil {
		return fmt.Errorf("createContainer hooks: %w", err)
	}
	return nil
}

func (n *creation) pivot() error { return n.root.Pivot(n.opts.NoPivot) }

func (n *creation) openConsole() error {
	p := n.cfg.Process
	if p == nil || !p.Terminal {
		return nil
	}
	master, slave, err := n.root.Console()
	if err != nil {
		return err
	}
	n.tty, n.c.console = slave, master
	if err := giveTerminal(n.in, p, master, slave); err != nil {
		return err
	}
	if n.opts.ConsoleSocket == "" {
		return nil
	}
	if err := console.Send(n.opts.ConsoleSocket, master); err != nil {
		return err
	}
	n.c.console = nil
	return master.Close()
}

// giveTerminal makes a terminal that of a process: its size, and its user.
func giveTerminal(in *inside.Child, p *config.Process, master, slave *os.File) error {
	if p.Height != 0 || p.Width != 0 {
		if err := console.SetSize(master, p.Height, p.Width); err != nil {
			return err
		}
	}
	if err := in.Fchownat(int(slave.Fd()), "", int(p.UID), -1); err != nil {
		return fmt.Errorf("give the terminal to user %d: %w", p.UID, err)
	}
	return nil
}

func (n *creation) names() error {
	if n.cfg.Hostname != "" {
		if err := n.in.Sethostname(n.cfg.Hostname); err != nil {
			return err
		}
	}
	if n.cfg.Domainname != "" {
		return n.in.Setdomainname(n.cfg.Domainname)
	}
	return nil
}

func (n *creation) protect() error {
	if err := n.root.Finish(); err != nil {
		return err
	}
	if err := n.root.Readonly(); err != nil {
		return err
	}
	if err := n.root.Mask(); err != nil {
		return err
	}
	return n.root.Propagate()
}

func (n *creation) lookUp() error {
	if n.cfg.Process == nil {
		return nil
	}
	n.passSockets()
	n.program.Process = n.cfg.Process
	return lookUp(n.in, n.root.FD(), &n.program, n.opts.Debugf)
}

// arm readies the last program; when it returns the child shares nothing
// with this process any more.
func (n *creation) arm() error {
	if err := process.TakeOn(n.in, n.cfg.Traits); err != nil {
		return err
	}
	if err := n.makeGate(); err != nil {
		return err
	}
	if n.tty == nil && n.cfg.Process != nil {
		if err := n.openStdio(); err != nil {
			return err
		}
		if err := process.FixStdio(n.in, n.program, n.cfg.UIDMap); err != nil {
			return err
		}
	}
	n.program.Gate, n.program.Terminal, n.program.Preserve = n.gate, n.tty, n.opts.Sockets.Count+n.opts.PreserveFDs
	n.program.Nofile[0], n.program.Nofile[1] = nofile.Original()
	n.program.Inhabited, n.program.Open = n.entered.PID != nil, os.Geteuid() != 0
	if err := n.filter(); err != nil {
		return err
	}
	var err error
	n.last, err = process.Arm(n.in, n.program)
	if err != nil || n.in.PID == n.st.Init.PID {
		return explainFilter(err)
	}
	return n.saveInit()
}

// openStdio opens what takes the place of mocker's own standard streams.
func (n *creation) openStdio() (err error) {
	if n.opts.NoInput {
		if n.program.Stdio[0], err = os.Open(os.DevNull); err != nil {
			return err
		}
	}
	if n.opts.LogOutput {
		name := filepath.Join(n.cfg.Bundle, outputLog)
		if n.program.Stdio[1], err = os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600); err != nil {
			return err
		}
		n.program.Stdio[2] = n.program.Stdio[1]
	}
	return nil
}

// outputLog is the file in a container's own bundle that its output goes to.
const outputLog = "log"

// The files of a container's directory besides its state.
const (
	startGate   = "start"   // FIFO: start writes a byte
	startedGate = "started" // FIFO: what became of it
	programFile = "program" // the calls of the last program, one a line
)

// makeGate makes the FIFOs of start. They are opened for both directions so
// that no open blocks, and without blocking, so that a read after a signal
// fails instead of waiting.
func (n *creation) makeGate() error {
	var err error
	if n.gate.Start, err = makeFIFO(n.c.dir.Path(startGate)); err != nil {
		return err
	}
	n.gate.Started, err = makeFIFO(n.c.dir.Path(startedGate))
	return err
}

func makeFIFO(path string) (int, error) {
	if err := unix.Mkfifo(path, 0o600); err != nil {
		return 0, fmt.Errorf("make FIFO %s: %w", path, err)
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("open FIFO %s: %w", path, err)
	}
	return fd, nil
}

// save makes the container known as created.
func (n *creation) save() error {
	names := strings.Join(n.last.Names(), "\n")
	if err := os.WriteFile(n.c.dir.Path(programFile), []byte(names), 0o600); err != nil {
		return err
	}
	n.st.Stage = state.Created
	if err := n.c.dir.Save(n.st); err != nil {
		return err
	}
	if n.opts.PidFile == "" {
		return nil
	}
	if err := writePidFile(n.opts.PidFile, n.in.PID); err != nil {
		return err
	}
	n.pidFile = true
	return nil
}

// writePidFile writes the digits and nothing else, at once: engines read the
// file as soon as it is there, and take it as a number as it is.
func writePidFile(path string, pid int) error {
	tmp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".tmp")
	err := os.WriteFile(tmp, []byte(strconv.Itoa(pid)), 0o644)
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		_ = os.Remove(tmp)
		var errno unix.Errno
		if errors.As(err, &errno) {
			err = errno // without the name of the temporary file
		}
		return fmt.Errorf("write pid file %s: %w", path, err)
	}
	return nil
}
