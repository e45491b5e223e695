package engines

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// TestPodman lets podman run containers in all the ways that it has, on mocker
// and on runc.
func TestPodman(t *testing.T) {
	leaveNothing(t)
	cover(t, "/etc/subuid", "containers:100000:1000000\n")
	cover(t, "/etc/subgid", "containers:100000:1000000\n")
	b := newBench(t)
	for _, s := range oneShots {
		b.scenario(s.name, s.want, func(p *podman) { p.sh(s.flags, s.script) })
	}
	for _, s := range []struct {
		name, want string
		do         func(*podman)
	}{
		{"not there", "exit 127\n! Error: exec: \"nosuch\": executable file not found in $PATH: OCI runtime attempted to invoke a command that was not found\n" +
			"exit 127\n! Error: exec: \"/no/such\": stat /no/such: no such file or directory: OCI runtime attempted to invoke a command that was not found\n" +
			"exit 126\n! Error: exec: \"/bin/plain\": permission denied: OCI permission denied\n" +
			"exit 126\n! Error: exec: \"/bin\": is a directory\n", (*podman).notThere},
		{"podman's own failures", "exit 125\n! Error: unknown flag: --no-such-flag\n! See 'podman run --help'\nexit 125\n! Error: running container create option: invalid cgroup mode \"nonsense\": invalid argument\n", (*podman).ownFailures},
		{"stdin", "hello\n", (*podman).stdin},
		{"terminal", "/dev/pts/0\nc\nresized\n", (*podman).terminal},
		{"signal", "exit 3\nready\ncaught\n", (*podman).signal},
		{"detached", "id\nbox Up\nrunning\nRUNTIME true\nout\n! err\nbox\n137\nbox\nexit 1\n", (*podman).detached},
		{"exec", execWant, (*podman).execs},
		{"stop", "listens\n4\nlistens\nignores\n! time=NOW level=warning msg=\"StopSignal SIGTERM failed to stop container ignores in 1 seconds, resorting to SIGKILL\"\n137\nignores\n", (*podman).stop},
		{"again", "id\nbox\nbox\n137\nbox\nbox Up\nbox\nexit 1\n", (*podman).again},
		{"paused", pausedWant, (*podman).paused},
		{"restart policy", "id\nstarted\nstarted\nstarted\n2 exited 5\nbox\n", (*podman).restartPolicy},
		{"healthcheck", "id\nhealthy\nexit 1\nunhealthy\nunhealthy\nbox\n", (*podman).healthcheck},
		{"pod", podWant, (*podman).pod},
		{"user namespace of a pod", "id\nid\n0:0 0:0 \nid\n0:0 0:0 \nid\n", (*podman).userPod},
		{"userns auto", "0\n65534\n0:0 /dev/mqueue\n0:0 /dev/shm\n0:0 /bin\nelsewhere 1024\n", (*podman).usernsAuto},
		{"created", "id\ncreated\nbox\n0 exited\nout\nbox\n", (*podman).created},
		{"init", "/dev/init -- sh -c tr '\\0' ' ' </proc/1/cmdline; echo\n", (*podman).init},
		{"log as JSON", "exit 127\n! Error: exec: \"nosuch\": executable file not found in $PATH: OCI runtime attempted to invoke a command that was not found\n", (*podman).jsonLog},
		{"without cgroups", "exit 1\n0\n", (*podman).noCgroups},
		{"by name", "out\nby name\nbox\n", (*podman).byName},
	} {
		b.scenario(s.name, s.want, s.do)
	}
}

