package engines

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mocker-runtime/mocker/tests/drive"
)

func (c *containerd) foregrounds() []foreground {
	volume := c.t.TempDir()
	writeFile(c.t, filepath.Join(volume, "file"), "shared\n")
	sub := filepath.Join(volume, "sub")
	if err := os.Mkdir(sub, 0o755); err != nil {
		c.t.Fatal(err)
	}
	hide(c.t, sub) // a mount below the volume
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
		{
			name: "recursively read-only bind", flags: bind("rbind:rro"),
			cmd: sh("touch /v/sub/file 2>&1"), code: 1, stdout: "touch: /v/sub/file: Read-only file system\n",
		},
		{
			name: "seccomp", cmd: sh("grep Seccomp: /proc/self/status; unshare -U true 2>&1; echo $?"),
			stdout: "Seccomp:\t2\nunshare: unshare(0x10000000): Operation not permitted\n1\n",
		},
		{name: "host network", flags: []string{"--net-host"}, cmd: sh("test -e /sys/class/net/lo && cat /bin/plain"), stdout: "plain\n"},
	}
}

const hold = `"$@"; status=$?; until [ -e /seen/now ]; do sleep 0.02; done; exit $status`

// foreground runs a container that does not end before its output has come.
// ctr before 1.6.22 can lose what it has not read by then (containerd pull
// request 8643).
func (c containerd) foreground(id string, f foreground) {
	c.t.Helper()
	dir := c.t.TempDir()
	open(c.t, dir)
	flags := append([]string{"--rm", "--mount", "type=bind,src=" + dir + ",dst=/seen,options=rbind:ro"}, f.flags...)
	cmd := f.cmd
	if f.stdout != "" {
		cmd = append([]string{"sh", "-c", hold, "sh"}, cmd...)
	}
	c.follow(c.run(flags, id, cmd...), dir, f)
}

// follow runs a command line of a container that ends when there is a file
// "now" in a directory.
func (c containerd) follow(line []string, dir string, f foreground) {
	c.t.Helper()
	ctr := drive.Start(c.t, line[0], line[1:]...)
	if f.stdout != "" {
		// It may never come: then the check below says what did.
		for end := time.Now().Add(drive.Patience(20 * time.Second)); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			if len(ctr.Output()) >= len(f.stdout) && len(ctr.Errors()) >= len(f.stderr) || f.code != 1 && ctr.Errors() != "" {
				break
			}
		}
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
		"runtime's container": c.ask("list", "--quiet").Stdout,
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
	c.background([]string{"--pid-file", pidFile}, "box", "sleep", "1000")
	pid, status := c.task("box")
	if status != "RUNNING" {
		t.Errorf("task ls: %s", status)
	}
	if got := c.status("box"); got != "running" {
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
	c.remove("box")
	c.gone()
}

// status is what the runtime itself says about a container.
func (c containerd) status(id string) string {
	c.t.Helper()
	r := c.ask("state", id)
	var st struct {
		Status string `json:"status"`
	}
	if err := json.Unmarshal([]byte(r.Stdout), &st); err != nil {
		c.t.Errorf("state: %v, %v", err, r)
	}
	return st.Status
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
	c.background(nil, "box", "sh", "-c", "sleep 1000 & sleep 1000")
	c.ok("task", "kill", "--all", "--signal", "KILL", "box")
	c.stopped("box", 137)
	c.ok("container", "rm", "box")
	c.gone()
}

// force removes a task as it runs.
func (c containerd) force(*testing.T) {
	c.background(nil, "box", "sleep", "1000")
	c.ok("task", "rm", "--force", "box")
	c.ok("container", "rm", "box")
	c.gone()
}

// again: a task ends by the signal that it listens to, and is made anew in
// its container.
func (c containerd) again(t *testing.T) {
	ready := t.TempDir()
	now := filepath.Join(ready, "now")
	c.background([]string{"--mount", "type=bind,src=" + ready + ",dst=/ready,options=rbind:rw"}, "box",
		"sh", "-c", `trap "exit 4" TERM; touch /ready/now; while :; do sleep 0.02; done`)
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

// exec: processes beside the first one, as the CRI has them too.
func (c containerd) exec(t *testing.T) {
	c.background(nil, "beside", "sleep", "1000")
	for _, f := range execs(1, 1) {
		if f.code == 0 && f.stdout != "" {
			f.cmd = []string{"sh", "-c", strings.TrimPrefix(f.cmd[2], "sh -c ") + "; sleep 0.3"} // see foreground
		}
		t.Run(f.name, func(t *testing.T) {
			f.check(t, execLine(t, slices.Concat(c.line("task", "exec", "--exec-id", strings.ReplaceAll(f.name, " ", "-")), f.flags, []string{"beside"}, f.cmd)))
		})
	}
	line := c.line("task", "exec", "--exec-id", "long", "beside", "sh", "-c", "echo in; exec sleep 1000")
	long := drive.Start(t, line[0], line[1:]...)
	drive.Eventually(t, "the long one is in", func() bool { return long.Output() == "in\n" })
	c.ok("task", "kill", "--exec-id", "long", "--signal", "KILL", "beside")
	foreground{code: 137, stdout: "in\n"}.check(t, long.Wait())
	c.remove("beside")
	c.gone()
	if left, err := filepath.Glob(filepath.Join(os.TempDir(), "runc-process*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// paused: a container is held and goes on; the shim asks the runtime for its
// processes.
func (c containerd) paused(t *testing.T) {
	c.background(nil, "box", "sh", "-c", "sleep 1000 & exec sleep 1000")
	c.ok("task", "pause", "box")
	pid, status := c.task("box")
	if status != "PAUSED" || c.status("box") != "paused" {
		t.Errorf("task ls: %s", status)
	}
	if got := c.ok("task", "ps", "box"); strings.Count(got, "\n") != 2 || !strings.Contains(got, pid) { // a title above them
		t.Errorf("task ps: %s", got)
	}
	c.ok("task", "resume", "box")
	if _, status := c.task("box"); status != "RUNNING" {
		t.Errorf("task ls: %s", status)
	}
	c.ok("task", "pause", "box")
	c.remove("box")
	c.gone()
}
