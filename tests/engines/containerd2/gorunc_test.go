package containerd2

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	runc "github.com/containerd/go-runc"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/drive"
)

func TestMain(m *testing.M) { drive.Main(m) }

// caller is go-runc, set up as containerd's shim does, with a bundle whose
// container prints "hello" and stays.
type caller struct {
	*runc.Runc
	t      *testing.T
	ctx    context.Context
	id     string
	bundle string
}

func newCaller(t *testing.T, runtime string) *caller {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), drive.Patience(30*time.Second))
	t.Cleanup(cancel)
	c := &caller{t: t, ctx: ctx, id: fmt.Sprintf("gorunc-%d", os.Getpid())}
	c.bundle = drive.Bundle(t, func(s *specs.Spec) {
		s.Process.Args = []string{"sh", "-c", "echo hello; exec sleep 1000"}
		s.Linux.CgroupsPath = "/mocker-" + c.id
	})
	c.Runc = &runc.Runc{
		Command: runtime, Root: filepath.Join(t.TempDir(), "root"),
		Log: filepath.Join(c.bundle, "log.json"), LogFormat: runc.JSON, PdeathSignal: syscall.SIGKILL,
	}
	t.Cleanup(func() { // what a test that failed has left
		//nolint:usetesting // the test's context has ended
		_ = c.Delete(context.Background(), c.id, &runc.DeleteOpts{Force: true})
	})
	return c
}

func (c *caller) must(what string, err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatalf("%s: %v", what, err)
	}
}

// running is a container that has started, and its pid.
func (c *caller) running() int {
	c.t.Helper()
	c.create()
	c.must("start", c.Start(c.ctx, c.id))
	st := c.state("running")
	return st.Pid
}

func (c *caller) create() {
	c.t.Helper()
	io, err := runc.NewNullIO()
	c.must("null io", err)
	defer io.Close()
	c.must("create", c.Create(c.ctx, c.id, c.bundle, &runc.CreateOpts{IO: io, PidFile: c.pidFile()}))
}

func (c *caller) pidFile() string { return filepath.Join(c.bundle, "init.pid") }

func (c *caller) state(want string) *runc.Container {
	c.t.Helper()
	st, err := c.State(c.ctx, c.id)
	c.must("state", err)
	if st.Status != want {
		c.t.Errorf("state: %+v, want %s", st, want)
	}
	return st
}

// end kills the container and deletes it.
func (c *caller) end() {
	c.t.Helper()
	c.must("kill", c.Kill(c.ctx, c.id, int(unix.SIGKILL), nil))
	drive.Eventually(c.t, "the container has stopped", func() bool {
		st, err := c.State(c.ctx, c.id)
		return err == nil && st.Status == "stopped"
	})
	c.must("delete", c.Delete(c.ctx, c.id, nil))
}

// TestGoRunc calls each function of go-runc, with mocker and with runc as the
// runtime: the same comes of both.
func TestGoRunc(t *testing.T) {
	before := drive.TakeSnapshot(t)
	t.Cleanup(func() { before.Unchanged(t) })
	runc, err := exec.LookPath("runc")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []struct {
		name string
		do   func(c *caller)
	}{
		{"create start state list kill delete", (*caller).life},
		{"created and deleted", (*caller).created},
		{"run", (*caller).run},
		{"pipes", (*caller).pipes},
		{"console", (*caller).console},
		{"exec", (*caller).exec},
		{"exec detached", (*caller).execDetached},
		{"ps top", (*caller).ps},
		{"stats", (*caller).stats},
		{"events", (*caller).events},
		{"update", (*caller).update},
		{"pause resume", (*caller).pause},
		{"pidfd socket", (*caller).pidfd},
		{"preserved files", (*caller).preserved},
		{"features", (*caller).features},
		{"version", (*caller).version},
		{"errors", (*caller).errors},
		{"checkpoint restore", (*caller).checkpoint},
	} {
		t.Run(s.name, func(t *testing.T) {
			for _, runtime := range []string{drive.Mocker(t), runc} {
				t.Run(filepath.Base(runtime), func(t *testing.T) { s.do(newCaller(t, runtime)) })
			}
		})
	}
}

// mocker reports whether it is the runtime, where a scenario has to know.
func (c *caller) mocker() bool { return c.Command == drive.Mocker(c.t) }

