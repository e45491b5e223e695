package properties

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/coverage"
	"github.com/mocker-runtime/mocker/tests/drive"
)

func TestDomainname(t *testing.T) {
	crunToo(t)
	coverage.Shows(t, "domainname")
	got := inside(t, sh("cat /proc/sys/kernel/domainname"), func(s *specs.Spec) { s.Domainname = "a.domain.example" })
	if got != "a.domain.example" {
		t.Errorf("got %q", got)
	}
	if host := read(t, "/proc/sys/kernel/domainname"); host == "a.domain.example" {
		t.Error("the host has got the name")
	}
}

// hasV1 reports whether the machine has a v1 hierarchy of a controller.
func hasV1(controller string) bool {
	_, err := os.Stat(filepath.Join("/sys/fs/cgroup", controller, "tasks"))
	return err == nil
}

// TestNetworkResources: the classes of v1's network controllers, or an error
// that names the one that the machine does not have.
func TestNetworkResources(t *testing.T) {
	drive.MockersOwn(t, "runc says it in other words")
	class := uint32(0x100001)
	for _, row := range []struct {
		controller, property string
		given                specs.LinuxNetwork
		file, want           string
	}{
		{"net_cls", "classID", specs.LinuxNetwork{ClassID: &class}, "net_cls.classid", "1048577"},
		{"net_prio", "priorities", specs.LinuxNetwork{Priorities: []specs.LinuxInterfacePriority{{Name: "lo", Priority: 3}}}, "net_prio.ifpriomap", "lo 3"},
	} {
		b := newBox(t, func(s *specs.Spec) {
			s.Process.Args = []string{"true"}
			s.Linux.Resources.Network = &row.given
		})
		if !hasV1(row.controller) {
			if r := b.run(); r.Code != 1 || !strings.Contains(r.Stderr, "linux.resources.network."+row.property+": ") {
				t.Errorf("without %s: %v", row.controller, r)
			}
			continue
		}
		drive.OK(t, "create", "--bundle", b.bundle, "--pid-file", b.bundle+"/pid", b.id)
		var pid int
		if _, err := fmt.Sscan(read(t, b.bundle+"/pid"), &pid); err != nil {
			t.Fatal(err)
		}
		if got := read(t, filepath.Join(drive.Cgroup(t, pid, row.controller), row.file)); !strings.Contains(got, row.want) {
			t.Errorf("%s: %q, want %q", row.file, got, row.want)
		}
	}
}

// TestRdmaMissing: where there is no such controller the error names it.
func TestRdmaMissing(t *testing.T) {
	drive.MockersOwn(t, "runc says it in other words")
	if data, err := os.ReadFile("/proc/cgroups"); err != nil || strings.Contains(string(data), "rdma\t") {
		t.Skip("the kernel has the controller")
	}
	handles := uint32(3)
	r := newBox(t, func(s *specs.Spec) {
		s.Linux.Resources.Rdma = map[string]specs.LinuxRdma{"mlx5_1": {HcaHandles: &handles}}
	}).run()
	if r.Code != 1 || !strings.Contains(r.Stderr, "linux.resources.rdma: the rdma controller") {
		t.Error(r)
	}
}