// oneShots are shells in containers that go with them. VOLUME is a directory
// with a file.
var oneShots = []struct{ name, flags, script, want string }{
	{"true", "", "true", ""},
	{"status", "", "exit 7", "exit 7\n"},
	{"killed", "", "kill -KILL $$; sleep 9", ""},
	{"output", "", "echo out; echo err >&2", "out\n! err\n"},
	{"hostname", "--hostname abc --add-host a.example:10.1.1.1", "hostname; grep -c a.example /etc/hosts", "abc\n1\n"},
	{
		"limits", "--memory 64m --memory-reservation 32m --pids-limit 50 --cpus 0.5 --cpu-shares 512 --cpuset-cpus 0",
		`cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes memory/memory.soft_limit_in_bytes pids/pids.max cpu/cpu.cfs_quota_us cpu/cpu.shares cpuset/cpuset.cpus`,
		"67108864\n33554432\n50\n50000\n512\n0\n",
	},
	{"out of memory", "--memory 8m --memory-swap 8m", "x=aaaaaaaa; while :; do x=$x$x; done", "exit 137\n"},
	{"rlimits", "--ulimit nofile=500:600 --ulimit nproc=100:200 --ulimit core=0", "ulimit -n; ulimit -Hn; ulimit -u; ulimit -c", "500\n600\n100\n0\n"},
	{"volume", "-v VOLUME:/v", "cat /v/file; echo new >/v/made; cat /v/made; rm /v/made", "shared\nnew\n"},
	{"read-only volume", "-v VOLUME:/v:ro", "cat /v/file; touch /v/other", "exit 1\nshared\n! touch: /v/other: Read-only file system\n"},
	{
		"options of a volume", "-v VOLUME:/v:rslave,nosuid,noexec",
		`grep ' /v ' /proc/self/mountinfo | cut -d' ' -f6 | cut -d, -f1-4`, "rw,nosuid,noexec,relatime\n",
	},
	{"named volume", "-v named:/data", "touch /data/file; ls /data", "file\n"},
	{"mount", "--mount type=bind,src=VOLUME,dst=/v,ro --mount type=tmpfs,dst=/t,tmpfs-size=1m", "cat /v/file; df -k /t | tail -1 | awk '{print $2}'", "shared\n1024\n"},
	{"read-only root", "--read-only --read-only-tmpfs=false", "touch /file", "exit 1\n! touch: /file: Read-only file system\n"},
	{"read-only root with its tmpfs", "--read-only", "touch /tmp/file /run/file && touch /file", "exit 1\n! touch: /file: Read-only file system\n"},
	{
		"tmpfs", "--tmpfs /data:notmpcopyup,size=1m --tmpfs /etc:rw,mode=700",
		"touch /data/file; df -k /data | tail -1 | awk '{print $1, $2}'; head -n 1 /etc/passwd; stat -c %a /etc", "tmpfs 1024\nroot:x:0:0:root:/root:/bin/sh\n700\n",
	},
	{"shm", "--shm-size 1m", "df -k /dev/shm | tail -1 | awk '{print $1, $2}'", "shm 1024\n"},
	{
		"user", "--user 1000:1001 --group-add 7 --workdir /tmp --env A=b --umask 077",
		"id -u; id -g; id -G; pwd; echo $A; umask", "1000\n1001\n1001 7\n/tmp\nb\n0077\n",
	},
	{
		"capabilities", "--cap-drop all --cap-add chown --security-opt no-new-privileges",
		"grep -E 'Cap|NoNewPrivs' /proc/self/status", "CapInh:\t0000000000000000\nCapPrm:\t0000000000000001\nCapEff:\t0000000000000001\nCapBnd:\t0000000000000001\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\n",
	},
	{
		"capabilities of a user", "--user 5 --cap-add net_admin", "grep Cap /proc/self/status",
		"CapInh:\t0000000000001000\nCapPrm:\t0000000000001000\nCapEff:\t0000000000001000\nCapBnd:\t00000000a80435fb\nCapAmb:\t0000000000001000\n",
	},
	{
		"seccomp", "", "grep Seccomp: /proc/self/status; mount -t tmpfs x /tmp",
		"exit 1\nSeccomp:\t2\n! mount: permission denied (are you root?)\n",
	},
	{"unconfined", "--security-opt seccomp=unconfined", "grep Seccomp: /proc/self/status; unshare -U true && echo done", "Seccomp:\t0\ndone\n"},
	{"masks", "--security-opt unmask=/proc/acpi --security-opt mask=/data", "wc -c </proc/keys; ls /data /sys/firmware | wc -l; touch /proc/sys/kernel/hostname", "exit 1\n0\n3\n! touch: /proc/sys/kernel/hostname: Read-only file system\n"},
	{"device", "--device /dev/zero:/dev/mine", "head -c 3 /dev/mine | wc -c; mknod /tmp/kmsg c 1 11 && head -c 1 /tmp/kmsg", "exit 1\n3\n! head: /tmp/kmsg: Operation not permitted\n"},
	{
		"sysctl", "--sysctl net.ipv4.ip_forward=1 --sysctl kernel.shmmax=65536 --oom-score-adj 500",
		"cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmax /proc/self/oom_score_adj", "1\n65536\n500\n",
	},
	{"host namespaces", "--pid host --ipc host --uts host --cgroupns host", "test $$ != 1 && echo seen", "seen\n"},
	{"cgroup namespace", "--cgroupns private", "cat /proc/self/cgroup | grep -v ':/$'", "exit 1\n"},
	{"privileged", "--privileged", "test -w /proc/sys/kernel/hostname && test -e /dev/loop-control && grep CapEff /proc/self/status | cut -c1-16 && grep Seccomp: /proc/self/status", ""},
	{"user namespace", "--uidmap 0:200000:1000 --gidmap 0:300000:1000", "stat -c '%u:%g %n' /dev/mqueue /dev/shm /bin /dev/pts; tr -s ' ' </proc/self/gid_map; touch /new; chown 7:8 /new", "0:0 /dev/mqueue\n0:0 /dev/shm\n0:0 /bin\n0:0 /dev/pts\n 0 300000 1000\n"},
}

