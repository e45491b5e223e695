package cgroups

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// files are those that update may change.
func (b *box) files() map[string]string {
	b.Helper()
	all := map[string]string{}
	for _, name := range []string{
		"cpu.weight", "cpu.max", "cpu.max.burst", "cpu.idle", "cpuset.cpus", "cpuset.mems", "memory.max", "memory.swap.max", "memory.low",
		"memory.high", "memory.min", "memory.oom.group", "pids.max", "io.max", "io.weight", "io.bfq.weight", "hugetlb.2MB.max", "hugetlb.2MB.rsvd.max",
	} {
		if exists(filepath.Join(b.dir, name)) {
			all[name] = b.file(name)
		}
	}
	return all
}

func limited(t *testing.T) *box {
	t.Helper()
	needV2(t, "cpu", "cpuset", "io", "memory", "pids", "hugetlb")
	return newBox(t, forever, resources(t, `{"memory":{"limit":67108864},"cpu":{"shares":512,"quota":50000,"period":100000},"pids":{"limit":77}}`)).run()
}

// change updates a container by flags, or by the file that text is to be.
func (b *box) change(text string) drive.Result {
	b.Helper()
	flags := strings.Fields(text)
	if strings.HasPrefix(text, "{") {
		name := filepath.Join(b.bundle, "update.json")
		check(b, os.WriteFile(name, []byte(text), 0o644))
		flags = []string{"--resources", name}
	}
	return drive.Run(b, append(append([]string{"update"}, flags...), b.id)...)
}

// TestUpdate: each update changes what it names and nothing else, on top of
// what the ones before it have changed.
func TestUpdate(t *testing.T) {
	b := limited(t)
	disk := block(t)
	device := fmt.Sprintf(`"major":%s,"minor":%s`, disk[:strings.Index(disk, ":")], disk[strings.Index(disk, ":")+1:])
	want := b.files()
	type files = map[string]string
	for _, step := range []struct {
		change  string
		changed files
		own     string // why runc is not asked, if it is not
	}{
		{"--memory 32m", files{"memory.max": "33554432"}, ""},
		{"--memory 128m --memory-swap 256m", files{"memory.max": "134217728", "memory.swap.max": "134217728"}, ""},
		{"--memory 64m", files{"memory.max": "67108864", "memory.swap.max": "201326592"}, "it forgets the limit of swap"},
		{"--memory-swap 64m", files{"memory.swap.max": "0"}, "it cannot without memory"},
		{"--memory-swap -1", files{"memory.swap.max": "max"}, ""},
		{"--memory-reservation 16m", files{"memory.low": "16777216"}, ""},
		{"--memory -1", files{"memory.max": "max", "memory.swap.max": "max"}, ""},
		{"--cpu-quota 20000", files{"cpu.max": "20000 100000"}, ""},
		{"--cpu-period 50000", files{"cpu.max": "20000 50000"}, ""},
		{"--cpu-burst 10000", files{"cpu.max.burst": "10000"}, "Debian's does not know the flag"},
		{"--cpu-quota 5000 --cpu-burst 1000", files{"cpu.max": "5000 50000", "cpu.max.burst": "1000"}, "Debian's does not know the flag"},
		{"--cpu-quota 30000 --cpu-burst 25000", files{"cpu.max": "30000 50000", "cpu.max.burst": "25000"}, "Debian's does not know the flag"},
		{"--cpu-quota -1 --cpu-burst 0", files{"cpu.max": "max 50000", "cpu.max.burst": "0"}, "Debian's does not know the flag"},
		{"--cpu-share 2 --cpuset-cpus 0 --cpuset-mems 0", files{"cpu.weight": "1", "cpuset.cpus": "0", "cpuset.mems": "0"}, ""},
		{"--cpuset-cpus 0-1", files{"cpuset.cpus": "0-1"}, ""},
		{"--pids-limit 9", files{"pids.max": "9"}, ""},
		{"--pids-limit 0", files{"pids.max": "1"}, "Debian's takes it for no limit"},
		{"--pids-limit -1", files{"pids.max": "max"}, ""},
		{"--cpu-share 1024", files{"cpu.weight": "100"}, "Debian's converts in another way"},
		{"--cpu-idle 1", files{"cpu.idle": "1", "cpu.weight": idleWeight(t)}, "Debian's does not know the flag"},
		{"--pids-limit 10", files{"pids.max": "10"}, "it writes the weight again, which an idle cgroup does not take"},
		{"--cpu-idle 0", files{"cpu.idle": "0", "cpu.weight": "100"}, "Debian's does not know the flag"},
		{`{"hugepageLimits":[{"pageSize":"2MB","limit":4194304}]}`, files{"hugetlb.2MB.max": "4194304", "hugetlb.2MB.rsvd.max": "4194304"}, ""},
		{`{"unified":{"memory.high":"50331648","memory.min":"1048576","memory.oom.group":"1"}}`, files{"memory.high": "50331648", "memory.min": "1048576", "memory.oom.group": "1"}, ""},
		{`{"blockIO":{"throttleReadBpsDevice":[{` + device + `,"rate":1048576}]}}`, files{"io.max": disk + " rbps=1048576 wbps=max riops=max wiops=max"}, ""},
		{`{"blockIO":{"throttleWriteIOPSDevice":[{` + device + `,"rate":100}]}}`, files{"io.max": disk + " rbps=1048576 wbps=max riops=max wiops=100"}, ""},
		{`{"blockIO":{"throttleReadBpsDevice":[{` + device + `,"rate":0}],"throttleWriteIOPSDevice":[{` + device + `,"rate":0}]}}`, files{"io.max": ""}, "it writes a 0, which the kernel refuses"},
		{"", files{}, ""},
	} {
		if step.own != "" && drive.Others() {
			continue
		}
		r := b.change(step.change)
		for file, value := range step.changed {
			want[file] = value
		}
		got := b.files()
		if r.Code != 0 || r.Stdout+r.Stderr != "" || !maps.Equal(got, want) {
			t.Errorf("update %s: %v\ngot  %v\nwant %v", step.change, r, got, want)
			want = got
		}
	}
}

