package cgroups

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/coverage"
	"github.com/mocker-runtime/mocker/tests/drive"
)

// TestLimits: what config.json says is in the files of cgroup v2.
func TestLimits(t *testing.T) {
	needV2(t, "cpu", "cpuset", "io", "memory", "pids", "hugetlb")
	disk := block(t)
	major, minor, _ := strings.Cut(disk, ":")
	device := fmt.Sprintf(`"major":%s,"minor":%s`, major, minor)
	for _, row := range []struct {
		name, resources string
		want            map[string]string
		own             string // why runc is not asked, if it is not
		shows           []string
	}{
		{"cpu", `{"cpu":{"shares":512,"quota":50000,"period":100000,"burst":20000,"cpus":"0","mems":"0"}}`, map[string]string{
			"cpu.weight": "59", "cpu.max": "50000 100000", "cpu.max.burst": "20000", "cpu.idle": "0", "cpuset.cpus": "0", "cpuset.mems": "0",
		}, "Debian's knows no burst, and converts shares in another way", []string{"cpu.shares", "cpu.quota", "cpu.period", "cpu.burst", "cpu.cpus", "cpu.mems"}},
		{"quota alone", `{"cpu":{"quota":30000,"shares":2}}`, map[string]string{"cpu.max": "30000 100000", "cpu.weight": "1"}, "", []string{"cpu.quota", "cpu.shares"}},
		{"period alone", `{"cpu":{"period":50000,"shares":262144}}`, map[string]string{"cpu.max": "max 50000", "cpu.weight": "10000"}, "", []string{"cpu.period"}},
		{"idle", `{"cpu":{"idle":1,"shares":512}}`, map[string]string{"cpu.idle": "1"}, "Debian's does not know it", []string{"cpu.idle"}},
		{"memory", `{"memory":{"limit":67108864,"swap":100663296,"reservation":33554432},"unified":{"memory.high":"50331648","memory.min":"1048576","memory.oom.group":"1"}}`, map[string]string{
			"memory.max": "67108864", "memory.swap.max": "33554432", "memory.low": "33554432", "memory.high": "50331648", "memory.min": "1048576", "memory.oom.group": "1",
		}, "", []string{"memory.limit", "memory.swap", "memory.reservation", "unified"}},
		{"no swap, no forks", `{"memory":{"limit":67108864,"swap":67108864,"checkBeforeUpdate":true},"pids":{"limit":77}}`, map[string]string{
			"memory.max": "67108864", "memory.swap.max": "0", "pids.max": "77",
		}, "", []string{"memory.swap", "pids.limit"}},
		{"no limits", `{"memory":{"limit":-1},"pids":{"limit":-1},"cpu":{"quota":-1}}`, map[string]string{
			"memory.max": "max", "memory.swap.max": "max", "pids.max": "max", "cpu.max": "max 100000",
		}, "", []string{"memory.limit"}},
		{"nothing forks", `{"pids":{"limit":0}}`, map[string]string{"pids.max": "1"}, "Debian's takes 0 for no limit", []string{"pids.limit"}},
		{"huge pages", `{"hugepageLimits":[{"pageSize":"2MB","limit":4194304}]}`, map[string]string{
			"hugetlb.2MB.max": "4194304", "hugetlb.2MB.rsvd.max": "4194304",
		}, "", []string{"hugepageLimits"}},
		{"disk", `{"blockIO":{"throttleReadBpsDevice":[{` + device + `,"rate":1048576}],"throttleWriteIOPSDevice":[{` + device + `,"rate":200}]}}`, map[string]string{
			"io.max": disk + " rbps=1048576 wbps=max riops=max wiops=200",
		}, "", []string{"blockIO.throttleReadBpsDevice", "blockIO.throttleWriteIOPSDevice"}},
		{"unified", `{"memory":{"limit":67108864},"unified":{"cgroup.max.depth":"3","memory.max":"33554432","io.max":"` + disk + ` wbps=5000000 riops=77"}}`, map[string]string{
			"cgroup.max.depth": "3", "memory.max": "33554432", "io.max": disk + " rbps=max wbps=5000000 riops=77 wiops=max",
		}, "", []string{"unified"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.own != "" {
				drive.MockersOwn(t, row.own)
			}
			for _, name := range row.shows {
				coverage.Shows(t, "linux.resources."+name)
			}
			newest := func(s *specs.Spec) { s.Version = specs.Version } // a limit of 0 was none before
			if row.own == "" {
				newest = func(*specs.Spec) {}
			}
			b := newBox(t, forever, resources(t, row.resources), newest)
			drive.OK(t, "create", "--bundle", b.bundle, b.id)
			b.has(row.want)
		})
	}
}

