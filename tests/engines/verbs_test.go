package engines

import (
	"strings"
	"testing"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// paused: podman holds a container, changes its limits, lists its processes
// and lets it go on.
func (p podman) paused(t *testing.T) {
	id := okLine(p.t, p.run([]string{"-d", "--name", "box", "--memory", "64m", "--pids-limit", "50"}, "sleep", "1000"))
	status := func(want string) {
		t.Helper()
		if got := p.ok("inspect", "--format", "{{.State.Status}}", "box"); got != want {
			t.Errorf("podman says %q, want %q", got, want)
		}
		if got := state(t, id); got != want {
			t.Errorf("the runtime says %q, want %q", got, want)
		}
	}
	limits := func(want string) {
		t.Helper()
		var got []string
		for _, file := range []string{"memory/%/memory.limit_in_bytes", "cpu/%/cpu.cfs_quota_us", "cpu/%/cpu.shares", "pids/%/pids.max"} {
			cgroup := p.parent + "/libpod-" + id
			got = append(got, strings.TrimSpace(drive.Exec(t, "cat", "/sys/fs/cgroup/"+strings.Replace(file, "%", cgroup, 1)).Stdout))
		}
		if got := strings.Join(got, " "); got != want {
			t.Errorf("limits %s, want %s", got, want)
		}
	}
	limits("67108864 -1 1024 50")
	p.ok("pause", "box")
	status("paused")
	p.ok("unpause", "box")
	status("running")
	p.ok("update", "--memory", "32m", "--memory-swap", "64m", "--cpus", "0.5", "--cpu-shares", "512", "box")
	limits("33554432 50000 512 50")
	if got := p.ok("top", "box", "hpid", "args"); !strings.Contains(got, "sleep 1000") {
		t.Errorf("podman top: %s", got)
	}
	p.ok("pause", "box")
	p.ok("rm", "--force", "--time", "0", "box")
}