// idleWeight is what cpu.weight of an idle cgroup shows: the kernel's own
// weight, 3 of 1024, which older ones round down.
func idleWeight(t testing.TB) string {
	t.Helper()
	dir := fmt.Sprintf("%s/cgroups-test-idle-%d", root, os.Getpid())
	check(t, os.Mkdir(dir, 0o755))
	defer os.Remove(dir)
	write(t, dir+"/cpu.idle", "1")
	return read(t, dir+"/cpu.weight")
}

// TestUpdateRefused: what cannot be set changes nothing, what came before it
// included, and the next update knows nothing of it.
func TestUpdateRefused(t *testing.T) {
	drive.MockersOwn(t, "runc leaves the first half of an update that fails")
	b := limited(t)
	disk := block(t)
	done := func(r drive.Result) {
		t.Helper()
		if r.Code != 0 {
			t.Fatal(r)
		}
	}
	done(b.change(`{"cpu":{"cpus":"0"},"hugepageLimits":[{"pageSize":"2MB","limit":4194304}]}`))
	if r := b.change(`{"unified":{"io.max":"` + disk + ` wbps=5000000","pids.max":"many"}}`); r.Code != 1 || b.file("io.max") != "" {
		t.Errorf("a limit of a disk that had none: %v: %s", r, b.file("io.max"))
	}
	done(b.change(`{"unified":{"io.max":"` + disk + ` wbps=5000000"}}`))
	before := b.files()
	for change, want := range map[string]string{
		"--memory 32m --memory-swap 48m --cpu-share 300 --cpu-quota 1": `linux.resources.cpu.quota: write "1 100000" to cpu.max: invalid argument`,
		"--memory-swap 32m --pids-limit 7":                             "memory limit 67108864: more than the limit of memory and swap together, 33554432, which has to change as well",
		"--pids-limit 5 --memory 32m --cpuset-cpus 90000":              `linux.resources.cpu.cpus: write "90000" to cpuset.cpus: numerical result out of range`,
		"--pids-limit 5 --cpu-idle 2":                                  "--cpu-idle 2: neither 0 nor 1",
		"--cpu-rt-runtime 5 --pids-limit 5":                            "linux.resources.cpu.realtimeRuntime: cgroup v2 has no such limit",
		`{"cpu":{"idle":1},"unified":{"memory.nope":"1"}}`:             `linux.resources.unified["memory.nope"]: write "1" to memory.nope: this kernel has no such file`,
		`{"unified":{"cpuset.cpus":"0-1","io.max":"` + disk + ` rbps=7777777","memory.high":"50331648","zzz.max":"1"}}`:     `linux.resources.unified["zzz.max"]: the zzz controller is not available in /sys/fs/cgroup (`,
		`{"unified":{"cpuset.cpus":"0-1","io.max":"` + disk + ` rbps=7777777","memory.high":"50331648","pids.max":"many"}}`: `linux.resources.unified["pids.max"]: write "many" to pids.max: invalid argument`,
		`{"hugepageLimits":[{"pageSize":"2MB","limit":2097152}],"rdma":{"none0":{"hcaObjects":5}}}`:                         `linux.resources.rdma["none0"]: write "none0 hca_object=5" to rdma.max: `,
	} {
		r := b.change(change)
		if r.Code != 1 || !strings.Contains(r.Stderr, want) || strings.Contains(r.Stderr, "and when") {
			t.Errorf("update %s: %v\nwant %s", change, r, want)
		}
		if got := b.files(); !maps.Equal(got, before) {
			t.Fatalf("update %s:\ngot  %v\nwant %v", change, got, before)
		}
	}
	done(b.change("--memory-reservation 8m"))
	before["memory.low"] = "8388608"
	if got := b.files(); !maps.Equal(got, before) {
		t.Errorf("afterwards:\ngot  %v\nwant %v", got, before)
	}
}

