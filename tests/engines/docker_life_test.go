package engines

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// becomes waits until docker says this of a container.
func (d docker) becomes(name, format, want string) {
	d.t.Helper()
	var got string
	defer func() {
		if got != want {
			d.t.Logf("%s: %q, want %q", name, got, want)
		}
	}()
	patiently(d.t, name+" is "+want, func() bool {
		got = d.inspect(name, format)
		return got == want
	})
}

// status is what docker and the runtime are to say of a container.
func (d docker) status(name, want string) {
	d.t.Helper()
	if got := d.inspect(name, "{{.State.Status}}"); got != want {
		d.t.Errorf("docker says %q, want %q", got, want)
	}
	out := okLine(d.t, d.place.inside(d.runtimeLine("state", d.inspect(name, "{{.Id}}"))...))
	if !strings.Contains(out, `"status": "`+want+`"`) {
		d.t.Errorf("the runtime does not say %q: %s", want, out)
	}
}

// runtimeLine calls the runtime as docker's shim does, which has the states of
// every runtime in one directory.
func (d docker) runtimeLine(args ...string) []string {
	path := d.runtime
	if path == "mocker" {
		path = runtimePath(d.t)
	}
	return append([]string{path, "--root", filepath.Join(d.dir, "exec/runtime-runc/moby")}, args...)
}

// fetch gets a page of a container over its published port, from loopback.
func (d docker) fetch(name string) {
	d.t.Helper()
	var r drive.Result
	patiently(d.t, "the page comes", func() bool {
		r = execLine(d.t, d.place.inside("busybox", "wget", "-q", "-O", "-", "http://"+d.ok("port", name, "80")+"/plain"))
		return r.Code == 0
	})
	if r.Stdout != "plain\n" {
		d.t.Errorf("fetched %v", r)
	}
}

// published is a server in the background, on the bridge: what docker says of
// it, what the runtime says, and all that can be done to it.
func (d docker) published(t *testing.T) {
	name := d.name("web")
	id := okLine(t, d.run([]string{"--detach", "--name", name, "--network", "bridge", "-p", "127.0.0.1::80", "--memory", "64m"},
		"sh", "-c", "echo out; echo err >&2; exec httpd -f -p 80 -h /bin"))
	d.status(name, "running")
	d.fetch(name)
	if got := d.inspect(name, "{{.HostConfig.Runtime}}"); got != d.runtime {
		t.Errorf("its runtime: %q", got)
	}
	patiently(t, "docker logs has the output", func() bool {
		r := execLine(t, d.line("logs", name))
		return r.Stdout == "out\n" && r.Stderr == "err\n"
	})
	if got := d.ok("top", name); strings.Count(got, "\n") != 1 || !strings.Contains(got, "httpd -f") { // a title above it
		t.Errorf("docker top: %s", got)
	}
	if got := d.ok("stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}} {{.MemUsage}}", name); !strings.HasPrefix(got, name+" 1 ") || !strings.HasSuffix(got, " / 64MiB") {
		t.Errorf("docker stats: %s", got)
	}
	d.ok("pause", name)
	d.status(name, "paused")
	foreground{code: 1, stderr: "is paused"}.check(t, execLine(t, d.line("exec", name, "true")))
	d.ok("unpause", name)
	d.ok("update", "--memory", "32m", "--memory-swap", "64m", "--cpus", "0.5", "--cpu-shares", "512", "--pids-limit", "50", name)
	d.limits(id, "33554432 67108864 50000 512 50")
	d.ok("commit", name, name) // docker pauses it for this
	d.status(name, "running")
	d.ok("restart", "--time", "0", name)
	d.fetch(name)
	d.limits(id, "33554432 67108864 50000 512 50")
	d.ok("kill", name)
	if got := d.ok("wait", name); got != "137" {
		t.Errorf("docker wait: %s", got)
	}
	d.ok("rm", name)
	if r := execLine(t, d.place.inside(d.runtimeLine("state", id)...)); r.Code == 0 || !strings.Contains(r.Stderr, "does not exist") {
		t.Errorf("the runtime still knows it: %v", r)
	}
}

// limits are what a cgroup is to have: memory, memory and swap, CPU, pids.
func (d docker) limits(id, want string) {
	d.t.Helper()
	if got := strings.Join(cgroupValues(d.t, d.parent+"/"+id,
		"memory/memory.limit_in_bytes", "memory/memory.memsw.limit_in_bytes", "cpu/cpu.cfs_quota_us", "cpu/cpu.shares", "pids/pids.max"), " "); got != want {
		d.t.Errorf("limits %s, want %s", got, want)
	}
}