func (p *podman) notThere() {
	p.run("--rm", "nosuch")
	p.run("--rm", "/no/such")
	p.run("--rm", "/bin/plain")
	p.run("--rm", "/bin")
}

func (p *podman) ownFailures() {
	p.run("--rm --no-such-flag", "true")
	p.run("--rm --cgroups nonsense", "true")
}

// stdin passes what a pipe holds to the container.
func (p *podman) stdin() {
	p.exec(append([]string{"sh", "-c", `echo hello | "$@"`, "sh"}, p.runLine("run", []string{"--rm", "-i"}, "cat")...))
}

// terminal: conmon gets the terminal over its console socket, and podman
// resizes it to its own.
func (p *podman) terminal() {
	p.exec(inTerminal(p.t, p.runLine("run", []string{"--rm", "-it"}, atTerminal.cmd...)))
}

// signal: podman run passes signals on.
func (p *podman) signal() {
	line := p.runLine("run", []string{"--rm"}, "sh", "-c", `trap "echo caught; exit 3" TERM; echo ready; while :; do sleep 0.02; done`)
	c := drive.Start(p.t, line[0], line[1:]...)
	p.eventually("the container is ready", func() bool { return c.Output() == "ready\n" })
	if err := c.Process.Signal(unix.SIGTERM); err != nil {
		p.t.Error(err)
	}
	p.noteResult(c.Wait())
}

// background runs a container in the background.
func (p *podman) background(flags string, cmd ...string) string {
	line := p.runLine("run", append([]string{"-d", "--name", "box"}, strings.Fields(flags)...), cmd...)
	r := drive.Exec(p.t, line[0], line[1:]...)
	if r.Code != 0 || r.Stderr != "" {
		p.noteResult(r)
	}
	p.note("id")
	return strings.TrimSpace(r.Stdout)
}

// remove removes a container, running or not. It is tried again: podman and
// the process that cleans up for conmon can be in each other's way.
func (p *podman) remove(name string) {
	line := p.line("rm", "--force", "--ignore", "--time", "0", name)
	p.eventually(name+" is removed", func() bool { return drive.Exec(p.t, line[0], line[1:]...).Code == 0 })
	p.note("%s", name)
}

// removePod is remove of a pod.
func (p *podman) removePod(name string) {
	line := p.line("pod", "rm", "--force", "--ignore", "--time", "0", name)
	p.eventually("pod "+name+" is removed", func() bool { return drive.Exec(p.t, line[0], line[1:]...).Code == 0 })
	p.note("id")
}

func (p *podman) status() {
	r := drive.Exec(p.t, p.line()[0], p.line("ps", "--format", "{{.Names}} {{.Status}}")[1:]...)
	if words := strings.Fields(r.Stdout); len(words) > 2 {
		r.Stdout = strings.Join(words[:2], " ") // without how long
	}
	p.noteResult(r)
}

// asks asks the runtime itself.
func (p *podman) asks(args ...string) drive.Result { return drive.Exec(p.t, p.path, args...) }

// detached is a container in the background: what podman says, what the
// runtime says, its log, its end by a signal.
func (p *podman) detached() {
	pidFile := filepath.Join(p.dir, "pid")
	id := p.background("--pidfile "+pidFile, "sh", "-c", "echo out; echo err >&2; exec sleep 1000")
	p.status()
	p.note("%s", statusOf(p.asks("state", id).Stdout))
	pid, err := os.ReadFile(pidFile)
	if err != nil {
		p.note("%v", err)
	}
	runtime, shown, _ := strings.Cut(p.ok("inspect", "--format", "{{.OCIRuntime}} {{.State.Pid}}", "box"), " ")
	p.note("%s %v", p.plain(runtime), shown == string(pid))
	logs := p.line("logs", "box")
	p.eventually("podman logs has the output", func() bool {
		r := drive.Exec(p.t, logs[0], logs[1:]...)
		return r.Stdout == "out\n" && r.Stderr == "err\n"
	})
	p.do("logs", "box")
	p.do("kill", "--signal", "KILL", "box")
	p.do("wait", "box")
	p.do("rm", "box")
	p.note("exit %d", p.asks("state", id).Code)
}

