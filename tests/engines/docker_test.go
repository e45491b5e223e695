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

// docker is a Docker Engine that keeps all it has in a place and in
// directories of the test.
type docker struct {
	t       *testing.T
	place   *place
	dir     string
	lines   []string
	parent  string    // cgroup of its containers
	daemon  *exec.Cmd // nil when it has been stopped
	runtime string    // of the containers, by its name for docker
}

// dockerClient is Debian's: another one can be first in the PATH.
const dockerClient = "/usr/bin/docker"

// newDocker prepares a Docker Engine with these lines in its daemon.json.
func newDocker(t *testing.T, lines ...string) *docker {
	t.Helper()
	d := &docker{t: t, lines: lines, dir: t.TempDir(), parent: cgroupParent(t, "docker")}
	for _, dir := range []string{d.dir, filepath.Dir(d.dir)} { // for users that are root in a container alone
		if err := os.Chmod(dir, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	d.place = newPlace(t, "/run", "/etc/docker")
	t.Cleanup(func() {
		d.stop()
		d.place.deserted()
	})
	return d
}

// image makes the image "box".
func (d *docker) image() {
	d.t.Helper()
	d.ok("import", "--change", "ENV PATH=/bin", makeLayer(d.t), "box")
}

// runcForBuildKit makes a directory with a runc that is the runtime under test
// for BuildKit, after a note of it, and runc for everybody else: BuildKit takes
// the runc that is first in the daemon's PATH, and so does docker for its own
// runtime of that name.
func (d *docker) runcForBuildKit() string {
	d.t.Helper()
	runc, err := exec.LookPath("runc")
	if err != nil {
		d.t.Fatal(err)
	}
	dir := d.t.TempDir()
	file := writeFile(d.t, filepath.Join(dir, "runc"), fmt.Sprintf(`#!/bin/sh
case "$*" in
*/buildkit/*) echo "$*" >>%s; exec %s "$@" ;;
*) exec %s "$@" ;;
esac
`, d.builds(), runtimePath(d.t), runc))
	if err := os.Chmod(file, 0o755); err != nil {
		d.t.Fatal(err)
	}
	return dir
}

// builds is where that runc notes its calls.
func (d *docker) builds() string { return filepath.Join(d.dir, "builds") }

// configure writes a daemon.json in which what is not said otherwise runs with
// this runtime.
func (d *docker) configure(runtime string) (path string) {
	d.t.Helper()
	lines := append([]string{
		documented(d.t, `"runtimes": { "mocker": { "path": "/usr/local/bin/mocker" } }`),
		documented(d.t, `"live-restore": true`),
		strings.Replace(documented(d.t, `"default-runtime": "mocker"`), "mocker", runtime, 1),
		fmt.Sprintf(`"data-root": %q, "exec-root": %q, "pidfile": %q`, d.dir+"/root", d.dir+"/exec", d.dir+"/pid"),
		fmt.Sprintf(`"hosts": [ "unix://%s" ], "storage-driver": "vfs", "cgroup-parent": "/%s"`, d.socket(), d.parent),
	}, d.lines...)
	return writeFile(d.t, filepath.Join(d.dir, "daemon.json"), "{ "+strings.Join(lines, ",\n  ")+" }\n")
}

// start starts the daemon.
func (d *docker) start(runtime string, env ...string) {
	d.t.Helper()
	conf := d.configure(runtime)
	log, err := os.OpenFile(filepath.Join(d.dir, "log"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		d.t.Fatal(err)
	}
	defer log.Close()
	line := d.place.inside("dockerd", "--config-file", conf)
	d.daemon = exec.Command(line[0], line[1:]...) // not drive.Start: it lives longer than a minute
	d.daemon.Stdout, d.daemon.Stderr = log, log
	d.daemon.Env = append(os.Environ(), env...)
	if err := d.daemon.Start(); err != nil {
		d.t.Fatal(err)
	}
	answers := false
	defer func() {
		if !answers {
			text, _ := os.ReadFile(log.Name())
			d.t.Logf("dockerd: %s", text)
		}
	}()
	patiently(d.t, "dockerd answers", func() bool {
		answers = execLine(d.t, d.line("version")).Code == 0
		return answers
	})
}

// signalDaemon sends the daemon a signal.
func (d *docker) signalDaemon(name string) {
	d.t.Helper()
	pid, err := os.ReadFile(filepath.Join(d.dir, "pid"))
	if err != nil {
		d.t.Fatal(err)
	}
	okLine(d.t, d.place.inside("kill", "-"+name, string(pid)))
}

// stop stops the daemon, if it runs. Containers live on.
func (d *docker) stop() {
	if d.daemon == nil {
		return
	}
	d.signalDaemon("TERM")
	late := time.AfterFunc(drive.Patience(time.Minute), func() { _ = d.daemon.Process.Kill() })
	defer late.Stop()
	if err := d.daemon.Wait(); err != nil {
		d.t.Errorf("dockerd: %v", err)
	}
	d.daemon = nil
}

func (d *docker) socket() string { return filepath.Join(d.dir, "sock") }

func (d *docker) line(args ...string) []string {
	return append([]string{dockerClient, "--config", d.dir + "/client", "--host", "unix://" + d.socket()}, args...)
}

// run is the command line of docker run for the image.
func (d *docker) run(flags []string, cmd ...string) []string {
	if !slices.Contains(flags, "--network") {
		flags = append([]string{"--network", "none"}, flags...)
	}
	return slices.Concat(d.line("run", "--runtime", d.runtime), flags, []string{"box"}, cmd)
}

func (d *docker) ok(args ...string) string {
	d.t.Helper()
	return okLine(d.t, d.line(args...))
}

// name is one for a container of the runtime.
func (d *docker) name(what string) string { return what + "-" + d.runtime }

// inspect is what docker says of a container.
func (d *docker) inspect(id, format string) string {
	d.t.Helper()
	return d.ok("inspect", "--format", format, id)
}

// on runs a subtest on runc, the same docker's own, and on the runtime under
// test, side by side.
func (d *docker) on(name string, do func(d docker, t *testing.T)) {
	d.t.Run(name, func(t *testing.T) {
		for _, runtime := range []string{"runc", "mocker"} {
			t.Run(runtime, func(t *testing.T) {
				t.Parallel()
				sub := *d
				sub.t, sub.runtime = t, runtime
				do(sub, t)
			})
		}
	})
}

func TestDocker(t *testing.T) {
	leaveNothing(t)
	d := newDocker(t)
	d.start("mocker", "PATH="+d.runcForBuildKit()+":"+os.Getenv("PATH"))
	d.image()
	for _, f := range d.foregrounds() {
		d.on(f.name, func(d docker, t *testing.T) {
			f.check(t, execLine(d.t, d.run(append([]string{"--rm"}, f.flags...), f.cmd...)))
		})
	}
	d.on("privileged", func(d docker, t *testing.T) {
		f := d.privileged(125)
		f.check(t, execLine(t, d.run(append([]string{"--rm"}, f.flags...), f.cmd...)))
	})
	d.on("stdin", docker.stdin)
	d.on("terminal", docker.terminal)
	d.on("signal", docker.signal)
	d.on("out of memory", docker.outOfMemory)
	d.on("published", docker.published)
	d.on("exec", docker.exec)
	d.on("stop", docker.stops)
	d.on("restart policies", docker.policies)
	d.on("health", docker.health)
	d.on("compose", docker.compose)
	d.subtest("build on mocker", func(d docker, t *testing.T) { d.build("mocker", t) })
	d.liveRestore()
	d.subtest("build on runc", func(d docker, t *testing.T) { d.build("runc", t) })
	d.subtest("reload", docker.reload)
}

func (d *docker) subtest(name string, do func(d docker, t *testing.T)) {
	d.t.Run(name, func(t *testing.T) {
		sub := *d
		sub.t = t
		do(sub, t)
	})
}

func (d *docker) foregrounds() []foreground {
	volume := d.t.TempDir()
	writeFile(d.t, filepath.Join(volume, "file"), "shared\n")
	sh := func(script string) []string { return []string{"sh", "-c", script} }
	return append(d.refused(), []foreground{
		{name: "output", cmd: sh("echo out; echo err >&2; exit 7"), code: 7, stdout: "out\n", stderr: "err\n"},
		{
			name: "volumes", flags: []string{"-v", volume + ":/v", "-v", volume + ":/r:ro", "--mount", "type=volume,dst=/etc"},
			cmd: sh("cat /v/file /etc/passwd; touch /r/x"), code: 1, stdout: "shared\nroot:x:0:0:root:/root:/bin/sh\n", stderr: "touch: /r/x: Read-only file system",
		},
		{
			name: "read-only", flags: []string{"--read-only", "--tmpfs", "/data:size=1m,mode=700", "--shm-size", "2m"},
			cmd:  sh("touch /data/file; df -k /data /dev/shm | awk 'NR > 1 { print $1, $2 }'; touch /file"),
			code: 1, stdout: "tmpfs 1024\nshm 2048\n", stderr: "touch: /file: Read-only file system",
		},
		{
			name: "process", flags: []string{"--user", "1000:1001", "--group-add", "7", "--workdir", "/tmp", "--env", "A=b", "--ulimit", "nofile=100:200", "--oom-score-adj", "500"},
			cmd: sh("id -u; id -g; id -G; pwd; echo $A; ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj"), stdout: "1000\n1001\n1001 7\n/tmp\nb\n100\n200\n500\n",
		},
		{
			name: "capabilities", flags: []string{"--cap-drop", "all", "--cap-add", "chown", "--security-opt", "no-new-privileges"},
			cmd:  sh("grep -E 'CapEff|CapBnd|NoNewPrivs|Seccomp:' /proc/self/status; unshare -U true"),
			code: 1, stderr: "unshare(0x10000000): Operation not permitted",
			stdout: "CapEff:\t0000000000000001\nCapBnd:\t0000000000000001\nNoNewPrivs:\t1\nSeccomp:\t2\n",
		},
		{
			name: "network", flags: []string{"--network", "bridge", "--hostname", "abc", "--add-host", "x:10.0.0.1", "--dns", "10.0.0.2", "--sysctl", "net.ipv4.ip_forward=0", "--device", "/dev/zero:/dev/mine"},
			cmd: sh(`hostname; grep 10.0 /etc/hosts; grep nameserver /etc/resolv.conf; cat /proc/sys/net/ipv4/ip_forward; head -c 3 /dev/mine | wc -c; ip -o route | grep -c default`), stdout: "abc\n10.0.0.1\tx\nnameserver 10.0.0.2\n0\n3\n1\n",
		},
		{
			name: "host's namespaces", flags: []string{"--network", "host", "--pid", "host", "--ipc", "host", "--uts", "host"},
			cmd: sh(`cat /proc/1/comm; ls -d /sys/class/net/docker0`), stdout: "docker-init\n/sys/class/net/docker0\n",
		},
		{
			name: "init", flags: []string{"--init", "--cgroupns", "host"},
			cmd: sh("cat /proc/1/comm; grep -v ':/" + d.parent + "/' /proc/self/cgroup; exit 3"), code: 3, stdout: "docker-init\n",
		},
		{
			name: "unconfined", flags: []string{"--security-opt", "seccomp=unconfined", "--security-opt", "systempaths=unconfined", "--cgroupns", "private"},
			cmd: sh("grep Seccomp: /proc/self/status; test -w /proc/sys/kernel/hostname && grep -v ':/$' /proc/self/cgroup"), code: 1, stdout: "Seccomp:\t0\n",
		},
		{
			name: "limits", flags: []string{"--memory", "64m", "--memory-swap", "64m", "--pids-limit", "50", "--cpus", "0.5", "--cpuset-cpus", "0", "--cpu-shares", "512"},
			cmd:    sh("cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes pids/pids.max cpu/cpu.cfs_quota_us cpuset/cpuset.cpus cpu/cpu.shares"),
			stdout: "67108864\n50\n50000\n0\n512\n",
		},
	}...)
}

// refused are containers that cannot be, with the exit codes by which docker
// tells what was wrong.
func (d *docker) refused() []foreground {
	return []foreground{
		{name: "missing", cmd: []string{"nosuch"}, code: 127, stderr: `exec: "nosuch": executable file not found in $PATH`},
		{name: "missing path", cmd: []string{"/no/such"}, code: 127, stderr: `exec: "/no/such": stat /no/such: no such file or directory`},
		{name: "not executable", cmd: []string{"/bin/plain"}, code: 126, stderr: `exec: "/bin/plain": permission denied`},
		{name: "directory on a file", flags: []string{"-v", d.dir + ":/bin/plain"}, cmd: []string{"true"}, code: 125, stderr: "Are you trying to mount a directory onto a file"},
		{name: "no such setting", flags: []string{"--sysctl", "net.ipv4.nosuch=1"}, cmd: []string{"true"}, code: 127, stderr: "net/ipv4/nosuch"},
	}
}

// privileged has every capability. Where the machine lacks one, runc insists on
// it and docker has this exit code; the runtime under test does without.
func (d docker) privileged(refused int) foreground {
	d.t.Helper()
	const known = "grep %s: /proc/self/status | cut -c 17-" // of the upper half docker knows what it was built with
	own := drive.Exec(d.t, "sh", "-c", fmt.Sprintf(known, "CapBnd")).Stdout
	if d.runtime == "runc" && own != "ffffffff\n" {
		return foreground{flags: []string{"--privileged"}, cmd: []string{"true"}, code: refused, stderr: "unable to apply caps: operation not permitted"}
	}
	return foreground{flags: []string{"--privileged"}, cmd: []string{"sh", "-c", fmt.Sprintf(known, "CapEff")}, stdout: own}
}

// reload: a running daemon takes the lines for the runtimes.
func (d docker) reload(t *testing.T) {
	d.configure("mocker")
	d.signalDaemon("HUP")
	patiently(t, "the default runtime is another one", func() bool { return d.ok("info", "--format", "{{.DefaultRuntime}}") == "mocker" })
	name := d.name("reloaded")
	okLine(t, d.line("run", "--network", "none", "--name", name, "box", "true"))
	if got := d.inspect(name, "{{.HostConfig.Runtime}}"); got != "mocker" {
		t.Errorf("its runtime: %q", got)
	}
	d.ok("rm", name)
}

// stdin passes what a pipe holds to the container.
func (d docker) stdin(t *testing.T) {
	line := d.run([]string{"--rm", "-i"}, "cat")
	foreground{stdout: "hello\n"}.check(t, execLine(t, append([]string{"sh", "-c", `echo hello | "$@"`, "sh"}, line...)))
}

// terminal: the shim gets the terminal over its console socket, and docker
// resizes it to its own.
func (d docker) terminal(t *testing.T) {
	atTerminal.check(t, execLine(t, inTerminal(t, d.run([]string{"--rm", "-it"}, atTerminal.cmd...))))
}

// signal: docker run passes signals on.
func (d docker) signal(t *testing.T) {
	line := d.run([]string{"--rm"}, "sh", "-c", `trap "echo caught; exit 3" TERM; echo ready; while :; do sleep 0.02; done`)
	c := drive.Start(t, line[0], line[1:]...)
	patiently(t, "the container is ready", func() bool { return c.Output() == "ready\n" })
	if err := c.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	foreground{code: 3, stdout: "ready\ncaught\n"}.check(t, c.Wait())
}

// outOfMemory: docker hears of it from the shim, which looks at the cgroup.
func (d docker) outOfMemory(t *testing.T) {
	name := d.name("oom")
	r := execLine(t, d.run([]string{"--name", name, "--memory", "8m", "--memory-swap", "8m"}, "sh", "-c", "x=aaaaaaaa; while :; do x=$x$x; done"))
	foreground{code: 137}.check(t, r)
	if got := d.inspect(name, "{{.State.OOMKilled}}"); got != "true" {
		t.Errorf("OOMKilled: %s", got)
	}
	d.ok("rm", name)
}