// cgroupValues reads files, given as CONTROLLER/FILE, of a cgroup.
func cgroupValues(t *testing.T, cgroup string, files ...string) (values []string) {
	t.Helper()
	for _, file := range files {
		controller, name := filepath.Split(file)
		values = append(values, strings.TrimSpace(drive.Exec(t, "cat", filepath.Join("/sys/fs/cgroup", controller, cgroup, name)).Stdout))
	}
	return values
}

// exec: processes beside the first one, with streams, with a terminal, and in
// the background; and another container in its namespaces.
func (d docker) exec(t *testing.T) {
	name := d.name("box")
	okLine(t, d.run([]string{"--detach", "--name", name}, "sleep", "1000"))
	exec := func(flags []string, cmd ...string) []string {
		return slices.Concat(d.line("exec"), flags, []string{name}, cmd)
	}
	sh := func(script string) []string { return []string{"sh", "-c", script} }
	for _, f := range append(execs(126, 126), foreground{
		flags: []string{"--user", "1000:1001", "--env", "A=b", "--workdir", "/tmp"},
		cmd:   sh("id -u; id -g; echo $A; pwd; grep Seccomp: /proc/self/status"), stdout: "1000\n1001\nb\n/tmp\nSeccomp:\t2\n",
	}, foreground{
		flags: []string{"--user", "root"}, cmd: sh("grep CapEff /proc/self/status"), stdout: "CapEff:\t00000000a80425fb\n",
	}, d.privileged(126)) {
		r := execLine(t, exec(f.flags, f.cmd...))
		if f.code == 126 { // docker can have the message on stdout
			r.Stdout, r.Stderr = "", r.Stdout+r.Stderr
		}
		f.check(t, r)
	}
	r := execLine(t, append([]string{"sh", "-c", `echo hello | "$@"`, "sh"}, exec([]string{"-i"}, "cat")...))
	foreground{stdout: "hello\n"}.check(t, r)
	terminal := atTerminal
	terminal.stdout = strings.Replace(terminal.stdout, "/dev/pts/0\nc\n", "/dev/pts/0\n", 1) // the container has no console
	terminal.cmd = sh(strings.Replace(terminal.cmd[2], "ls -l /dev/console | cut -c1\n", "\n", 1))
	terminal.check(t, execLine(t, inTerminal(t, exec([]string{"-it"}, terminal.cmd...))))
	okLine(t, exec([]string{"--detach"}, "touch", "/came"))
	patiently(t, "the process in the background has run", func() bool {
		return execLine(t, exec(nil, "test", "-e", "/came")).Code == 0
	})
	r = execLine(t, d.run([]string{"--rm", "--network", "container:" + name, "--pid", "container:" + name}, sh("tr '\\0' ' ' </proc/1/cmdline")...))
	foreground{stdout: "sleep 1000 "}.check(t, r)
	d.ok("rm", "--force", name)
}

// stops: TERM for one that listens; KILL, after the time that it is given,
// for one that does not.
func (d docker) stops(t *testing.T) {
	for _, c := range []struct{ name, script, want string }{
		{d.name("listens"), `trap "exit 4" TERM`, "4"},
		{d.name("ignores"), `trap "" TERM`, "137"},
	} {
		okLine(t, d.run([]string{"--detach", "--name", c.name}, "sh", "-c", c.script+"; echo ready; while :; do sleep 0.02; done"))
		patiently(t, c.name+" is ready", func() bool { return d.ok("logs", c.name) == "ready" })
		d.ok("stop", "--time", "1", c.name)
		if got := d.inspect(c.name, "{{.State.ExitCode}}"); got != c.want {
			t.Errorf("%s: exit code %s, want %s", c.name, got, c.want)
		}
		d.ok("rm", c.name)
	}
}

// policies: docker starts containers again, in the same bundle and with the
// same id.
func (d docker) policies(t *testing.T) {
	fails := d.name("fails")
	okLine(t, d.run([]string{"--detach", "--name", fails, "--restart", "on-failure:2"}, "sh", "-c", "echo run; exit 3"))
	d.becomes(fails, "{{.State.Status}} {{.RestartCount}} {{.State.ExitCode}}", "exited 2 3")
	if got := d.ok("logs", fails); got != "run\nrun\nrun" {
		t.Errorf("docker logs: %q", got)
	}
	always := d.name("always")
	okLine(t, d.run([]string{"--detach", "--name", always, "--restart", "always"}, "sleep", "1000"))
	okLine(t, d.place.inside("kill", "-KILL", d.inspect(always, "{{.State.Pid}}")))
	d.becomes(always, "{{.State.Status}} {{.RestartCount}}", "running 1")
	d.status(always, "running")
	d.ok("stop", "--time", "0", always)
	d.becomes(always, "{{.State.Status}}", "exited")
	d.ok("rm", fails, always)
}