// statusOf is the status in the runtime's description of a container.
func statusOf(state string) string {
	_, rest, _ := strings.Cut(state, `"status": "`)
	word, _, _ := strings.Cut(rest, `"`)
	return word
}

const execWant = `id
exit 7
exit 137
out
! err
sleep 1000 
exit 127
! Error: exec: "nosuch": executable file not found in $PATH: OCI runtime attempted to invoke a command that was not found
exit 126
! Error: exec: "/bin/plain": permission denied: OCI permission denied
1000 1001 b /tmp 0
CapEff:	000001fffeffffff
hello
/dev/pts/0

resized
came
box
`

// execs are processes beside the first one, with streams, with a terminal,
// and in the background.
func (p *podman) execs() {
	p.background("", "sleep", "1000")
	sh := func(script string) { p.do("exec", "box", "sh", "-c", script) }
	p.do("exec", "box", "true")
	sh("exit 7")
	sh("kill -KILL $$")
	sh("echo out; echo err >&2")
	sh("tr '\\0' ' ' </proc/1/cmdline")
	p.do("exec", "box", "nosuch")
	p.do("exec", "box", "/bin/plain")
	p.do("exec", "--user", "1000:1001", "--env", "A=b", "--workdir", "/tmp", "box", "sh", "-c", "echo $(id -u) $(id -g) $A $PWD $(cat /proc/self/oom_score_adj)")
	p.do("exec", "--privileged", "box", "grep", "CapEff", "/proc/self/status")
	p.exec(append([]string{"sh", "-c", `echo hello | "$@"`, "sh"}, p.line("exec", "-i", "box", "cat")...))
	script := strings.Replace(atTerminal.cmd[2], "ls -l /dev/console | cut -c1", "echo", 1) // the container has no console
	p.exec(inTerminal(p.t, p.line("exec", "-it", "box", "sh", "-c", script)))
	if r := drive.Exec(p.t, p.line()[0], p.line("exec", "-d", "box", "touch", "/came")[1:]...); r.Code != 0 {
		p.noteResult(r)
	}
	test := p.line("exec", "box", "ls", "/came")
	p.eventually("the process in the background has run", func() bool { return drive.Exec(p.t, test[0], test[1:]...).Code == 0 })
	p.note("came")
	p.remove("box")
}

// stop: TERM for one that listens; KILL, after the time that it is given, for
// one that does not.
func (p *podman) stop() {
	for _, c := range []struct{ name, script string }{{"listens", `trap "exit 4" TERM`}, {"ignores", `trap "" TERM`}} {
		line := p.runLine("run", []string{"-d", "--name", c.name}, "sh", "-c", c.script+"; echo ready; while :; do sleep 0.02; done")
		if r := drive.Exec(p.t, line[0], line[1:]...); r.Code != 0 {
			p.noteResult(r)
		}
		p.says("ready", "logs", c.name)
		p.do("stop", "--time", "1", c.name)
		p.do("inspect", "--format", "{{.State.ExitCode}}", c.name)
		p.do("rm", c.name)
	}
}

// again: a container that has stopped is started again, and removed as it
// runs.
func (p *podman) again() {
	p.background("", "sleep", "1000")
	p.do("restart", "--time", "0", "box")
	p.do("kill", "box")
	p.do("wait", "box")
	p.do("start", "box")
	p.status()
	p.remove("box")
	p.do("container", "exists", "box")
}

const pausedWant = `id
67108864 -1 1024 50
box
paused paused
box
running running
ID
33554432 50000 512 50
1
id 67.11MB 1
box
box
`