// TestWeights: the weights of block I/O, by whichever way the kernel has.
func TestWeights(t *testing.T) {
	needV2(t, "io")
	const at = "linux.resources.blockIO.weight"
	coverage.Shows(t, at, at+"Device.major", at+"Device.minor", at+"Device.weight")
	disk := block(t)
	major, minor, _ := strings.Cut(disk, ":")
	_ = exec.Command("modprobe", "bfq").Run()
	queue, _ := filepath.Glob("/sys/block/*/dev")
	for _, dev := range queue {
		if read(t, dev) == disk {
			_ = os.WriteFile(filepath.Join(filepath.Dir(dev), "queue/scheduler"), []byte("bfq"), 0)
		}
	}
	b := newBox(t, forever, resources(t, fmt.Sprintf(`{"blockIO":{"weight":500,"weightDevice":[{"major":%s,"minor":%s,"weight":300}]}}`, major, minor)))
	drive.OK(t, "create", "--bundle", b.bundle, b.id)
	if exists(filepath.Join(b.dir, "io.bfq.weight")) {
		b.has(map[string]string{"io.bfq.weight": "default 500\n" + disk + " 300"})
	} else {
		b.has(map[string]string{"io.weight": "default 4950\n" + disk + " 2930"})
	}
	b = newBox(t, forever, resources(t, fmt.Sprintf(`{"blockIO":{"weightDevice":[{"major":%s,"minor":%s,"weight":300,"leafWeight":20}]}}`, major, minor)))
	b.refused("cgroup: linux.resources.blockIO.weightDevice[0].leafWeight: cgroup v2 has no such limit")
}

// TestRefusedLimits: an error has the member of config.json, the value, the
// file, and what the kernel says; and nothing is left.
func TestRefusedLimits(t *testing.T) {
	drive.MockersOwn(t, "the errors are mocker's")
	needV2(t, "cpu", "cpuset", "io", "memory", "pids", "hugetlb", "rdma", "misc")
	for given, want := range map[string]string{
		`{"unified":{"memory.nope":"1"}}`:                                          `linux.resources.unified["memory.nope"]: write "1" to memory.nope: this kernel has no such file: no such file or directory`,
		`{"unified":{"memory.high":"much"}}`:                                       `linux.resources.unified["memory.high"]: write "much" to memory.high: invalid argument`,
		`{"unified":{"memory.current":"1"}}`:                                       `linux.resources.unified["memory.current"]: write "1" to memory.current: invalid argument`,
		`{"unified":{"misc.max":"sev 5"}}`:                                         `linux.resources.unified["misc.max"]: write "sev 5" to misc.max: invalid argument`,
		`{"unified":{"net_cls.classid":"5"}}`:                                      `linux.resources.unified["net_cls.classid"]: the net_cls controller is not available in /sys/fs/cgroup (it is not in cgroup.controllers: `,
		`{"unified":{"memory.high":""}}`:                                           `config.json: linux.resources.unified.memory.high: "": must not be empty`,
		`{"rdma":{"mlx5_0":{"hcaHandles":3}}}`:                                     `linux.resources.rdma["mlx5_0"]: write "mlx5_0 hca_handle=3" to rdma.max: `,
		`{"cpu":{"quota":1}}`:                                                      `linux.resources.cpu.quota: write "1 100000" to cpu.max: invalid argument`,
		`{"cpu":{"quota":50000,"burst":900000}}`:                                   `config.json: linux.resources.cpu.burst: 900000: more than the quota 50000`,
		`{"cpu":{"cpus":"90000"}}`:                                                 `linux.resources.cpu.cpus: write "90000" to cpuset.cpus: numerical result out of range`,
		`{"cpu":{"realtimeRuntime":5}}`:                                            `linux.resources.cpu.realtimeRuntime: cgroup v2 has no such limit`,
		`{"memory":{"swappiness":5}}`:                                              `linux.resources.memory.swappiness: cgroup v2 has no such limit`,
		`{"memory":{"swap":5000000}}`:                                              `linux.resources.memory.swap: unable to set swap limit without memory limit`,
		`{"network":{"classID":5}}`:                                                `linux.resources.network.classID: cgroup v2 has no such limit`,
		`{"blockIO":{"leafWeight":50}}`:                                            `linux.resources.blockIO.leafWeight: cgroup v2 has no such limit`,
		`{"hugepageLimits":[{"pageSize":"7MB"}]}`:                                  `linux.resources.hugepageLimits[0]: write "0" to hugetlb.7MB.max: this kernel has no such file: no such file or directory`,
		`{"blockIO":{"throttleReadBpsDevice":[{"major":99,"minor":99,"rate":1}]}}`: `linux.resources.blockIO.throttleReadBpsDevice[0]: write "99:99 rbps=1" to io.max: no such device`,
	} {
		newBox(t, forever, resources(t, given)).refused(want)
	}
}