// TestThrottle: limits of a block device, in bytes and in operations.
func TestThrottle(t *testing.T) {
	disks, err := filepath.Glob("/sys/block/[svn]*/dev")
	if err != nil || len(disks) == 0 {
		t.Skip("the machine has no block device of its own")
	}
	device := read(t, disks[0])
	var d specs.LinuxThrottleDevice
	if _, err := fmt.Sscanf(device, "%d:%d", &d.Major, &d.Minor); err != nil {
		t.Fatal(err)
	}
	const at = "linux.resources.blockIO.throttle"
	coverage.Shows(t, at+"ReadBpsDevice", at+"WriteBpsDevice", at+"ReadIOPSDevice", at+"WriteIOPSDevice")
	limit := func(rate uint64) []specs.LinuxThrottleDevice {
		d := d
		d.Rate = rate
		return []specs.LinuxThrottleDevice{d}
	}
	b := newBox(t, func(s *specs.Spec) {
		s.Linux.Resources.BlockIO = &specs.LinuxBlockIO{
			ThrottleReadBpsDevice: limit(1 << 20), ThrottleWriteBpsDevice: limit(2 << 20),
			ThrottleReadIOPSDevice: limit(400), ThrottleWriteIOPSDevice: limit(500),
		}
	})
	drive.OK(t, "create", "--bundle", b.bundle, "--pid-file", b.bundle+"/pid", b.id)
	var fs unix.Statfs_t
	if err := unix.Statfs("/sys/fs/cgroup", &fs); err != nil {
		t.Fatal(err)
	}
	if fs.Type == unix.CGROUP2_SUPER_MAGIC {
		_, path, _ := strings.Cut(read(t, "/proc/"+read(t, b.bundle+"/pid")+"/cgroup"), "::")
		if got, want := read(t, filepath.Join("/sys/fs/cgroup", path, "io.max")), device+" rbps=1048576 wbps=2097152 riops=400 wiops=500"; got != want {
			t.Errorf("io.max: %q, want %q", got, want)
		}
		return
	}
	var pid int
	if _, err := fmt.Sscan(read(t, b.bundle+"/pid"), &pid); err != nil {
		t.Fatal(err)
	}
	dir := drive.Cgroup(t, pid, "blkio")
	for file, want := range map[string]string{
		"read_bps_device": device + " 1048576", "write_bps_device": device + " 2097152", "read_iops_device": device + " 400", "write_iops_device": device + " 500",
	} {
		if got := read(t, filepath.Join(dir, "blkio.throttle."+file)); got != want {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
	}
}

// TestMemoryV1: what only cgroup v1 has.
func TestMemoryV1(t *testing.T) {
	drive.MockersOwn(t, "runc leaves out kernelTCP and useHierarchy")
	drive.NeedV1(t)
	const at = "linux.resources.memory."
	coverage.Shows(t, at+"swappiness", at+"disableOOMKiller", at+"useHierarchy", at+"kernelTCP")
	yes, tcp, swappiness := true, int64(8<<20), uint64(17)
	b := newBox(t, func(s *specs.Spec) {
		s.Linux.Resources.Memory = &specs.LinuxMemory{Swappiness: &swappiness, DisableOOMKiller: &yes, UseHierarchy: &yes, KernelTCP: &tcp}
	})
	if r := drive.Run(t, "create", "--bundle", b.bundle, "--pid-file", b.bundle+"/pid", b.id); r.Code != 0 || r.Stderr != "" {
		t.Fatal(r)
	}
	dir := b.cgroup("memory")
	for file, want := range map[string]string{"swappiness": "17", "use_hierarchy": "1", "kmem.tcp.limit_in_bytes": "8388608"} {
		if got := read(t, filepath.Join(dir, "memory."+file)); got != want {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
	}
	if got := read(t, filepath.Join(dir, "memory.oom_control")); !strings.HasPrefix(got, "oom_kill_disable 1\n") {
		t.Errorf("oom_control: %q", got)
	}
}

// TestMemoryIgnored: limits of kernel memory, which no kernel has any more, are
// a warning, for engines still write them.
func TestMemoryIgnored(t *testing.T) {
	drive.MockersOwn(t, "runc says nothing")
	limit, no := int64(8<<20), false
	b := newBox(t, func(s *specs.Spec) {
		s.Linux.Resources.Memory = &specs.LinuxMemory{Kernel: &limit, UseHierarchy: &no} //nolint:staticcheck // deprecated, and still written
	})
	r := b.run()
	for _, want := range []string{
		"linux.resources.memory.kernel: ignored: the kernel has no such limit since 5.4",
		"linux.resources.memory.useHierarchy: ignored: the kernel always accounts hierarchically since 5.11",
	} {
		if r.Code != 0 || !strings.Contains(r.Stderr, want) {
			t.Errorf("%v\nwant %s", r, want)
		}
	}
}

// cgroup is the v1 cgroup of a container that was created with a pid file.
func (b *box) cgroup(controller string) string {
	b.Helper()
	var pid int
	if _, err := fmt.Sscan(read(b, b.bundle+"/pid"), &pid); err != nil {
		b.Fatal(err)
	}
	return drive.Cgroup(b, pid, controller)
}

// TestWeightsV1: the weights of block I/O that v1 has with BFQ.
func TestWeightsV1(t *testing.T) {
	drive.NeedV1(t)
	if _, err := os.Stat("/sys/fs/cgroup/blkio/blkio.bfq.weight"); err != nil {
		t.Skip("needs weights of block I/O: this kernel has none without CONFIG_BFQ_GROUP_IOSCHED")
	}
	coverage.Shows(t, "linux.resources.blockIO.weight")
	weight := uint16(333)
	b := newBox(t, func(s *specs.Spec) { s.Linux.Resources.BlockIO = &specs.LinuxBlockIO{Weight: &weight} })
	drive.OK(t, "create", "--bundle", b.bundle, "--pid-file", b.bundle+"/pid", b.id)
	if got := read(t, filepath.Join(b.cgroup("blkio"), "blkio.bfq.weight")); got != "333" {
		t.Errorf("weight %q", got)
	}
}
