package engines

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/drive"
)

const ctrImage = "example.org/box:latest"

// containerd is one that keeps all it has in directories of the test.
type containerd struct {
	t         *testing.T
	dir       string
	namespace string
}

// newContainerd starts a containerd that has the image ctrImage.
func newContainerd(t *testing.T) *containerd {
	t.Helper()
	dir := t.TempDir()
	c := &containerd{t: t, dir: dir, namespace: cgroupParent(t, "containerd")}
	conf := writeFile(t, filepath.Join(dir, "config.toml"), fmt.Sprintf(`version = 2
root = %q
state = %q
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
address = %q
[ttrpc]
address = %q
`, dir+"/root", dir+"/state", c.socket(), c.socket()+".ttrpc"))
	daemon := drive.Start(t, "containerd", "--config", conf)
	t.Cleanup(func() { c.end(daemon) })
	drive.Eventually(t, "containerd answers", func() bool { return execLine(c.t, c.line("version")).Code == 0 })
	c.ok("image", "import", "--snapshotter", "native", makeImage(t, makeLayer(t), ctrImage))
	return c
}

// end stops the daemon, and removes the directories that its shims and
// clients have at a fixed place.
func (c *containerd) end(daemon *drive.Cmd) {
	if err := daemon.Process.Signal(unix.SIGTERM); err != nil {
		c.t.Error(err)
	}
	if r := daemon.Wait(); r.Code != 0 {
		c.t.Errorf("containerd: %v", r)
	}
	for _, dir := range []string{"/run/containerd/s", "/run/containerd/fifo", "/run/containerd"} {
		if err := os.Remove(dir); err != nil {
			c.t.Error(err) // a container or a shim has left something
		}
	}
}

func (c *containerd) socket() string   { return filepath.Join(c.dir, "sock") }
func (c *containerd) runcRoot() string { return filepath.Join(c.dir, "runc") }

// runtimeRoot is the flag by which the shim tells the runtime where its
// states are.
func (c *containerd) runtimeRoot() []string {
	return []string{"--root", filepath.Join(c.runcRoot(), c.namespace)}
}

func (c *containerd) line(args ...string) []string {
	return append([]string{"ctr", "--address", c.socket(), "--namespace", c.namespace}, args...)
}

// run is the command line of ctr run for the image.
func (c *containerd) run(flags []string, id string, cmd ...string) []string {
	return slices.Concat(c.line("run", "--snapshotter", "native",
		"--runtime", "io.containerd.runc.v2", "--runc-binary", runtimePath(c.t), "--runc-root", c.runcRoot()),
		flags, []string{ctrImage, id}, cmd)
}

func (c *containerd) ok(args ...string) string {
	c.t.Helper()
	return okLine(c.t, c.line(args...))
}

// subtest is the same containerd for a subtest.
func (c *containerd) subtest(name string, do func(c containerd, t *testing.T)) {
	c.t.Run(name, func(t *testing.T) {
		sub := *c
		sub.t = t
		do(sub, t)
	})
}

func TestContainerd(t *testing.T) {
	leaveNothing(t)
	c := newContainerd(t)
	for i, f := range c.foregrounds() {
		c.subtest(f.name, func(c containerd, t *testing.T) {
			c.foreground(fmt.Sprintf("box%d", i), f)
		})
	}
	c.subtest("terminal", containerd.terminal)
	c.subtest("detached", containerd.detached)
	c.subtest("exec", containerd.exec)
	c.subtest("all", containerd.all)
	c.subtest("force", containerd.force)
	c.subtest("paused", containerd.paused)
	c.subtest("again", containerd.again)
}

