package engines

import (
	"os"
	"path/filepath"
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

// exec: processes beside the first one, as the CRI has them too.
func (c containerd) exec(t *testing.T) {
	okLine(c.t, c.run([]string{"--detach"}, "beside", "sleep", "1000"))
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
	c.ok("task", "kill", "--signal", "KILL", "beside")
	c.stopped("beside", 137)
	c.ok("container", "rm", "beside")
	c.gone()
	if left, err := filepath.Glob(filepath.Join(os.TempDir(), "runc-process*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}
