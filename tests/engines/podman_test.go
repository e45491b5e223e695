package engines

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// podman is one that keeps all it has in directories of the test.
type podman struct {
	t      *testing.T
	dir    string
	global []string // podman and its global flags
	parent string   // cgroup of its containers
}

// newPodman prepares a podman that has the image "box".
func newPodman(t *testing.T) *podman {
	t.Helper()
	dir := t.TempDir()
	parent := cgroupParent(t, "podman")
	hide(t, "/var/lib")
	p := &podman{t: t, dir: dir, parent: parent, global: []string{
		"podman",
		"--root", filepath.Join(dir, "root"), "--runroot", filepath.Join(dir, "runroot"), "--tmpdir", filepath.Join(dir, "tmp"),
		"--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--runtime", runtimePath(t),
	}}
	t.Setenv("CONTAINERS_CONF", p.configure("containers.conf", ""))
	t.Chdir(dir) // where conmon notes that a container was out of memory
	p.ok("import", makeLayer(t), "box")
	return p
}

// configure writes a configuration. podman's own defaults for rlimits are
// beyond what a root without CAP_SYS_RESOURCE can give.
func (p *podman) configure(name, engine string) string {
	return writeFile(p.t, filepath.Join(p.dir, name), `[containers]
default_ulimits = ["nofile=1000:2000", "nproc=4096:4096"]
[network]
network_config_dir = "`+filepath.Join(p.dir, "networks")+`"
[engine]
events_logger = "none"
`+engine)
}

func (p *podman) line(args ...string) []string { return slices.Concat(p.global, args) }

// run is the command line of podman run for the image.
func (p *podman) run(flags []string, cmd ...string) []string {
	return slices.Concat(p.line("run", "--network", "none", "--cgroup-parent", "/"+p.parent),
		flags, []string{"box"}, cmd)
}

func (p *podman) ok(args ...string) string {
	p.t.Helper()
	return okLine(p.t, p.line(args...))
}

// subtest is the same podman for a subtest.
func (p *podman) subtest(name string, do func(p podman, t *testing.T)) {
	p.t.Run(name, func(t *testing.T) {
		sub := *p
		sub.t = t
		do(sub, t)
	})
}

func TestPodman(t *testing.T) {
	leaveNothing(t)
	p := newPodman(t)
	for _, f := range p.foregrounds() {
		p.subtest(f.name, func(p podman, t *testing.T) {
			f.check(t, execLine(p.t, p.run(append([]string{"--rm"}, f.flags...), f.cmd...)))
		})
	}
	p.subtest("stdin", podman.stdin)
	p.subtest("terminal", podman.terminal)
	p.subtest("signal", podman.signal)
	p.subtest("JSON log", podman.jsonLog)
	p.subtest("detached", podman.detached)
	p.subtest("exec", podman.exec)
	p.subtest("stop", podman.stop)
	p.subtest("paused", podman.paused)
	p.subtest("again", podman.again)
}