// TestPlaces: a cgroup that cannot have a controller, or nobody can live in,
// is refused with what to do, and stays as it is.
func TestPlaces(t *testing.T) {
	drive.MockersOwn(t, "runc makes a threaded subtree of the first one, and then fails")
	needV2(t, "cpu", "memory", "pids")
	limits := resources(t, `{"cpu":{"quota":50000},"pids":{"limit":77}}`)
	t.Run("processes in the parent", func(t *testing.T) {
		b := newBox(t, forever, limits)
		pid := b.inhabit(b.parent)
		b.refused(fmt.Sprintf("linux.resources.cpu: the cpu controller is not available in %s: %s cannot hand it on while processes live in it, such as %d: "+
			"move them into a cgroup below it, or choose another linux.cgroupsPath", b.dir, b.parent, pid))
		if kind := read(t, b.parent+"/cgroup.type"); kind != "domain" {
			t.Errorf("the parent has become %q", kind)
		}
		// Without limits that is a place like any other.
		b = newBox(t, "cat /proc/self/cgroup", resources(t, `{}`), noNamespace)
		b.inhabit(b.parent)
		if r := drive.Run(t, "run", "--bundle", b.bundle, b.id); r.Code != 0 || !strings.HasSuffix(r.Stdout, "/box\n") {
			t.Errorf("without limits: %v", r)
		}
	})
	t.Run("a threaded subtree", func(t *testing.T) {
		b := newBox(t, forever, limits)
		check(t, os.MkdirAll(b.parent+"/threads", 0o755))
		defer os.Remove(b.parent + "/threads")
		write(t, b.parent+"/threads/cgroup.type", "threaded")
		b.refused(fmt.Sprintf("linux.cgroupsPath: %s is of the type \"domain threaded\": the cgroup of a container cannot be in a threaded subtree: choose another path", b.parent))
	})
	t.Run("hands on controllers", func(t *testing.T) {
		b := newBox(t, forever, limits)
		check(t, os.MkdirAll(b.parent, 0o755))
		write(t, b.parent+"/cgroup.subtree_control", "+memory")
		drive.Edit(t, b.bundle, inCgroup("/"+b.id))
		r := drive.Run(t, "create", "--bundle", b.bundle, b.id)
		want := fmt.Sprintf("linux.cgroupsPath: %s hands on controllers (cgroup.subtree_control: memory), so that no process can live in it: choose another path, or one below it", b.parent)
		if r.Code != 1 || !strings.Contains(r.Stderr, want) || !exists(b.parent) {
			t.Errorf("%v\nwant %s", r, want)
		}
	})
}

// TestMemoryInUse: checkBeforeUpdate refuses a limit for which the kernel
// would have to kill.
func TestMemoryInUse(t *testing.T) {
	needV2(t, "memory")
	coverage.Shows(t, "linux.resources.memory.checkBeforeUpdate")
	b := newBox(t, "dd if=/dev/zero of=/dev/shm/file bs=1M count=20 2>/dev/null; echo filled; "+forever, resources(t, `{"memory":{"limit":67108864,"checkBeforeUpdate":true}}`)).run()
	drive.Eventually(t, "20 MB are in use", func() bool { return strings.Contains(b.started.Output(), "filled") })
	name := filepath.Join(t.TempDir(), "limits.json")
	check(t, os.WriteFile(name, []byte(`{"memory":{"limit":10485760,"checkBeforeUpdate":true}}`), 0o644))
	r := drive.Run(t, "update", "--resources", name, b.id)
	if r.Code != 1 || !drive.Others() && !strings.Contains(r.Stderr, "linux.resources.memory.limit: 10485760: not more than the ") {
		t.Error(r)
	}
	b.has(map[string]string{"memory.max": "67108864"})
}
