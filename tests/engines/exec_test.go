package engines

import (
	"slices"
	"strings"
	"testing"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// execs are what engines run in a container besides its first process, with
// the exit codes that an engine has for what cannot be run.
func execs(missing, denied int) []foreground {
	sh := func(script string) []string { return []string{"sh", "-c", script} }
	return []foreground{
		{name: "true", cmd: []string{"/bin/true"}},
		{name: "status", cmd: sh("exit 7"), code: 7},
		{name: "killed", cmd: sh("kill -KILL $$"), code: 137},
		{name: "output", cmd: sh("echo out; echo err >&2"), stdout: "out\n", stderr: "err\n"},
		{name: "first", cmd: sh("tr '\\0' ' ' </proc/1/cmdline"), stdout: "sleep 1000 "},
		{name: "missing", cmd: []string{"nosuch"}, code: missing, stderr: `exec: "nosuch": executable file not found in $PATH`},
		{name: "not executable", cmd: []string{"/bin/plain"}, code: denied, stderr: `exec: "/bin/plain": permission denied`},
	}
}

// exec: processes beside the first one, with streams, with a terminal, and in
// the background.
func (p podman) exec(t *testing.T) {
	okLine(p.t, p.run([]string{"-d", "--name", "box"}, "sleep", "1000"))
	exec := func(flags []string, cmd ...string) []string {
		return slices.Concat(p.line("exec"), flags, []string{"box"}, cmd)
	}
	list := append(execs(127, 126), foreground{
		name: "process", flags: []string{"--user", "1000:1001", "--env", "A=b", "--workdir", "/tmp"},
		cmd: []string{"sh", "-c", "id -u; id -g; echo $A; pwd"}, stdout: "1000\n1001\nb\n/tmp\n",
	}, foreground{
		name: "privileged", flags: []string{"--privileged"}, cmd: []string{"sh", "-c", "grep -c 'CapEff:.0*1f' /proc/self/status"}, stdout: "1\n",
	})
	for _, f := range list {
		t.Run(f.name, func(t *testing.T) { f.check(t, execLine(t, exec(f.flags, f.cmd...))) })
	}
	r := execLine(p.t, append([]string{"sh", "-c", `echo hello | "$@"`, "sh"}, exec([]string{"-i"}, "cat")...))
	foreground{stdout: "hello\n"}.check(t, r)
	terminal := atTerminal
	terminal.stdout = strings.Replace(terminal.stdout, "\nc\n", "\n", 1) // the container has no console
	terminal.cmd = []string{"sh", "-c", strings.Replace(terminal.cmd[2], "ls -l /dev/console | cut -c1\n", "\n", 1)}
	terminal.check(t, execLine(p.t, inTerminal(t, exec([]string{"-it"}, terminal.cmd...))))
	okLine(p.t, exec([]string{"-d"}, "touch", "/came"))
	drive.Eventually(t, "the process in the background has run", func() bool {
		return execLine(p.t, exec(nil, "test", "-e", "/came")).Code == 0
	})
	p.ok("rm", "--force", "--time", "0", "box")
}
