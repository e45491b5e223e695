package lifecycle

import (
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// TestCgroupManagerDisabled: as podman calls for --cgroups=disabled, also
// exec, start and delete, the container has no cgroup but the caller's.
func TestCgroupManagerDisabled(t *testing.T) {
	drive.MockersOwn(t, "runc has no --cgroup-manager")
	before := drive.TakeSnapshot(t)
	disabled := func(args ...string) []string { return append([]string{"--cgroup-manager", "disabled"}, args...) }
	b := newBox(t, withCgroupNamespace, drive.Sh("touch /sys/fs/cgroup/file; sleep 1000 & echo ready; exec sleep 1000"), func(s *specs.Spec) {
		s.Linux.Resources = &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}}
		s.Mounts = append(s.Mounts, specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"rw"}})
	})
	b.created = drive.Start(t, drive.Runtime(t), disabled("create", "--bundle", b.bundle, b.id)...)
	if r := b.created.Wait(); r.Code != 0 || r.Stderr != "" {
		t.Fatalf("create: %v", r)
	}
	pid := b.state().Pid
	if got, want := proc(t, pid, "cgroup"), file(t, "/proc/self/cgroup"); got != want {
		t.Errorf("its cgroups are\n%s\nthose of who made it\n%s", got, want)
	}
	drive.OK(t, disabled("start", b.id)...)
	drive.Eventually(t, "it runs", func() bool { return strings.Contains(b.printed(), "ready") })
	if got := b.created.Errors(); !strings.Contains(got, "Read-only file system") {
		t.Errorf("writing to the machine's cgroups: %q", got)
	}
	if r := drive.Run(t, disabled("exec", b.id, "sh", "-c", "exit 7")...); r.Code != 7 {
		t.Errorf("exec: %v", r)
	}
	if got := drive.OK(t, "ps", "--format", "json", b.id); strings.Count(got, ",") != 1 {
		t.Errorf("ps: %s, want two processes", got)
	}
	for _, args := range [][]string{{"pause", b.id}, {"events", "--stats", b.id}, {"update", "--pids-limit", "5", b.id}} {
		refused(t, `container "`+b.id+`" has no cgroup: it was made with the cgroup manager disabled`, args...)
	}
	drive.OK(t, disabled("kill", "--all", b.id, "KILL")...)
	b.stops()
	drive.OK(t, disabled("delete", b.id)...)
	before.Unchanged(t)
}

// TestCgroupManagerDisabledRefuses: what takes a cgroup is named.
func TestCgroupManagerDisabledRefuses(t *testing.T) {
	drive.MockersOwn(t, "runc has no --cgroup-manager")
	for want, edit := range map[string]edit{
		`linux.cgroupsPath: "/somewhere"`: func(s *specs.Spec) { s.Linux.CgroupsPath = "/somewhere" },
		"linux.resources.pids": func(s *specs.Spec) {
			s.Linux.Resources = &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: pointer[int64](5)}}
		},
		`annotations.run.oci.delegate-cgroup: "below"`: func(s *specs.Spec) { s.Annotations = map[string]string{"run.oci.delegate-cgroup": "below"} },
	} {
		b := newBox(t, edit)
		refused(t, want+": the cgroup manager is disabled\n", "--cgroup-manager=disabled", "run", "--bundle", b.bundle, b.id)
		refused(t, "does not exist", "state", b.id)
	}
}
