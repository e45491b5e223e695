package properties

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/drive"
)

func TestDomainname(t *testing.T) {
	crunToo(t)
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
	d.Rate = 1 << 20
	slow := d
	slow.Rate = 500
	b := newBox(t, func(s *specs.Spec) {
		s.Linux.Resources.BlockIO = &specs.LinuxBlockIO{
			ThrottleReadBpsDevice: []specs.LinuxThrottleDevice{d}, ThrottleWriteIOPSDevice: []specs.LinuxThrottleDevice{slow},
		}
	})
	drive.OK(t, "create", "--bundle", b.bundle, "--pid-file", b.bundle+"/pid", b.id)
	var fs unix.Statfs_t
	if err := unix.Statfs("/sys/fs/cgroup", &fs); err != nil {
		t.Fatal(err)
	}
	if fs.Type == unix.CGROUP2_SUPER_MAGIC {
		_, path, _ := strings.Cut(read(t, "/proc/"+read(t, b.bundle+"/pid")+"/cgroup"), "::")
		if got, want := read(t, filepath.Join("/sys/fs/cgroup", path, "io.max")), device+" rbps=1048576 wbps=max riops=max wiops=500"; got != want {
			t.Errorf("io.max: %q, want %q", got, want)
		}
		return
	}
	var pid int
	if _, err := fmt.Sscan(read(t, b.bundle+"/pid"), &pid); err != nil {
		t.Fatal(err)
	}
	dir := drive.Cgroup(t, pid, "blkio")
	for file, want := range map[string]string{"read_bps_device": device + " 1048576", "write_iops_device": device + " 500"} {
		if got := read(t, filepath.Join(dir, "blkio.throttle."+file)); got != want {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
	}
}