// paused: podman holds a container, changes its limits, lists its processes
// and what they use, and lets it go on.
func (p *podman) paused() {
	id := p.background("--memory 64m --pids-limit 50", "sleep", "1000")
	status := func() {
		p.note("%s %s", p.ok("inspect", "--format", "{{.State.Status}}", "box"), statusOf(p.asks("state", id).Stdout))
	}
	limits := func() {
		var got []string
		for _, file := range []string{"memory/%/memory.limit_in_bytes", "cpu/%/cpu.cfs_quota_us", "cpu/%/cpu.shares", "pids/%/pids.max"} {
			cgroup := p.parent + "/libpod-" + id
			got = append(got, strings.TrimSpace(drive.Exec(p.t, "cat", "/sys/fs/cgroup/"+strings.Replace(file, "%", cgroup, 1)).Stdout))
		}
		p.note("%s", strings.Join(got, " "))
	}
	limits()
	p.do("pause", "box")
	status()
	p.do("unpause", "box")
	status()
	p.do("update", "--memory", "32m", "--memory-swap", "64m", "--cpus", "0.5", "--cpu-shares", "512", "box")
	limits()
	p.note("%d", strings.Count(p.ok("top", "box", "hpid", "args"), "sleep 1000"))
	p.do("stats", "--no-stream", "--no-reset", "--format", `{{.ID}} {{index (split .MemUsage " / ") 1}} {{.PIDs}}`, "box")
	p.do("pause", "box")
	p.remove("box")
}

// restartPolicy: a container that fails is started again, twice.
func (p *podman) restartPolicy() {
	p.background("--restart on-failure:2", "sh", "-c", "echo started; exit 5")
	p.says("2 exited 5", "inspect", "--format", "{{.RestartCount}} {{.State.Status}} {{.State.ExitCode}}", "box")
	p.do("logs", "box")
	p.do("inspect", "--format", "{{.RestartCount}} {{.State.Status}} {{.State.ExitCode}}", "box")
	p.do("rm", "box")
}

// healthcheck: podman runs the command when it is asked to; it takes systemd
// to ask regularly.
func (p *podman) healthcheck() {
	line := p.runLine("run", []string{"-d", "--name", "box", "--health-interval", "disable", "--health-retries", "1", "--health-cmd", "test ! -e /ill"}, "sleep", "1000")
	r := drive.Exec(p.t, line[0], line[1:]...)
	if r.Code != 0 || r.Stderr != "" {
		p.noteResult(r)
	}
	p.note("id")
	health := []string{"inspect", "--format", "{{.State.Health.Status}}", "box"}
	p.do("healthcheck", "run", "box")
	p.do(health...)
	p.ok("exec", "box", "touch", "/ill")
	p.do("healthcheck", "run", "box")
	p.do(health...)
	p.remove("box")
}

const podWant = `id
shared
lo
pod
1 sleep
box
first
second
Degraded
id
Exited
id
`

// pod: containers that share network, ipc and uts namespaces, and on demand
// the pids. The image of the one that holds them is made here.
func (p *podman) pod() {
	p.ok("pod", "create", "--name", "pod", "--infra-image", "box", "--infra-command", "sleep 1000",
		"--network", "none", "--hostname", "pod", "--share", "ipc,net,uts,pid", "--cgroup-parent", "/"+p.parent)
	p.note("id")
	in := func(name string, cmd ...string) {
		r := drive.Exec(p.t, p.line()[0], p.line(append([]string{"run", "-d", "--pod", "pod", "--name", name, "box"}, cmd...)...)[1:]...)
		if r.Code != 0 || r.Stderr != "" {
			p.noteResult(r)
		}
	}
	in("first", "sh", "-c", "echo shared >/dev/shm/file; exec sleep 1001")
	p.says("shared", "exec", "first", "cat", "/dev/shm/file")
	in("second", "sleep", "1002")
	p.do("exec", "second", "sh", "-c", "cat /dev/shm/file; ls /sys/class/net; hostname; echo $(ps -o pid,args | awk '$1 == 1' | cut -c1-11)")
	p.do("run", "--rm", "--pod", "pod", "box", "sh", "-c", "kill -KILL $(ps -o pid,args | awk '/sleep 1001/ && !/awk/ { print $1 }'); echo box")
	p.says("exited", "inspect", "--format", "{{.State.Status}}", "first")
	p.note("first")
	p.remove("second")
	p.do("pod", "inspect", "--format", "{{.State}}", "pod")
	p.ok("pod", "stop", "--time", "0", "pod")
	p.note("id")
	p.do("pod", "inspect", "--format", "{{.State}}", "pod")
	p.removePod("pod")
}

