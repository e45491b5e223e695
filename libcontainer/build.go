package libcontainer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/hooks"
	"github.com/mocker-runtime/mocker/libcontainer/console"
	"github.com/mocker-runtime/mocker/libcontainer/inside"
	"github.com/mocker-runtime/mocker/libcontainer/namespaces"
	"github.com/mocker-runtime/mocker/libcontainer/nofile"
	"github.com/mocker-runtime/mocker/libcontainer/process"
	"github.com/mocker-runtime/mocker/libcontainer/rootfs"
	"github.com/mocker-runtime/mocker/libcontainer/seal"
	"github.com/mocker-runtime/mocker/libcontainer/state"
)

// The steps of a create from the birth on, in the order of create.go.

func (n *creation) birth() error {
	// The child is born as undumpable as its parent: nobody in the container
	// may look into it (CVE-2016-9962).
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("prctl PR_SET_DUMPABLE: %w", err)
	}
	b := inside.Birth{Namespaces: namespaces.AtBirth(n.cfg), CgroupFD: -1}
	cg, err := n.cgroup.FD()
	if err != nil {
		return err
	}
	if cg != nil {
		defer cg.Close()
		b.CgroupFD = int(cg.Fd())
	}
	in, err := inside.New(b)
	if err != nil {
		return err
	}
	n.in, n.c.in = in, in
	if n.st.Init, err = state.ProcOf(in.PID); err != nil {
		return err
	}
	n.st.Hooked = len(n.cfg.Hooks.Prestart)+len(n.cfg.Hooks.CreateRuntime) > 0
	if err := n.c.dir.Save(n.st); err != nil {
		return err
	}
	return n.oomScore()
}

func (n *creation) oomScore() error {
	if n.cfg.Process == nil || n.cfg.Process.OOMScoreAdj == nil {
		return nil
	}
	value := strconv.Itoa(*n.cfg.Process.OOMScoreAdj)
	file := fmt.Sprintf("/proc/%d/oom_score_adj", n.in.PID)
	if err := os.WriteFile(file, []byte(value), 0); err != nil {
		if errors.Is(err, unix.EACCES) {
			return fmt.Errorf("write %q to oom_score_adj: %w (lowering it takes CAP_SYS_RESOURCE)", value, unix.EACCES)
		}
		return fmt.Errorf("write %q to oom_score_adj: %w", value, err)
	}
	return nil
}

// attach lets the child enter its cgroup in the hierarchies that it could not
// be born into.
func (n *creation) attach() error {
	files, err := n.cgroup.Tasks()
	if err != nil {
		return err
	}
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	for _, f := range files {
		if err := n.in.Write(int(f.Fd()), f.Name(), "0"); err != nil {
			return err
		}
	}
	return nil
}

func (n *creation) namespaces() error {
	if err := namespaces.Join(n.in, n.cfg); err != nil {
		return err
	}
	if err := namespaces.UnshareCgroup(n.in, n.cfg); err != nil {
		return err
	}
	return namespaces.LoopbackUp(n.in, n.cfg)
}

// keyring gives the container a session keyring of its own: the caller's may
// hold keys that are none of its business.
func (n *creation) keyring() error {
	if n.opts.NoNewKeyring {
		return nil
	}
	_, err := n.in.JoinSessionKeyring("_ses." + n.opts.ID)
	if errors.Is(err, unix.ENOSYS) {
		return nil // a kernel without keyrings has none to leak
	}
	if errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("%w: the quota in /proc/sys/kernel/keys is used up; --no-new-keyring goes without", err)
	}
	return err
}

func (n *creation) mount() error {
	var dirs []rootfs.CgroupDir
	for _, h := range n.cgroup.Hierarchies() {
		dirs = append(dirs, rootfs.CgroupDir{Name: h.Name, Dir: h.Dir, Links: h.Links})
	}
	root, err := rootfs.New(n.in, n.cfg, dirs)
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

// hooks runs prestart, then createRuntime, in mocker's own namespaces, with
// the container's made and its root not yet changed (runtime.md, "Lifecycle").
// They end with the child: delete --force of a container whose hook hangs
// kills it.
func (n *creation) hooks() error {
	if !n.st.Hooked {
		return nil
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	go func() {
		for ctx.Err() == nil && !n.in.Ended(100*time.Millisecond) {
		}
		cancel(errEnded)
	}()
	st := hookState(n.st, specs.StateCreating)
	if err := hooks.Run(ctx, n.cfg.Hooks.Prestart, st); err != nil {
		return err
	}
	if err := hooks.Run(ctx, n.cfg.Hooks.CreateRuntime, st); err != nil {
		return fmt.Errorf("createRuntime: %w", err)
	}
	return nil
}

func hookState(st *state.State, status specs.ContainerState) *specs.State {
	s := &specs.State{Version: st.Version, ID: st.ID, Status: status, Bundle: st.Bundle, Annotations: st.Annotations}
	if status != specs.StateStopped {
		s.Pid = st.Init.PID
	}
	return s
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
	if p.Height != 0 || p.Width != 0 {
		if err := console.SetSize(master, p.Height, p.Width); err != nil {
			return err
		}
	}
	if err := n.in.Fchownat(int(slave.Fd()), "", int(p.UID), -1); err != nil {
		return fmt.Errorf("give the terminal to user %d: %w", p.UID, err)
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

func (n *creation) lookUp() (err error) {
	if n.cfg.Process == nil {
		return nil
	}
	missing, err := process.Grant(n.in, n.cfg.Process)
	if err != nil {
		return err
	}
	if missing != 0 && n.opts.Debugf != nil {
		n.opts.Debugf("process.capabilities: mocker does not have, and cannot give, the set %#x", missing)
	}
	if err := process.Enter(n.in, n.cfg.Process); err != nil {
		return err
	}
	if n.path, err = process.LookUp(n.in, n.cfg.Process, seal.SameFile); err != nil {
		return err
	}
	n.env = process.WithHome(n.in, n.root.FD(), n.cfg.Process)
	return nil
}

// arm readies the last program; when it returns the child shares nothing
// with this process any more.
func (n *creation) arm() error {
	if err := n.makeGate(); err != nil {
		return err
	}
	if n.tty == nil && n.cfg.Process != nil {
		if err := process.FixStdio(n.in, n.cfg.Process); err != nil {
			return err
		}
	}
	soft, hard := nofile.Original()
	var err error
	n.last, err = process.Arm(n.in, process.Last{
		Process: n.cfg.Process, Path: n.path, Env: n.env, Gate: n.gate, Terminal: n.tty,
		Preserve: n.opts.PreserveFDs, Nofile: [2]uint64{soft, hard},
	})
	return err
}

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