func (p *podman) foregrounds() []foreground {
	volume := p.t.TempDir()
	writeFile(p.t, filepath.Join(volume, "file"), "shared\n")
	sh := func(script string) []string { return []string{"sh", "-c", script} }
	return []foreground{
		{name: "true", cmd: []string{"/bin/true"}},
		{name: "status", cmd: sh("exit 7"), code: 7},
		{name: "output", cmd: sh("echo out; echo err >&2"), stdout: "out\n", stderr: "err\n"},
		{name: "missing", cmd: []string{"nosuch"}, code: 127, stderr: `exec: "nosuch": executable file not found in $PATH`},
		{name: "missing path", cmd: []string{"/no/such"}, code: 127, stderr: `exec: "/no/such": stat /no/such: no such file or directory`},
		{name: "not executable", cmd: []string{"/bin/plain"}, code: 126, stderr: `exec: "/bin/plain": permission denied`},
		{name: "hostname", flags: []string{"--hostname", "abc"}, cmd: []string{"hostname"}, stdout: "abc\n"},
		{
			name: "limits", flags: []string{"--memory", "64m", "--pids-limit", "50", "--cpus", "0.5", "--cpuset-cpus", "0"},
			cmd:    sh("cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes pids/pids.max cpu/cpu.cfs_quota_us cpuset/cpuset.cpus"),
			stdout: "67108864\n50\n50000\n0\n",
		},
		{
			name: "out of memory", flags: []string{"--memory", "8m", "--memory-swap", "8m"},
			cmd: sh("x=aaaaaaaa; while :; do x=$x$x; done"), code: 137,
		},
		{name: "rlimits", cmd: sh("ulimit -n; ulimit -Hn; ulimit -u"), stdout: "1000\n2000\n4096\n"},
		{name: "volume", flags: []string{"-v", volume + ":/v"}, cmd: sh("cat /v/file; echo new > /v/made; cat /v/made"), stdout: "shared\nnew\n"},
		{
			name: "read-only volume", flags: []string{"-v", volume + ":/v:ro"}, cmd: sh("cat /v/file; touch /v/other"), code: 1,
			stdout: "shared\n", stderr: "/v/other: Read-only file system",
		},
		{
			name: "propagation", flags: []string{"-v", volume + ":/v:rslave,nosuid,noexec"},
			cmd: sh(`grep ' /v ' /proc/self/mountinfo | cut -d' ' -f6 | cut -d, -f1-4`), stdout: "rw,nosuid,noexec,relatime\n",
		},
		{name: "named volume", flags: []string{"-v", "named:/data"}, cmd: sh("touch /data/file; ls /data"), stdout: "file\n"},
		{
			name: "read-only root", flags: []string{"--read-only", "--read-only-tmpfs=false"}, cmd: []string{"touch", "/file"}, code: 1,
			stderr: "/file: Read-only file system",
		},
		{
			name: "tmpfs", flags: []string{"--read-only", "--read-only-tmpfs=false", "--tmpfs", "/data:notmpcopyup,size=1m"},
			cmd: sh("touch /data/file; df -k /data | tail -1 | awk '{print $1, $2}'"), stdout: "tmpfs 1024\n",
		},
		{name: "shm", flags: []string{"--shm-size", "1m"}, cmd: sh("df -k /dev/shm | tail -1 | awk '{print $1, $2}'"), stdout: "shm 1024\n"},
		{
			name: "user", flags: []string{"--user", "1000:1001", "--group-add", "7", "--workdir", "/tmp", "--env", "A=b", "--umask", "077"},
			cmd: sh("id -u; id -g; id -G; pwd; echo $A; umask"), stdout: "1000\n1001\n1001 7\n/tmp\nb\n0077\n",
		},
		{
			name: "capabilities", flags: []string{"--cap-drop", "all", "--cap-add", "chown", "--security-opt", "no-new-privileges"},
			cmd:    sh("grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status"),
			stdout: "CapEff:\t0000000000000001\nCapBnd:\t0000000000000001\nNoNewPrivs:\t1\n",
		},
		{name: "device", flags: []string{"--device", "/dev/zero:/dev/mine"}, cmd: sh("head -c 3 /dev/mine | wc -c"), stdout: "3\n"},
		{
			name: "sysctl", flags: []string{"--sysctl", "net.ipv4.ip_forward=1", "--oom-score-adj", "500"},
			cmd: sh("cat /proc/sys/net/ipv4/ip_forward /proc/self/oom_score_adj"), stdout: "1\n500\n",
		},
		{name: "host namespaces", flags: []string{"--pid", "host", "--ipc", "host", "--uts", "host"}, cmd: []string{"true"}},
		{name: "cgroup namespace", flags: []string{"--cgroupns", "private"}, cmd: sh("cat /proc/self/cgroup | grep -v ':/$'"), code: 1},
		{name: "privileged", flags: []string{"--privileged"}, cmd: sh("test -w /proc/sys/kernel/hostname && test -e /dev/loop-control")},
	}
}

// stdin passes what a pipe holds to the container.
func (p podman) stdin(t *testing.T) {
	line := p.run([]string{"--rm", "-i"}, "cat")
	r := execLine(p.t, append([]string{"sh", "-c", `echo hello | "$@"`, "sh"}, line...))
	foreground{stdout: "hello\n"}.check(t, r)
}

// terminal: conmon gets the terminal over its console socket, and podman
// resizes it to its own.
func (p podman) terminal(t *testing.T) {
	atTerminal.check(t, execLine(p.t, inTerminal(t, p.run([]string{"--rm", "-it"}, atTerminal.cmd...))))
}

