package lifecycle

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// TestKillAll: without a pid namespace of its own the processes of a container
// do not end with the first; kill --all reaches all of them, and delete
// leaves none.
func TestKillAll(t *testing.T) {
	shared := func(s *specs.Spec) {
		s.Linux.Namespaces = slices.DeleteFunc(s.Linux.Namespaces, func(ns specs.LinuxNamespace) bool {
			return ns.Type == specs.PIDNamespace
		})
	}
	for _, how := range [][]string{{"kill", "--all", "ID", "KILL"}, {"delete", "--force", "ID"}} {
		t.Run(how[0], func(t *testing.T) {
			b := newBox(t, shared, drive.Sh("sleep 1000 & sleep 1000 & echo $! ; wait"))
			drive.OK(t, "run", "--detach", "--bundle", b.bundle, b.id)
			hierarchy, tree := "pids", "/sys/fs/cgroup/pids"
			if unified() {
				hierarchy, tree = "0:", "/sys/fs/cgroup"
			}
			own := drive.Exec(t, "sed", "-n", "s/.*"+hierarchy+"://p", fmt.Sprintf("/proc/%d/cgroup", b.state().Pid))
			procs := tree + strings.TrimSpace(own.Stdout) + "/cgroup.procs"
			mine := func() int { return strings.Count(drive.Exec(t, "cat", procs).Stdout, "\n") }
			drive.Eventually(t, "three processes in the cgroup", func() bool { return mine() == 3 })
			how[slices.Index(how, "ID")] = b.id
			drive.OK(t, how...)
			drive.Eventually(t, "no process in the cgroup", func() bool { return mine() == 0 })
			if how[0] == "kill" {
				drive.OK(t, how...) // nobody there any more: no error
			}
		})
	}
}
