package containerd2

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	runc "github.com/containerd/go-runc"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// pidfd: those of the first process and of one more. runc has had this since
// 1.2; Debian's refuses the flag.
func (c *caller) pidfd() {
	socket := func() *runc.Socket {
		c.t.Helper()
		s, err := runc.NewTempPidfdSocket()
		c.must("pidfd socket", err)
		c.t.Cleanup(func() { _ = s.Close() })
		return s
	}
	io, err := runc.NewNullIO()
	c.must("null io", err)
	defer io.Close()
	first := socket()
	err = c.Create(c.ctx, c.id, c.bundle, &runc.CreateOpts{IO: io, PidFile: c.pidFile(), PidfdSocket: first})
	if err != nil && !c.mocker() {
		c.t.Skipf("this runc has no --pidfd-socket: %v", err)
	}
	c.must("create", err)
	fd := c.received(first, c.pidFile())
	c.must("start", c.Start(c.ctx, c.id))

	second, file := socket(), filepath.Join(c.bundle, "exec.pid")
	none, err := runc.NewNullIO() // create has closed the other one
	c.must("null io", err)
	defer none.Close()
	c.must("exec", c.Exec(c.ctx, c.id, c.process("sleep", "1000"), &runc.ExecOpts{IO: none, PidFile: file, Detach: true, PidfdSocket: second}))
	more := c.received(second, file)
	c.must("signal", unix.PidfdSendSignal(int(more.Fd()), unix.SIGKILL, nil, 0))
	pid, err := runc.ReadPidFile(file)
	c.must("pid file", err)
	c.reap(pid)
	c.must("signal", unix.PidfdSendSignal(int(fd.Fd()), unix.SIGKILL, nil, 0))
	drive.Eventually(c.t, "the container has stopped", func() bool {
		st, err := c.State(c.ctx, c.id)
		return err == nil && st.Status == "stopped"
	})
	c.must("delete", c.Delete(c.ctx, c.id, nil))
}

// received is the pidfd that came, of the process in the pid file.
func (c *caller) received(socket *runc.Socket, pidFile string) *os.File {
	c.t.Helper()
	fd, err := socket.ReceivePidfd()
	c.must("receive pidfd", err)
	c.t.Cleanup(func() { fd.Close() })
	pid, err := runc.ReadPidFile(pidFile)
	c.must("pid file", err)
	info, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", fd.Fd()))
	if c.must("fdinfo", err); !strings.Contains(string(info), fmt.Sprintf("\nPid:\t%d\n", pid)) {
		c.t.Errorf("pidfd of %d:\n%s", pid, info)
	}
	return fd
}

func (c *caller) preserved() {
	path := filepath.Join(c.bundle, "file")
	c.must("write", os.WriteFile(path, []byte("preserved\n"), 0o600))
	file, err := os.Open(path)
	c.must("open", err)
	defer file.Close()
	spec := drive.ReadConfig(c.t, c.bundle)
	spec.Process.Args = []string{"sh", "-c", "cat <&3; exec sleep 1000"}
	drive.WriteConfig(c.t, c.bundle, spec)
	io, err := runc.NewPipeIO(0, 0)
	c.must("pipes", err)
	defer io.Close()
	c.must("create", c.Create(c.ctx, c.id, c.bundle, &runc.CreateOpts{IO: io, ExtraFiles: []*os.File{file}}))
	c.must("start", c.Start(c.ctx, c.id))
	var buf [16]byte
	n, err := io.Stdout().Read(buf[:])
	if c.must("read", err); string(buf[:n]) != "preserved\n" {
		c.t.Errorf("stdout: %q", buf[:n])
	}
	c.end()
}

// features: what containerd 2 looks at. Debian's runc is too old to have them.
func (c *caller) features() {
	f, err := c.Features(c.ctx)
	c.must("features", err)
	if f.OCIVersionMin == "" || f.OCIVersionMax == "" || !slices.Contains(f.Linux.Namespaces, "user") {
		c.t.Errorf("features: %+v", f)
	}
	if !c.mocker() {
		return
	}
	if m := f.Linux.MountExtensions; m == nil || m.IDMap == nil || m.IDMap.Enabled == nil || !*m.IDMap.Enabled {
		c.t.Error("features tell of no mounts with mapped ids")
	}
	if !slices.Contains(f.MountOptions, "rro") {
		c.t.Error("features tell of no rro")
	}
}

// version: go-runc knows runc's only, and gives nothing for others.
func (c *caller) version() {
	v, err := c.Version(c.ctx)
	if c.must("version", err); (v.Runc == "") != c.mocker() {
		c.t.Errorf("version: %+v", v)
	}
}

// errors: the words by which the shim tells them apart.
func (c *caller) errors() {
	wants := func(what string, err error, text string) {
		c.t.Helper()
		if err == nil || !strings.Contains(err.Error(), text) {
			c.t.Errorf("%s: %v, want %q", what, err, text)
		}
	}
	_, err := c.State(c.ctx, c.id)
	wants("state", err, "does not exist")
	wants("start", c.Start(c.ctx, c.id), "does not exist")
	wants("kill", c.Kill(c.ctx, c.id, 9, nil), "does not exist")
	wants("delete", c.Delete(c.ctx, c.id, nil), "does not exist")

	spec := drive.ReadConfig(c.t, c.bundle)
	args := spec.Process.Args
	spec.Process.Args = []string{"nosuch"}
	drive.WriteConfig(c.t, c.bundle, spec)
	const missing = `exec: "nosuch": executable file not found in $PATH`
	wants("create", c.Create(c.ctx, c.id, c.bundle, nil), missing)
	log, err := os.ReadFile(c.Log)
	if c.must("log", err); !strings.Contains(string(log), `"level":"error"`) || !strings.Contains(string(log), "executable file not found") {
		c.t.Errorf("log: %s", log)
	}

	spec.Process.Args = args
	drive.WriteConfig(c.t, c.bundle, spec)
	c.running()
	wants("create again", c.Create(c.ctx, c.id, c.bundle, nil), "exist")
	c.must("kill", c.Kill(c.ctx, c.id, 9, nil))
	drive.Eventually(c.t, "the container has stopped", func() bool {
		st, err := c.State(c.ctx, c.id)
		return err == nil && st.Status == "stopped"
	})
	wants("kill", c.Kill(c.ctx, c.id, 9, nil), "container not running")
	c.must("kill all", c.Kill(c.ctx, c.id, 9, &runc.KillOpts{All: true}))
	c.must("delete", c.Delete(c.ctx, c.id, nil))
}

// checkpoint: mocker says that it has none yet; runc needs criu, which is not
// here. Neither harms the container.
func (c *caller) checkpoint() {
	want := "criu"
	if c.mocker() {
		want = "is not built yet"
	}
	c.running()
	dir := c.t.TempDir()
	err := c.Checkpoint(c.ctx, c.id, &runc.CheckpointOpts{ImagePath: dir, WorkDir: dir, AllowOpenTCP: true, FileLocks: true}, runc.LeaveRunning)
	if err == nil || !strings.Contains(err.Error(), want) {
		c.t.Errorf("checkpoint: %v, want %q", err, want)
	}
	c.end()
	status, err := c.Restore(c.ctx, c.id, c.bundle, &runc.RestoreOpts{
		CheckpointOpts: runc.CheckpointOpts{ImagePath: dir, WorkDir: dir}, Detach: true, NoSubreaper: true,
	})
	if err == nil || status == 0 {
		c.t.Errorf("restore: %d, %v", status, err)
	}
}
