package engines

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/drive"
)

const ctrImage = "example.org/box:latest"

// containerd is one that keeps all it has in directories of the test. Its
// client names the runtime for every container, so that one daemon has
// containers of several runtimes.
type containerd struct {
	t         *testing.T
	dir       string
	programs  string // directory of the daemon and its shim; "" for those of the machine
	namespace string
	daemon    *daemon

	runtime string // path of the runtime of this subtest
}

// daemon is the process of a containerd, another one after a restart.
type daemon struct{ cmd *exec.Cmd }

// newContainerd starts a containerd that has the image ctrImage.
func newContainerd(t *testing.T, programs string) *containerd {
	t.Helper()
	dir := t.TempDir()
	c := &containerd{t: t, dir: dir, programs: programs, daemon: &daemon{}, namespace: cgroupParent(t, "containerd")}
	writeFile(t, c.config(), fmt.Sprintf(`version = 2
root = %q
state = %q
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri"]
[grpc]
address = %q
[ttrpc]
address = %q
`, dir+"/root", dir+"/state", c.socket(), c.socket()+".ttrpc"))
	open(t, dir)
	t.Setenv("CONTAINERD_SUPPRESS_DEPRECATION_WARNINGS", "1") // of cgroup v1
	c.start()
	t.Cleanup(c.end)
	c.ok("image", "import", "--snapshotter", "native", makeImage(t, makeLayer(t), ctrImage))
	return c
}

