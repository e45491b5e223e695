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