func (c *containerd) foregrounds() []foreground {
	volume := c.t.TempDir()
	writeFile(c.t, filepath.Join(volume, "file"), "shared\n")
	sh := func(script string) []string { return []string{"sh", "-c", script} }
	bind := func(options string) []string {
		return []string{"--mount", "type=bind,src=" + volume + ",dst=/v,options=" + options}
	}
	return []foreground{
		{name: "true", cmd: []string{"/bin/true"}},
		{name: "status", cmd: sh("exit 7"), code: 7},
		{name: "output", cmd: sh("echo out; echo err >&2"), stdout: "out\n", stderr: "err\n"},
		{name: "missing", cmd: []string{"nosuch"}, code: 1, stderr: `exec: "nosuch": executable file not found in $PATH`},
		{name: "not executable", cmd: []string{"/bin/plain"}, code: 1, stderr: `exec: "/bin/plain": permission denied`},
		{
			name: "process", flags: []string{"--env", "A=b", "--cwd", "/tmp"},
			cmd: sh("echo $A; pwd; ulimit -n; grep CapEff /proc/self/status"), stdout: "b\n/tmp\n1024\nCapEff:\t00000000a80425fb\n",
		},
		{name: "limits", flags: []string{"--memory-limit", "67108864", "--cpus", "0.5"}, cmd: sh("grep -c /" + c.namespace + "/ /proc/self/cgroup"), stdout: "10\n"},
		{name: "out of memory", flags: []string{"--memory-limit", "8388608"}, cmd: sh("x=aaaaaaaa; while :; do x=$x$x; done"), code: 137},
		{name: "bind", flags: bind("rbind:rw"), cmd: sh("cat /v/file; echo new > /v/made; cat /v/made"), stdout: "shared\nnew\n"},
		{name: "read-only bind", flags: bind("rbind:ro"), cmd: sh("touch /v/other 2>&1"), code: 1, stdout: "touch: /v/other: Read-only file system\n"},
		{name: "read-only root", flags: []string{"--read-only"}, cmd: sh("touch /file 2>&1"), code: 1, stdout: "touch: /file: Read-only file system\n"},
		{name: "host network", flags: []string{"--net-host"}, cmd: sh("test -e /sys/class/net/lo && cat /bin/plain"), stdout: "plain\n"},
	}
}

// foreground runs a container that does not end before its output has come.
// ctr before 1.6.22 can lose what it has not read by then (containerd pull
// request 8643).
func (c containerd) foreground(id string, f foreground) {
	c.t.Helper()
	dir := c.t.TempDir()
	flags := append([]string{"--rm", "--mount", "type=bind,src=" + dir + ",dst=/seen,options=rbind:ro"}, f.flags...)
	cmd := f.cmd
	if f.stdout != "" {
		const hold = `"$@"; status=$?; until [ -e /seen/now ]; do sleep 0.02; done; exit $status`
		cmd = append([]string{"sh", "-c", hold, "sh"}, cmd...)
	}
	line := c.run(flags, id, cmd...)
	ctr := drive.Start(c.t, line[0], line[1:]...)
	if f.stdout != "" {
		defer writeFile(c.t, filepath.Join(dir, "now"), "") // if it never comes
		drive.Eventually(c.t, "there is as much output as there should be", func() bool {
			return len(ctr.Output()) >= len(f.stdout) && len(ctr.Errors()) >= len(f.stderr)
		})
		writeFile(c.t, filepath.Join(dir, "now"), "")
	}
	f.check(c.t, ctr.Wait())
	c.gone()
}

// gone fails the test unless ctr and the runtime know of no container.
func (c containerd) gone() {
	c.t.Helper()
	for what, list := range map[string]string{
		"task":                c.ok("task", "ls", "--quiet"),
		"container":           c.ok("container", "ls", "--quiet"),
		"runtime's container": drive.OK(c.t, append(c.runtimeRoot(), "list", "--quiet")...),
	} {
		if list != "" {
			c.t.Errorf("a %s is left: %s", what, list)
		}
	}
}