// open lets the users of user namespaces come to a directory of the test,
// in which they have their root file systems and volumes.
func open(t *testing.T, dir string) {
	t.Helper()
	for _, dir := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// start starts the daemon. Not by drive.Start: it lives longer than a minute.
func (c *containerd) start() {
	c.t.Helper()
	log, err := os.OpenFile(filepath.Join(c.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		c.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(c.programs, "containerd"), "--config", c.config())
	cmd.Env = append(os.Environ(), "PATH="+c.programs+":"+os.Getenv("PATH")) // where its shim is
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.daemon.cmd = cmd
	drive.Eventually(c.t, "containerd answers", func() bool { return execLine(c.t, c.line("version")).Code == 0 })
}

// stop stops the daemon, not the containers.
func (c *containerd) stop() {
	c.t.Helper()
	if err := c.daemon.cmd.Process.Signal(unix.SIGTERM); err != nil {
		c.t.Error(err)
	}
	kill := time.AfterFunc(drive.Patience(20*time.Second), func() { _ = c.daemon.cmd.Process.Kill() })
	defer kill.Stop()
	if err := c.daemon.cmd.Wait(); err != nil {
		c.t.Errorf("containerd: %v", err)
	}
}

// end stops the daemon, and removes the directories that its shims and
// clients have at a fixed place.
func (c *containerd) end() {
	c.stop()
	if log, err := os.ReadFile(filepath.Join(c.dir, "log")); err == nil && c.t.Failed() {
		c.t.Logf("containerd said:\n%s", log[max(0, len(log)-4096):])
	}
	if c.programs != "" {
		// Its client is an old one, which forgets the FIFOs of a task that the
		// daemon knows no more, and its shim the root of the runtime.
		for _, dir := range []string{"/run/containerd/fifo", "/run/containerd/runc"} {
			if err := os.RemoveAll(dir); err != nil {
				c.t.Error(err)
			}
		}
	}
	for _, dir := range []string{"/run/containerd/s", "/run/containerd/fifo", "/run/containerd"} {
		if err := os.Remove(dir); err != nil && !os.IsNotExist(err) {
			c.t.Error(err) // a container or a shim has left something
		}
	}
}

func (c *containerd) config() string { return filepath.Join(c.dir, "config.toml") }
func (c *containerd) socket() string { return filepath.Join(c.dir, "sock") }
func (c *containerd) runcRoot() string {
	return filepath.Join(c.dir, "roots", filepath.Base(c.runtime))
}

// ask runs the runtime as the shim does, which tells it where its states are.
func (c *containerd) ask(args ...string) drive.Result {
	c.t.Helper()
	return drive.Exec(c.t, c.runtime, append([]string{"--root", filepath.Join(c.runcRoot(), c.namespace)}, args...)...)
}

func (c *containerd) line(args ...string) []string {
	return append([]string{"ctr", "--address", c.socket(), "--namespace", c.namespace}, args...)
}

// run is the command line of ctr run for the image.
func (c *containerd) run(flags []string, id string, cmd ...string) []string {
	return slices.Concat(c.line("run"), c.made(), flags, []string{ctrImage, id}, cmd)
}

// made are the flags of every container: of its root, its runtime, and the
// engine's own seccomp profile.
func (c *containerd) made() []string {
	return []string{
		"--snapshotter", "native", "--seccomp",
		"--runtime", "io.containerd.runc.v2", "--runc-binary", c.runtime, "--runc-root", c.runcRoot(),
	}
}

// background runs a container in the background.
func (c *containerd) background(flags []string, id string, cmd ...string) {
	c.t.Helper()
	okLine(c.t, c.run(append([]string{"--detach"}, flags...), id, cmd...))
}

func (c *containerd) ok(args ...string) string {
	c.t.Helper()
	return okLine(c.t, c.line(args...))
}

// remove kills a container, waits for its end and removes it.
func (c *containerd) remove(id string) {
	c.t.Helper()
	c.ok("task", "kill", "--signal", "KILL", id)
	c.stopped(id, 137)
	c.ok("container", "rm", id)
}

// subtest runs a scenario with mocker and with runc, on the same daemon. The
// same must come of both; where a scenario has to tell them apart, it says so.
func (c *containerd) subtest(name string, do func(c containerd, t *testing.T)) {
	c.t.Run(name, func(t *testing.T) {
		for _, runtime := range runtimes(t) {
			t.Run(filepath.Base(runtime), func(t *testing.T) {
				sub := *c
				sub.t, sub.runtime = t, runtime
				t.Cleanup(sub.sweep)
				do(sub, t)
			})
		}
	})
}

// sweep removes what a failed scenario has left.
func (c *containerd) sweep() {
	if !c.t.Failed() {
		return
	}
	for id := range strings.FieldsSeq(execLine(c.t, c.line("task", "ls", "--quiet")).Stdout) {
		execLine(c.t, c.line("task", "rm", "--force", id))
	}
	for id := range strings.FieldsSeq(execLine(c.t, c.line("container", "ls", "--quiet")).Stdout) {
		execLine(c.t, c.line("container", "rm", id))
	}
}

// runtimes are the paths of mocker and runc, or of the one that RUNTIME names.
func runtimes(t testing.TB) []string {
	t.Helper()
	names := []string{drive.Runtime(t)}
	if !drive.Others() {
		names = append(names, "runc")
	}
	for i, name := range names {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		names[i] = path
	}
	return names
}

// TestContainerd is Debian's; TestContainerd2 is the current one.
func TestContainerd(t *testing.T) { testContainerd(t, "") }

func testContainerd(t *testing.T, programs string) {
	leaveNothing(t)
	c := newContainerd(t, programs)
	for i, f := range c.foregrounds() {
		c.subtest(f.name, func(c containerd, _ *testing.T) {
			c.foreground(fmt.Sprintf("box%d", i), f)
		})
	}
	if programs != "" {
		c.subtest("idmapped volume", containerd.mapped)
	}
	for _, s := range []struct {
		name string
		do   func(c containerd, t *testing.T)
	}{
		{"user namespace", containerd.users},
		{"terminal", containerd.terminal},
		{"detached", containerd.detached},
		{"exec", containerd.exec},
		{"exec with terminal", containerd.execTerminal},
		{"kill all", containerd.all},
		{"remove by force", containerd.force},
		{"paused", containerd.paused},
		{"started again", containerd.again},
		{"metrics", containerd.metrics},
		{"event of no memory", containerd.outOfMemory},
		{"checkpoint", containerd.checkpoint},
		{"daemon restarted", containerd.restarted},
		{"fifty at once", containerd.fifty},
	} {
		c.subtest(s.name, s.do)
	}
}
