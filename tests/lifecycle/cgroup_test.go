package lifecycle

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/coverage"
	"github.com/mocker-runtime/mocker/tests/drive"
)

func pointer[T any](v T) *T { return &v }

// unified reports whether the machine has cgroup v2 alone.
func unified() bool {
	var st unix.Statfs_t
	return unix.Statfs("/sys/fs/cgroup", &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC
}

// TestLimits: the files of the cgroup, as the host sees them.
func TestLimits(t *testing.T) {
	drive.NeedLimits(t, "memory", "cpu", "pids")
	coverage.Shows(t, "linux.cgroupsPath", "linux.resources.memory.limit", "linux.resources.memory.reservation",
		"linux.resources.cpu.quota", "linux.resources.cpu.period", "linux.resources.cpu.shares", "linux.resources.pids.limit")
	b := newBox(t, forever, func(s *specs.Spec) {
		s.Linux.Resources.Memory = &specs.LinuxMemory{Limit: pointer[int64](64 << 20), Reservation: pointer[int64](32 << 20)}
		s.Linux.Resources.CPU = &specs.LinuxCPU{Quota: pointer[int64](50000), Period: pointer[uint64](100000), Shares: pointer[uint64](512)}
		s.Linux.Resources.Pids = &specs.LinuxPids{Limit: pointer[int64](77)}
	})
	path := "/" + b.id
	drive.Edit(t, b.bundle, func(s *specs.Spec) { s.Linux.CgroupsPath = path })
	b.create()
	want := map[string]string{
		"memory/memory.limit_in_bytes": "67108864", "memory/memory.soft_limit_in_bytes": "33554432",
		"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000", "cpu/cpu.shares": "512", "pids/pids.max": "77",
	}
	if unified() {
		want = map[string]string{
			"/memory.max": "67108864", "/memory.low": "33554432", "/cpu.max": "50000 100000", "/pids.max": "77",
		}
	}
	for name, value := range want {
		controller, name, _ := strings.Cut(name, "/")
		dir := filepath.Join("/sys/fs/cgroup", controller, path)
		if got := file(t, filepath.Join(dir, name)); got != value {
			t.Errorf("%s: %s, want %s", name, got, value)
		}
		if got, pid := file(t, filepath.Join(dir, "cgroup.procs")), fmt.Sprint(b.state().Pid); got != pid {
			t.Errorf("%s has the processes %q, want %s", dir, got, pid)
		}
	}
	drive.OK(t, "delete", "--force", b.id)
	for name := range want {
		controller, _, _ := strings.Cut(name, "/")
		if _, err := os.Stat(filepath.Join("/sys/fs/cgroup", controller, path)); err == nil {
			t.Errorf("the cgroup in %s is still there", controller)
		}
	}
}

// TestDefaultCgroup: without a cgroupsPath it is /mocker/<id>, and inside a
// cgroup namespace it is the root.
func TestDefaultCgroup(t *testing.T) {
	drive.MockersOwn(t, "runc's default is a directory below its own cgroup")
	b := newBox(t, withCgroupNamespace, drive.Sh("echo ready; cat /proc/self/cgroup; sleep 100")).create()
	pid := b.state().Pid
	for line := range strings.Lines(proc(t, pid, "cgroup")) {
		// A v1 hierarchy that mocker does not see is none of its business.
		if f := strings.SplitN(strings.TrimSpace(line), ":", 3); f[2] != "/mocker/"+b.id && !(unified() && f[0] != "0") {
			t.Errorf("cgroup %s", line)
		}
	}
	b.start()
	drive.Eventually(t, "it runs", func() bool { return strings.Contains(b.printed(), "0::") })
	for line := range strings.Lines(strings.TrimPrefix(b.printed(), "ready\n")) {
		if f := strings.SplitN(strings.TrimSpace(line), ":", 3); f[2] != "/" {
			t.Errorf("inside: %s", line)
		}
	}
}

// TestDeviceRules: what the rules deny cannot be opened, even by root who may
// make the node; what they allow can.
func TestDeviceRules(t *testing.T) {
	coverage.Shows(t, "linux.resources.devices")
	mknod := func(s *specs.Spec) {
		for _, set := range []*[]string{&s.Process.Capabilities.Bounding, &s.Process.Capabilities.Permitted, &s.Process.Capabilities.Effective} {
			*set = append(*set, "CAP_MKNOD")
		}
		s.Linux.Resources.Devices = append(s.Linux.Resources.Devices,
			specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: pointer[int64](240), Minor: pointer[int64](1), Access: "r"})
	}
	// 240 is for experiments, and no driver has it: an open that gets past
	// the rules finds no device.
	script := `mknod /allowed c 240 1 && mknod /denied c 240 2 && mknod /block b 240 1 && mknod /mem c 1 1 || exit 1
		exec 2>&1; (exec 3</allowed); (exec 3>/allowed); (exec 3</denied); (exec 3</block); (exec 3</mem); (exec 3>/dev/null) && echo null`
	want := `sh: can't open /allowed: No such device or address
sh: can't create /allowed: Operation not permitted
sh: can't open /denied: Operation not permitted
sh: can't open /block: Operation not permitted
sh: can't open /mem: Operation not permitted
null
`
	if got := inside(t, script, mknod); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestPidsLimit: the limit is not only written, it holds.
func TestPidsLimit(t *testing.T) {
	drive.NeedLimits(t, "pids")
	coverage.Shows(t, "linux.resources.pids.limit")
	b := newBox(t, drive.Sh("for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; wait"), func(s *specs.Spec) {
		s.Linux.Resources.Pids = &specs.LinuxPids{Limit: pointer[int64](4)}
	})
	if r := b.run(); !strings.Contains(r.Stderr, "can't fork") {
		t.Errorf("%v", r)
	}
	// Before 1.3 a limit of 0 was none, and podman 4 writes it.
	drive.Edit(t, b.bundle, func(s *specs.Spec) {
		s.Version = "1.2.1"
		s.Process.Args = []string{"sh", "-c", "true & wait; echo forked"}
		s.Linux.Resources.Pids.Limit = pointer[int64](0)
	})
	if r := b.run(); r.Code != 0 || r.Stdout != "forked\n" {
		t.Errorf("no limit, as before 1.3: %v", r)
	}
	drive.Edit(t, b.bundle, func(s *specs.Spec) { s.Version = "1.3.0" })
	if r := b.run(); !drive.Others() && !strings.Contains(r.Stderr, "can't fork") {
		t.Errorf("a limit of 0, as of 1.3: %v", r)
	}
}

// inPureView runs a command in a mount namespace whose /sys/fs/cgroup is v2
// alone. A bind mount makes it: a new mount of cgroup2 would change the
// options of the machine's.
func inPureView(t *testing.T, args ...string) drive.Result {
	t.Helper()
	script := `mount -n --bind /sys/fs/cgroup/unified /sys/fs/cgroup && exec "$@"`
	if unified() {
		script = `exec "$@"`
	}
	return drive.Exec(t, "unshare", append([]string{"-m", "sh", "-c", script, "sh", drive.Runtime(t)}, args...)...)
}

// TestPureView: on cgroup v2 without controllers a bundle without limits
// runs, and with one it fails with the name of what is missing.
func TestPureView(t *testing.T) {
	if _, err := os.Stat("/sys/fs/cgroup/unified/cgroup.controllers"); err != nil {
		t.Skip("needs a hybrid machine: /sys/fs/cgroup/unified is not there")
	}
	b := newBox(t, withCgroupNamespace, drive.Sh("cat /proc/self/cgroup | grep ^0; grep ' /sys/fs/cgroup ' /proc/self/mountinfo | sed 's/.* - //; s/ .*//'"))
	if r := inPureView(t, "run", "--bundle", b.bundle, b.id); r.Code != 0 || r.Stdout != "0::/\ncgroup2\n" {
		t.Errorf("without limits: %v", r)
	}
	nothingLeft(b)
	drive.Edit(t, b.bundle, func(s *specs.Spec) {
		s.Linux.Resources.Memory = &specs.LinuxMemory{Limit: pointer[int64](64 << 20)}
	})
	r := inPureView(t, "run", "--bundle", b.bundle, b.id)
	if r.Code != 1 || !strings.Contains(r.Stderr, "memory") || r.Stdout != "" {
		t.Errorf("with a limit: %v", r)
	}
	mockersOwnPart(t, "runc names a file that it does not find", func() {
		if !strings.Contains(r.Stderr, "linux.resources.memory: the memory controller is not available") {
			t.Errorf("with a limit: %v", r)
		}
	})
	nothingLeft(b)
}

// nothingLeft looks for what a failed create or run could have left behind.
func nothingLeft(b *box) {
	b.Helper()
	refused(b, "does not exist", "state", b.id)
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, _ fs.DirEntry, err error) error {
		if err == nil && filepath.Base(path) == b.id {
			b.Errorf("%s is still there", path)
		}
		return nil
	})
	if mounts := proc(b, os.Getpid(), "mountinfo"); strings.Contains(mounts, b.bundle) {
		b.Errorf("a mount is still there:\n%s", mounts)
	}
}

// TestMemoryLimitKills: more than the limit ends the process with SIGKILL.
func TestMemoryLimitKills(t *testing.T) {
	drive.NeedLimits(t, "memory")
	coverage.Shows(t, "linux.resources.memory.limit", "linux.resources.memory.swap")
	b := newBox(t, drive.Sh(`x=xxxxxxxxxxxxxxxx; while :; do x=$x$x; done`), func(s *specs.Spec) {
		s.Linux.Resources.Memory = &specs.LinuxMemory{Limit: pointer[int64](8 << 20), Swap: pointer[int64](8 << 20)}
	})
	cmd := exec.Command(drive.Runtime(t), "run", "--bundle", b.bundle, b.id)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if got := exitCode(t, cmd); got != 128+int(syscall.SIGKILL) {
		t.Errorf("exit %d", got)
	}
}