// terminal: the shim gets the terminal over its console socket, and ctr
// resizes it to its own.
func (c containerd) terminal(t *testing.T) {
	line := inTerminal(t, c.run([]string{"--rm", "--tty"}, "tty", "sh", "-c", atTerminal.cmd[2]+"; exec sleep 1000"))
	cmd := drive.Start(t, line[0], line[1:]...)
	want := atTerminal
	want.code = 137
	// It ends when the output is there: see foreground.
	drive.Eventually(t, "the container has its terminal", func() bool {
		return len(strings.ReplaceAll(cmd.Output(), "\r", "")) >= len(want.stdout)
	})
	c.ok("task", "kill", "--signal", "KILL", "tty")
	want.check(t, cmd.Wait())
	c.gone()
}

// task is the line of ctr task ls for a container: its pid and its status.
func (c containerd) task(id string) (pid, status string) {
	c.t.Helper()
	for line := range strings.Lines(c.ok("task", "ls")) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == id {
			return f[1], f[2]
		}
	}
	return "", "none"
}

// detached runs a container in the background: what ctr says, what the
// runtime says, its pid file, its end by a signal.
func (c containerd) detached(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	okLine(c.t, c.run([]string{"--detach", "--pid-file", pidFile}, "box", "sleep", "1000"))
	pid, status := c.task("box")
	if status != "RUNNING" {
		t.Errorf("task ls: %s", status)
	}
	if got := state(t, append(c.runtimeRoot(), "box")...); got != "running" {
		t.Errorf("the runtime says %q", got)
	}
	data, err := os.ReadFile(pidFile)
	if err != nil || string(data) != pid {
		t.Errorf("pid file: %q, %v, task ls says %s", data, err, pid)
	}
	exe, err := os.ReadFile("/proc/" + pid + "/cmdline")
	if err != nil || string(exe) != "sleep\x001000\x00" {
		t.Errorf("process %s is %q, %v", pid, exe, err)
	}
	if got := c.ok("task", "metrics", "box"); !strings.Contains(got, "pids.current") {
		t.Errorf("task metrics: %s", got)
	}
	c.ok("task", "kill", "--signal", "KILL", "box")
	c.stopped("box", 137)
	c.ok("container", "rm", "box")
	c.gone()
}

// stopped waits for the end of a task and removes it.
func (c containerd) stopped(id string, code int) {
	c.t.Helper()
	drive.Eventually(c.t, id+" has stopped", func() bool {
		_, status := c.task(id)
		return status == "STOPPED"
	})
	r := execLine(c.t, c.line("task", "rm", id))
	if r.Code != 0 || !strings.Contains(r.Stderr, fmt.Sprintf("exit with non-zero exit code %d", code)) {
		c.t.Errorf("task rm: %v, want status %d", r, code)
	}
}

// all: a signal to every process of a container, as CRI sends it.
func (c containerd) all(*testing.T) {
	okLine(c.t, c.run([]string{"--detach"}, "box", "sh", "-c", "sleep 1000 & sleep 1000"))
	c.ok("task", "kill", "--all", "--signal", "KILL", "box")
	c.stopped("box", 137)
	c.ok("container", "rm", "box")
	c.gone()
}

// force removes a task as it runs.
func (c containerd) force(*testing.T) {
	okLine(c.t, c.run([]string{"--detach"}, "box", "sleep", "1000"))
	c.ok("task", "rm", "--force", "box")
	c.ok("container", "rm", "box")
	c.gone()
}

// again: a task ends by the signal that it listens to, and is made anew in
// its container.
func (c containerd) again(t *testing.T) {
	ready := t.TempDir()
	now := filepath.Join(ready, "now")
	okLine(c.t, c.run([]string{"--detach", "--mount", "type=bind,src=" + ready + ",dst=/ready,options=rbind:rw"}, "box",
		"sh", "-c", `trap "exit 4" TERM; touch /ready/now; while :; do sleep 0.02; done`))
	for round := range 2 {
		if round > 0 {
			c.ok("task", "start", "--detach", "box")
		}
		drive.Eventually(t, "the container is ready", func() bool { return os.Remove(now) == nil })
		c.ok("task", "kill", "--signal", "TERM", "box")
		c.stopped("box", 4)
	}
	c.ok("container", "rm", "box")
	c.gone()
}