func (c *caller) life() {
	list, err := c.List(c.ctx)
	if c.must("list", err); len(list) != 0 {
		c.t.Errorf("list: %+v before anything", list)
	}
	c.create()
	st := c.state("created")
	pid, err := runc.ReadPidFile(c.pidFile())
	if c.must("pid file", err); pid != st.Pid || st.Bundle != c.bundle || st.ID != c.id || time.Since(st.Created).Abs() > time.Minute {
		c.t.Errorf("state: %+v, pid file %d", st, pid)
	}
	c.must("start", c.Start(c.ctx, c.id))
	c.state("running")
	list, err = c.List(c.ctx)
	if c.must("list", err); len(list) != 1 || list[0].ID != c.id || list[0].Pid != pid || list[0].Status != "running" {
		c.t.Errorf("list: %+v", list)
	}
	c.must("kill all", c.Kill(c.ctx, c.id, int(unix.SIGKILL), &runc.KillOpts{All: true}))
	drive.Eventually(c.t, "the container has stopped", func() bool {
		st, err := c.State(c.ctx, c.id)
		return err == nil && st.Status == "stopped"
	})
	if st := c.state("stopped"); st.Pid != 0 {
		c.t.Errorf("pid %d when stopped", st.Pid)
	}
	c.must("delete", c.Delete(c.ctx, c.id, nil))
}

func (c *caller) created() {
	c.create()
	c.must("delete", c.Delete(c.ctx, c.id, nil))
	c.create()
	c.must("delete by force", c.Delete(c.ctx, c.id, &runc.DeleteOpts{Force: true}))
	c.must("delete again", c.Delete(c.ctx, c.id, &runc.DeleteOpts{Force: true}))
}

func (c *caller) run() {
	spec := drive.ReadConfig(c.t, c.bundle)
	spec.Process.Args = []string{"sh", "-c", "exit 7"}
	drive.WriteConfig(c.t, c.bundle, spec)
	started := make(chan int, 1)
	status, err := c.Run(c.ctx, c.id, c.bundle, &runc.CreateOpts{Started: started})
	if status != 7 || err == nil || <-started == 0 {
		c.t.Errorf("run: %d, %v", status, err)
	}
}

func (c *caller) pipes() {
	io, err := runc.NewPipeIO(0, 0)
	c.must("pipes", err)
	defer io.Close()
	c.must("create", c.Create(c.ctx, c.id, c.bundle, &runc.CreateOpts{IO: io}))
	c.must("start", c.Start(c.ctx, c.id))
	var buf [16]byte
	n, err := io.Stdout().Read(buf[:])
	if c.must("read", err); string(buf[:n]) != "hello\n" {
		c.t.Errorf("stdout: %q", buf[:n])
	}
	c.end()
}

func (c *caller) console() {
	spec := drive.ReadConfig(c.t, c.bundle)
	spec.Process.Terminal = true
	spec.Process.Args = []string{"sh", "-c", "tty; exec sleep 1000"}
	drive.WriteConfig(c.t, c.bundle, spec)
	socket, err := runc.NewTempConsoleSocket()
	c.must("console socket", err)
	defer func() { _ = socket.Close() }()
	c.must("create", c.Create(c.ctx, c.id, c.bundle, &runc.CreateOpts{ConsoleSocket: socket}))
	master, err := socket.ReceiveMaster()
	c.must("receive", err)
	defer master.Close()
	c.must("start", c.Start(c.ctx, c.id))
	var buf [64]byte
	n, err := master.Read(buf[:])
	if c.must("read", err); string(buf[:n]) != "/dev/pts/0\r\n" {
		c.t.Errorf("terminal: %q", buf[:n])
	}
	c.end()
}

func (c *caller) process(args ...string) specs.Process {
	return specs.Process{Args: args, Cwd: "/", Env: []string{"PATH=/bin", "A=b"}}
}

func (c *caller) exec() {
	c.running()
	io, err := runc.NewPipeIO(0, 0)
	c.must("pipes", err)
	defer io.Close()
	err = c.Exec(c.ctx, c.id, c.process("sh", "-c", "echo $A; exit 7"), &runc.ExecOpts{IO: io})
	if err == nil || !strings.Contains(err.Error(), "exit status 7") {
		c.t.Errorf("exec: %v", err)
	}
	var buf [16]byte
	n, err := io.Stdout().Read(buf[:])
	if c.must("read", err); string(buf[:n]) != "b\n" {
		c.t.Errorf("stdout: %q", buf[:n])
	}
	err = c.Exec(c.ctx, c.id, c.process("nosuch"), nil)
	if err == nil || !strings.Contains(err.Error(), `exec: "nosuch": executable file not found in $PATH`) {
		c.t.Errorf("exec nosuch: %v", err)
	}
	c.end()
}