// health: docker runs the check in the container time and again.
func (d docker) health(t *testing.T) {
	name := d.name("health")
	okLine(t, d.run([]string{"--detach", "--init", "--name", name, "--health-cmd", "test -e /well", "--health-interval", "200ms", "--health-retries", "1"},
		"sleep", "1000"))
	d.becomes(name, "{{.State.Health.Status}}", "unhealthy")
	d.ok("exec", name, "touch", "/well")
	d.becomes(name, "{{.State.Health.Status}}", "healthy")
	d.ok("rm", "--force", name)
}

// liveRestore stops the daemon above containers on both runtimes and starts it
// again, with runc where it had the runtime under test before. One container
// lives on, another one ends meanwhile.
func (d *docker) liveRestore() {
	runtimes := []string{"runc", "mocker"}
	pids := map[string]string{}
	for _, runtime := range runtimes {
		d := *d
		d.runtime = runtime
		stays, ends := d.name("stays"), d.name("ends")
		okLine(d.t, d.run([]string{"--detach", "--name", stays}, "sh", "-c", `trap "exit 4" TERM; while :; do sleep 0.02; done`))
		okLine(d.t, d.run([]string{"--detach", "--name", ends}, "sleep", "1000"))
		pids[stays], pids[ends] = d.inspect(stays, "{{.State.Pid}}"), d.inspect(ends, "{{.State.Pid}}")
	}
	d.stop()
	for name, pid := range pids {
		if strings.HasPrefix(name, "ends-") {
			okLine(d.t, d.place.inside("kill", "-KILL", pid))
		}
	}
	d.start("runc")
	d.on("live-restore", func(d docker, t *testing.T) {
		stays, ends := d.name("stays"), d.name("ends")
		d.becomes(stays, "{{.State.Status}} {{.State.Pid}}", "running "+pids[stays])
		d.becomes(ends, "{{.State.Status}} {{.State.ExitCode}}", "exited 137")
		if got := d.ok("exec", stays, "echo", "there"); got != "there" {
			t.Errorf("exec: %q", got)
		}
		d.ok("stop", stays)
		d.becomes(stays, "{{.State.ExitCode}}", "4")
		d.ok("start", ends)
		d.status(ends, "running")
	})
	for name := range pids {
		d.ok("rm", "--force", name)
	}
}

// TestDockerUserNamespace: root in a container is somebody else outside.
func TestDockerUserNamespace(t *testing.T) {
	leaveNothing(t)
	d := newDocker(t, `"userns-remap": "nobody:nogroup"`)
	ids := writeFile(t, filepath.Join(d.dir, "ids"), "nobody:100000:65536\n")
	for _, file := range []string{"/etc/subuid", "/etc/subgid"} {
		okLine(t, d.place.inside("busybox", "mount", "--bind", ids, file))
	}
	d.start("mocker")
	d.image()
	d.on("run", func(d docker, t *testing.T) {
		name := d.name("box")
		const script = `cat /proc/self/uid_map | tr -s ' '; touch /data/file; ls -n /data | awk 'NR > 1 { print $3, $4 }'; cat /proc/sys/kernel/msgmax; tty; exec sleep 1000`
		okLine(t, d.run([]string{"--detach", "--tty", "--name", name, "--network", "bridge", "--init", "--memory", "64m", "-v", "/data", "--sysctl", "kernel.msgmax=77"}, "sh", "-c", script))
		patiently(t, "the container has said it all", func() bool { return strings.Contains(d.ok("logs", name), "/dev/pts/0") })
		if got, want := strings.ReplaceAll(d.ok("logs", name), "\r", ""), " 0 100000 65536\n0 0\n77\n/dev/pts/0"; got != strings.TrimSpace(want) {
			t.Errorf("docker logs: %q", got)
		}
		if got := strings.TrimSpace(execLine(t, d.place.inside("stat", "--format", "%u", "/proc/"+d.inspect(name, "{{.State.Pid}}"))).Stdout); got != "100000" {
			t.Errorf("outside it is user %s", got)
		}
		r := execLine(t, d.line("exec", "--user", "5:6", name, "sh", "-c", "id -u; id -g; cat /proc/1/comm"))
		foreground{stdout: "5\n6\ndocker-init\n"}.check(t, r)
		d.ok("rm", "--force", "--volumes", name)
		foreground{cmd: []string{"nosuch"}, code: 127, stderr: `exec: "nosuch": executable file not found in $PATH`}.check(t, execLine(t, d.run([]string{"--rm"}, "nosuch")))
		foreground{stdout: "         0          0 4294967295\n"}.check(t, execLine(t, d.run([]string{"--rm", "--userns", "host"}, "cat", "/proc/self/uid_map")))
	})
}