// userPod: a pod with a user namespace, which its second container joins.
func (p *podman) userPod() {
	p.note("id")
	p.ok("pod", "create", "--name", "users", "--infra-image", "box", "--infra-command", "sleep 1000",
		"--network", "none", "--userns", "auto:size=1024", "--cgroup-parent", "/"+p.parent)
	r := drive.Exec(p.t, p.line()[0], p.line("run", "-d", "--pod", "users", "--name", "member", "box", "sleep", "1000")[1:]...)
	if r.Code != 0 || r.Stderr != "" {
		p.noteResult(r)
	}
	p.note("id")
	p.do("exec", "member", "sh", "-c", "grep -q '^ *0 *0 ' /proc/self/uid_map; stat -c %u:%g /dev/mqueue /dev/shm | tr '\\n' ' '")
	p.note("id")
	p.do("run", "--rm", "--pod", "users", "--ipc", "private", "box", "sh", "-c", "stat -c %u:%g /dev/mqueue /dev/shm | tr '\\n' ' '")
	p.removePod("users")
}

// usernsAuto: podman picks the ids.
func (p *podman) usernsAuto() {
	p.sh("--userns auto:size=1024", `id -u; stat -c %u /proc; stat -c '%u:%g %n' /dev/mqueue /dev/shm /bin
		awk '{ print ($2 != 0 ? "elsewhere" : "here"), $3 }' /proc/self/uid_map`)
}

// created: podman create, then start with its output.
func (p *podman) created() {
	line := p.runLine("create", []string{"--name", "box"}, "sh", "-c", "echo out")
	if r := drive.Exec(p.t, line[0], line[1:]...); r.Code != 0 {
		p.noteResult(r)
	}
	p.note("id")
	p.do("inspect", "--format", "{{.State.Status}}", "box")
	p.do("start", "box")
	p.says("0 exited", "inspect", "--format", "{{.State.ExitCode}} {{.State.Status}}", "box")
	p.note("0 exited")
	p.do("start", "--attach", "box")
	p.do("rm", "box")
}

// init: podman mounts an init into the container. This one is a script, so
// that the machine needs none.
func (p *podman) init() {
	script := writeFile(p.t, filepath.Join(p.dir, "init"), "#!/bin/sh\necho /dev/init \"$@\"\n")
	if err := os.Chmod(script, 0o755); err != nil {
		p.t.Error(err)
	}
	p.sh("--init --init-path "+script, "tr '\\0' ' ' </proc/1/cmdline; echo")
}

// jsonLog: runtimes that the configuration lists get --log-format json, and
// podman takes its message from the log, which must be one JSON object. From
// stderr it would have the name that the runtime puts there.
func (p *podman) jsonLog() {
	p.documented()
	r := p.run("--rm", "nosuch")
	if strings.Contains(r.Stderr, "mocker: mocker: ") {
		p.note("podman did not read the log: %s", r.Stderr)
	}
	p.configure("")
}

// noCgroups: podman asks only runtimes that the configuration lists for it.
func (p *podman) noCgroups() {
	p.documented()
	p.parent = ""
	p.sh("--cgroups disabled", "grep -c libpod /proc/self/cgroup")
	p.configure("")
}

// byName: the lines of docs/engines.md make a runtime the default.
func (p *podman) byName() {
	p.documented()
	p.run("--name box", "echo", "out")
	p.note("%s", strings.Replace(p.ok("inspect", "--format", "{{.OCIRuntime}}", "box"), p.runtime, "by name", 1))
	p.do("rm", "box")
	p.configure("")
}

// documented writes the lines of docs/engines.md, with the path and the name
// of the runtime, and leaves it to them which one podman takes.
func (p *podman) documented() {
	page, err := os.ReadFile("../../docs/engines.md")
	if err != nil {
		p.t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(page), "`/etc/containers/containers.conf`:\n\n")
	var lines strings.Builder
	for line := range strings.Lines(after) {
		if text, ok := strings.CutPrefix(line, "    "); ok {
			lines.WriteString(text)
		} else if strings.TrimSpace(line) != "" {
			break
		}
	}
	config := strings.Replace(lines.String(), "/usr/local/bin/mocker", p.path, 1)
	if !strings.HasPrefix(config, "[engine]\n") || !strings.Contains(config, p.path) {
		p.t.Fatalf("docs/engines.md has other lines: %s", config)
	}
	config = strings.ReplaceAll(config, `"mocker"`, `"`+p.runtime+`"`)
	config = strings.ReplaceAll(config, "mocker =", p.runtime+" =")
	p.configure(strings.TrimPrefix(config, "[engine]\n"))
	p.bare = true
}