// signal: podman run passes signals on.
func (p podman) signal(t *testing.T) {
	line := p.run([]string{"--rm"}, "sh", "-c", `trap "echo caught; exit 3" TERM; echo ready; while :; do sleep 0.02; done`)
	c := drive.Start(t, line[0], line[1:]...)
	drive.Eventually(t, "the container is ready", func() bool { return c.Output() == "ready\n" })
	if err := c.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	foreground{code: 3, stdout: "ready\ncaught\n"}.check(t, c.Wait())
}

// jsonLog: runtimes that the configuration lists get --log-format json, and
// podman takes its message from the log, which must be one JSON object.
func (p podman) jsonLog(t *testing.T) {
	name := filepath.Base(runtimePath(t))
	t.Setenv("CONTAINERS_CONF", p.configure("json.conf", `runtime_supports_json = ["`+name+`"]`+"\n"))
	r := execLine(p.t, p.run([]string{"--rm"}, "nosuch"))
	foreground{code: 127, stderr: `exec: "nosuch": executable file not found in $PATH`}.check(t, r)
	// Only what comes from stderr has the name that the runtime puts there.
	if strings.Contains(r.Stderr, name+": mocker: ") {
		t.Errorf("podman did not read the log: %s", r.Stderr)
	}
}

// detached runs a container in the background: what podman says, what the
// runtime says, its log, its end by a signal.
func (p podman) detached(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	id := okLine(p.t, p.run([]string{"-d", "--name", "box", "--pidfile", pidFile}, "sh", "-c", "echo out; echo err >&2; exec sleep 1000"))
	if got := p.ok("ps", "--format", "{{.Names}} {{.Status}}"); !strings.HasPrefix(got, "box Up ") {
		t.Errorf("podman ps: %q", got)
	}
	if got := state(t, id); got != "running" {
		t.Errorf("the runtime says %q", got)
	}
	pid, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.ok("inspect", "--format", "{{.State.Pid}} {{.OCIRuntime}}", "box"); got != string(pid)+" "+runtimePath(t) {
		t.Errorf("podman inspect: %q, the pid file says %q", got, pid)
	}
	drive.Eventually(t, "podman logs has the output", func() bool {
		r := execLine(p.t, p.line("logs", "box"))
		return r.Stdout == "out\n" && r.Stderr == "err\n"
	})
	p.ok("kill", "--signal", "KILL", "box")
	if got := p.ok("wait", "box"); got != "137" {
		t.Errorf("podman wait: %q", got)
	}
	p.ok("rm", "box")
	if r := drive.Run(t, "state", id); r.Code == 0 || !strings.Contains(r.Stderr, "does not exist") {
		t.Errorf("the runtime still knows it: %v", r)
	}
}

// stop: TERM for one that listens; KILL, after the time that it is given,
// for one that does not.
func (p podman) stop(t *testing.T) {
	ready := t.TempDir()
	for _, c := range []struct{ name, script, want string }{
		{"listens", `trap "exit 4" TERM`, "4"},
		{"ignores", `trap "" TERM`, "137"},
	} {
		okLine(p.t, p.run([]string{"-d", "--name", c.name, "-v", ready + ":/ready"},
			"sh", "-c", c.script+"; touch /ready/"+c.name+"; while :; do sleep 0.02; done"))
		drive.Eventually(t, c.name+" is ready", func() bool {
			_, err := os.Stat(filepath.Join(ready, c.name))
			return err == nil
		})
		p.ok("stop", "--time", "1", c.name)
		if got := p.ok("inspect", "--format", "{{.State.ExitCode}}", c.name); got != c.want {
			t.Errorf("%s: exit code %s, want %s", c.name, got, c.want)
		}
		p.ok("rm", c.name)
	}
}

// again: a container that has stopped is started again, and removed as it
// runs.
func (p podman) again(t *testing.T) {
	okLine(p.t, p.run([]string{"-d", "--name", "box"}, "sleep", "1000"))
	p.ok("restart", "--time", "0", "box")
	p.ok("kill", "box")
	p.ok("wait", "box")
	p.ok("start", "box")
	if got := p.ok("ps", "--format", "{{.Names}} {{.Status}}"); !strings.HasPrefix(got, "box Up ") {
		t.Errorf("podman ps: %q", got)
	}
	p.ok("rm", "--force", "--time", "0", "box")
}