// TestUpdateLate: a controller that nobody needed at create, and that the way
// to the container lost since, is enabled by the first update that needs it,
// or the error says why not.
func TestUpdateLate(t *testing.T) {
	drive.MockersOwn(t, "runc does not enable controllers later")
	needV2(t, "memory")
	b := newBox(t, forever).run()
	write(t, b.parent+"/cgroup.subtree_control", "-memory")
	if exists(b.dir + "/memory.max") {
		t.Fatal("the controller is still there")
	}
	if r := b.change("--memory 64m"); r.Code != 0 {
		t.Error(r)
	}
	b.has(map[string]string{"memory.max": "67108864"})
}

// TestPressure: the statistics have what stalled, in the shape of runc's.
func TestPressure(t *testing.T) {
	needV2(t, "memory", "io", "cpu", "hugetlb")
	if !exists(root + "/cpu.pressure") {
		t.Skip("needs PSI: this kernel has none, or the command line turns it off")
	}
	drive.MockersOwn(t, "Debian's has no pressure")
	b := newBox(t, forever, resources(t, `{"memory":{"limit":67108864,"swap":134217728},"pids":{"limit":77}}`)).run()
	type pressure struct{ Some, Full map[string]float64 }
	var e struct {
		Data struct {
			CPU    struct{ PSI *pressure }
			Memory struct {
				PSI         *pressure
				Usage, Swap struct{ Limit, Usage uint64 }
				Raw         map[string]uint64
			}
			Blkio   struct{ PSI *pressure }
			Pids    struct{ Current, Limit uint64 }
			Hugetlb map[string]any
		}
	}
	check(t, json.Unmarshal([]byte(drive.OK(t, "events", "--stats", b.id)), &e))
	// Those of memory and disks are left out while nothing has ever stalled.
	if e.Data.Memory.PSI == nil || e.Data.Blkio.PSI == nil || len(e.Data.CPU.PSI.Some) != 4 || e.Data.CPU.PSI.Some["total"] == 0 {
		t.Errorf("pressure: %+v", e.Data)
	}
	m := e.Data.Memory
	if m.Usage.Limit != 64<<20 || m.Swap.Limit != 128<<20 || m.Usage.Usage == 0 || m.Raw["anon"] == 0 || e.Data.Pids.Limit != 77 || e.Data.Pids.Current == 0 || e.Data.Hugetlb["2MB"] == nil {
		t.Errorf("%+v", e)
	}
}
