package engines

import (
	"strings"
	"testing"
)

// paused: the same by containerd's client, which asks the runtime for the
// processes.
func (c containerd) paused(t *testing.T) {
	okLine(c.t, c.run([]string{"--detach"}, "box", "sh", "-c", "sleep 1000 & exec sleep 1000"))
	c.ok("task", "pause", "box")
	pid, status := c.task("box")
	if status != "PAUSED" || state(t, append(c.runtimeRoot(), "box")...) != "paused" {
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
	c.ok("task", "kill", "--signal", "KILL", "box")
	c.stopped("box", 137)
	c.ok("container", "rm", "box")
	c.gone()
}