func (c *caller) execDetached() {
	first := c.running()
	io, err := runc.NewNullIO()
	c.must("null io", err)
	defer io.Close()
	file := filepath.Join(c.bundle, "exec.pid")
	c.must("exec", c.Exec(c.ctx, c.id, c.process("sleep", "1000"), &runc.ExecOpts{IO: io, Detach: true, PidFile: file}))
	pid, err := runc.ReadPidFile(file)
	c.must("pid file", err)
	pids, err := c.Ps(c.ctx, c.id)
	slices.Sort(pids)
	if c.must("ps", err); !slices.Equal(pids, []int{first, pid}) {
		c.t.Errorf("ps: %d, want %d and %d", pids, first, pid)
	}
	c.must("signal", unix.Kill(pid, unix.SIGKILL))
	c.reap(pid)
	c.end()
}

// reap takes note of the end of a detached process of exec, as every caller
// has to: the container's pid namespace cannot end before.
func (c *caller) reap(pid int) {
	c.t.Helper()
	var status unix.WaitStatus
	drive.Eventually(c.t, "the process has ended", func() bool {
		got, err := unix.Wait4(pid, &status, unix.WNOHANG, nil)
		return got == pid || err != nil
	})
	if status.Signal() != unix.SIGKILL {
		c.t.Errorf("process %d ended with %v", pid, status)
	}
}

func (c *caller) ps() {
	pid := c.running()
	pids, err := c.Ps(c.ctx, c.id)
	if c.must("ps", err); !slices.Equal(pids, []int{pid}) {
		c.t.Errorf("ps: %d, want %d", pids, pid)
	}
	top, err := c.Top(c.ctx, c.id, "-ef")
	if c.must("top", err); len(top.Processes) != 1 || !slices.Contains(top.Headers, "CMD") ||
		!slices.Contains(top.Processes[0], fmt.Sprint(pid)) || !slices.Contains(top.Processes[0], "sleep 1000") {
		c.t.Errorf("top: %+v", top)
	}
	c.end()
}

func (c *caller) stats() {
	c.running()
	var stats *runc.Stats
	drive.Eventually(c.t, "statistics come", func() bool {
		var err error
		stats, err = c.Stats(c.ctx, c.id)
		// go-runc may close the pipe of a runtime that has ended before it has read it.
		return err == nil || !errors.Is(err, os.ErrClosed)
	})
	if stats == nil {
		c.t.Fatal("no statistics")
	}
	if stats.Pids.Current != 1 || stats.Memory.Usage.Usage == 0 || stats.Cpu.Usage.Total == 0 || len(stats.Memory.Raw) < 10 {
		data, _ := json.Marshal(stats)
		c.t.Errorf("stats: %s", data)
	}
	c.end()
}

// events: statistics each second, and the lack of memory.
func (c *caller) events() {
	spec := drive.ReadConfig(c.t, c.bundle)
	limit := int64(8 << 20)
	spec.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &limit}
	drive.WriteConfig(c.t, c.bundle, spec)
	c.running()
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	events, err := c.Events(ctx, c.id, time.Second)
	c.must("events", err)
	if e := <-events; e == nil || e.Type != "stats" || e.ID != c.id || e.Stats.Memory.Usage.Limit != uint64(limit) {
		c.t.Fatalf("event: %+v", e)
	}
	err = c.Exec(c.ctx, c.id, c.process("sh", "-c", "x=aaaaaaaa; while :; do x=$x$x; done"), nil)
	if err == nil {
		c.t.Error("exec of too much memory succeeded")
	}
	for {
		e := <-events
		if e == nil || e.Type == "error" {
			c.t.Fatalf("no event of the lack of memory: %+v", e)
		}
		if e.Type == "oom" {
			break
		}
	}
	c.end()
	for e := range events { // they end with the container
		if e.Type == "error" {
			break // go-runc has closed the pipe itself, and would say so for ever
		}
	}
}

func (c *caller) update() {
	pid := c.running()
	limit, pids := int64(64<<20), int64(50)
	c.must("update", c.Update(c.ctx, c.id, &specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: &limit}, Pids: &specs.LinuxPids{Limit: &pids},
	}))
	data, err := os.ReadFile(filepath.Join(drive.Cgroup(c.t, pid, "memory"), "memory.limit_in_bytes"))
	if c.must("limit", err); strings.TrimSpace(string(data)) != fmt.Sprint(limit) {
		c.t.Errorf("limit %s", data)
	}
	data, err = os.ReadFile(filepath.Join(drive.Cgroup(c.t, pid, "pids"), "pids.max"))
	if c.must("limit", err); strings.TrimSpace(string(data)) != fmt.Sprint(pids) {
		c.t.Errorf("limit %s", data)
	}
	c.end()
}

func (c *caller) pause() {
	c.running()
	c.must("pause", c.Pause(c.ctx, c.id))
	c.state("paused")
	c.must("resume", c.Resume(c.ctx, c.id))
	c.state("running")
	c.end()
}
