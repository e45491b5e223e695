package lifecycle

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/coverage"
	"github.com/mocker-runtime/mocker/tests/drive"
)

const noLimit = "9223372036854771712" // what v1's memory files show for none

// limits are the files of a cgroup that update may change, as v1 calls them.
type limits map[string]string

// limitsOf reads them.
func limitsOf(t *testing.T, path string) limits {
	t.Helper()
	l := limits{}
	for _, name := range []string{
		"memory/memory.limit_in_bytes", "memory/memory.memsw.limit_in_bytes", "memory/memory.soft_limit_in_bytes",
		"cpu/cpu.shares", "cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us", "cpu/cpu.cfs_burst_us", "cpu/cpu.idle",
		"cpu/cpu.rt_runtime_us", "cpu/cpu.rt_period_us",
		"cpuset/cpuset.cpus", "cpuset/cpuset.mems", "pids/pids.max", "blkio/blkio.bfq.weight",
	} {
		controller, file, _ := strings.Cut(name, "/")
		if data, err := os.ReadFile(filepath.Join("/sys/fs/cgroup", controller, path, file)); err == nil {
			l[file] = strings.TrimSpace(string(data))
		}
	}
	return l
}

// limited makes a running container with limits in a cgroup of its own name.
func limited(t *testing.T) (b *box, path string) {
	t.Helper()
	if unified() {
		t.Skip("needs cgroup v1 controllers: this machine has v2 alone")
	}
	b = newBox(t, forever, func(s *specs.Spec) {
		s.Linux.Resources.Memory = &specs.LinuxMemory{Limit: pointer[int64](64 << 20)}
		s.Linux.Resources.CPU = &specs.LinuxCPU{Shares: pointer[uint64](512), Quota: pointer[int64](50000), Period: pointer[uint64](100000)}
		s.Linux.Resources.Pids = &specs.LinuxPids{Limit: pointer[int64](77)}
	})
	path = "/" + b.id
	drive.Edit(t, b.bundle, func(s *specs.Spec) { s.Linux.CgroupsPath = path })
	return b.create().start(), path
}

// TestUpdate: each update changes what it names and nothing else, on top of
// what the ones before it have changed.
func TestUpdate(t *testing.T) {
	b, path := limited(t)
	want := limitsOf(t, path)
	for file, property := range map[string]string{
		"cpu.cfs_burst_us": "cpu.burst", "cpu.idle": "cpu.idle", "cpuset.cpus": "cpu.cpus", "cpuset.mems": "cpu.mems",
		"cpu.rt_period_us": "cpu.realtimePeriod", "blkio.bfq.weight": "blockIO.weight", "memory.memsw.limit_in_bytes": "memory.swap",
	} {
		if _, ok := want[file]; ok { // this kernel has it
			coverage.Shows(t, "linux.resources."+property)
		}
	}
	for _, step := range []struct {
		flags   string
		changed limits
		own     string // why runc is not asked, if it is not
	}{
		{"--memory 32m", limits{"memory.limit_in_bytes": "33554432"}, ""},
		{"--memory 0.125g --memory-swap 256MiB", limits{"memory.limit_in_bytes": "134217728", "memory.memsw.limit_in_bytes": "268435456"}, ""},
		{"--memory 64m --memory-swap 64m", limits{"memory.limit_in_bytes": "67108864", "memory.memsw.limit_in_bytes": "67108864"}, ""},
		{"--memory-swap 128m", limits{"memory.memsw.limit_in_bytes": "134217728"}, ""},
		{"--memory-swap -1", limits{"memory.memsw.limit_in_bytes": noLimit}, ""},
		{"--memory-reservation 16777216", limits{"memory.soft_limit_in_bytes": "16777216"}, ""},
		{"--memory 100m --memory-swap 200m", limits{"memory.limit_in_bytes": "104857600", "memory.memsw.limit_in_bytes": "209715200"}, ""},
		{"--memory -1", limits{"memory.limit_in_bytes": noLimit, "memory.memsw.limit_in_bytes": noLimit}, ""},
		{"--cpu-quota 20000", limits{"cpu.cfs_quota_us": "20000"}, ""},
		{"--cpu-period 50000", limits{"cpu.cfs_period_us": "50000"}, ""},
		{"--cpu-period 200000 --cpu-quota 40000", limits{"cpu.cfs_period_us": "200000", "cpu.cfs_quota_us": "40000"}, ""},
		{"--cpu-burst 1000", limits{"cpu.cfs_burst_us": "1000"}, "Debian's does not know the flag"},
		{"--cpu-burst 0", limits{"cpu.cfs_burst_us": "0"}, "Debian's does not know the flag"},
		{"--cpu-period 0", limits{"cpu.cfs_period_us": "100000"}, "it does nothing for 0, whatever its help says"},
		{"--cpu-quota -1", limits{"cpu.cfs_quota_us": "-1"}, ""},
		{"--cpu-share 300 --cpuset-cpus 0 --cpuset-mems 0", limits{"cpu.shares": "300", "cpuset.cpus": "0", "cpuset.mems": "0"}, ""},
		{"--cpu-rt-period 500000", limits{"cpu.rt_period_us": "500000"}, ""},
		{"--pids-limit 9", limits{"pids.max": "9"}, ""},
		{"--pids-limit -1", limits{"pids.max": "max"}, ""},
		{"--blkio-weight 500", limits{"blkio.bfq.weight": "500"}, ""},
		{"--cpu-idle 1", limits{"cpu.idle": "1", "cpu.shares": "3"}, "Debian's does not know the flag"},
		{"--pids-limit 10", limits{"pids.max": "10"}, "it writes the weight again, which an idle cgroup does not take"},
		{"--cpu-idle 0", limits{"cpu.idle": "0", "cpu.shares": "300"}, "Debian's does not know the flag"},
		{"", limits{}, ""},
	} {
		if step.own != "" && drive.Others() {
			continue
		}
		r := drive.Run(t, append(append([]string{"update"}, strings.Fields(step.flags)...), b.id)...)
		for file, value := range step.changed {
			if _, ok := want[file]; ok { // this kernel has it
				want[file] = value
			}
		}
		if got := limitsOf(t, path); r.Code != 0 || r.Stdout+r.Stderr != "" || !maps.Equal(got, want) {
			t.Fatalf("update %s: %v\ngot  %v\nwant %v", step.flags, r, got, want)
		}
	}
}

// TestUpdateFromFile: what engines do, from a file and from standard input.
func TestUpdateFromFile(t *testing.T) {
	b, path := limited(t)
	want := limitsOf(t, path)
	name := temp(t, "limits.json")
	for i, how := range []string{"--resources=" + name, "-r " + name, "--resources -"} {
		text := fmt.Sprintf(`{"memory":{"limit":%d,"checkBeforeUpdate":true},"cpu":{"quota":%d,"cpus":"0"},"devices":[{"allow":false,"access":"rwm"}],"unknown":1}`,
			(40+i)<<20, 30000+i)
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		script := `"$0" update ` + how + " " + b.id + " <" + name
		if r := drive.Exec(t, "sh", "-c", script, drive.Runtime(t)); r.Code != 0 || r.Stdout+r.Stderr != "" {
			t.Fatalf("%s: %v", how, r)
		}
		want["memory.limit_in_bytes"], want["cpu.cfs_quota_us"], want["cpuset.cpus"] = fmt.Sprint((40+i)<<20), fmt.Sprint(30000+i), "0"
		if got := limitsOf(t, path); !maps.Equal(got, want) {
			t.Fatalf("%s:\ngot  %v\nwant %v", how, got, want)
		}
	}
	devices := file(t, filepath.Join("/sys/fs/cgroup/devices", path, "devices.list"))
	if strings.HasPrefix(devices, "a ") {
		t.Errorf("device rules have changed: %s", devices)
	}
}

// TestUpdateRefused: what cannot be set changes nothing, what came before it
// included, and the next update knows nothing of it.
func TestUpdateRefused(t *testing.T) {
	drive.MockersOwn(t, "runc leaves the first half of an update that fails")
	b, path := limited(t)
	before := limitsOf(t, path)
	for flags, want := range map[string]string{
		"--memory 32m --memory-swap 48m --cpu-share 300 --cpu-quota 1": `linux.resources.cpu.quota: write "1" to cpu.cfs_quota_us: invalid argument`,
		"--cpuset-cpus 0 --memory 4k":                                  "linux.resources.memory.limit: unable to set memory limit to 4096 (current usage:",
		"--memory-swap 32m":                                            "memory limit 67108864: more than the limit of memory and swap together, 33554432, which has to change as well",
		"--cpu-share 1 --pids-limit 3":                                 "linux.resources.cpu.shares: the minimum allowed cpu-shares is 2",
		"--pids-limit 5 --cpuset-cpus 900":                             `linux.resources.cpu.cpus: write "900" to cpuset.cpus: numerical result out of range`,
		"--pids-limit 5 --cpu-idle 2":                                  "--cpu-idle 2: neither 0 nor 1",
	} {
		refused(t, "mocker: "+want, append(append([]string{"update"}, strings.Fields(flags)...), b.id)...)
		if got := limitsOf(t, path); !maps.Equal(got, before) {
			t.Fatalf("update %s:\ngot  %v\nwant %v", flags, got, before)
		}
	}
	drive.OK(t, "update", "--memory-reservation", "8m", b.id)
	before["memory.soft_limit_in_bytes"] = "8388608"
	if got := limitsOf(t, path); !maps.Equal(got, before) {
		t.Errorf("afterwards:\ngot  %v\nwant %v", got, before)
	}
}

// TestUpdateAnyTime: created and paused containers have limits to change,
// stopped ones have not.
func TestUpdateAnyTime(t *testing.T) {
	drive.NeedLimits(t, "pids")
	b := newBox(t, forever).create()
	update := func() { t.Helper(); drive.OK(t, "update", "--pids-limit", "50", b.id) }
	update()
	b.start()
	drive.OK(t, "pause", b.id)
	update()
	drive.OK(t, "kill", b.id, "KILL")
	b.stops()
	refused(t, "container not running", "update", "--pids-limit", "50", b.id)
}

// TestUpdatePureView: on cgroup v2, with the one controller that the tree
// beside this machine's hierarchies has.
func TestUpdatePureView(t *testing.T) {
	drive.MockersOwn(t, "runc finds no devices controller below the v2 tree of a hybrid machine")
	const tree = "/sys/fs/cgroup/unified"
	controllers, err := os.ReadFile(tree + "/cgroup.controllers")
	if err != nil || !strings.Contains(string(controllers), "hugetlb") {
		t.Skip("needs a hybrid machine whose v2 tree has hugetlb")
	}
	b := newBox(t, forever)
	drive.Edit(t, b.bundle, func(s *specs.Spec) {
		s.Linux.CgroupsPath = "/" + b.id
		s.Linux.Resources.HugepageLimits = []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 8 << 20}}
	})
	defer inPureView(t, "delete", "--force", b.id)
	for _, args := range [][]string{{"create", "--bundle", b.bundle, b.id}, {"start", b.id}} {
		if r := inPureView(t, args...); r.Code != 0 {
			t.Fatal(r)
		}
	}
	name := temp(t, "limits.json")
	for _, step := range []struct{ text, stderr, limit string }{
		{`{"hugepageLimits":[{"pageSize":"2MB","limit":4194304}]}`, "", "4194304"},
		{`{"hugepageLimits":[{"pageSize":"2MB","limit":6291456}],"memory":{"limit":1000000}}`, "linux.resources.memory: the memory controller is not available", "4194304"},
		{`{"hugepageLimits":[{"pageSize":"2MB","limit":6291456}],"unified":{"cgroup.max.depth":"-1"}}`, `write "-1" to cgroup.max.depth: numerical result out of range`, "4194304"},
		{`{"unified":{"hugetlb.2MB.max":"2097152"}}`, "", "2097152"},
		{`{"pids":{"limit":5}}`, "linux.resources.pids: the pids controller is not available", "2097152"},
	} {
		if err := os.WriteFile(name, []byte(step.text), 0o644); err != nil {
			t.Fatal(err)
		}
		r := inPureView(t, "update", "--resources", name, b.id)
		if (r.Code == 0) != (step.stderr == "") || !strings.Contains(r.Stderr, step.stderr) {
			t.Errorf("%s: %v", step.text, r)
		}
		if got := file(t, filepath.Join(tree, b.id, "hugetlb.2MB.max")); got != step.limit {
			t.Errorf("%s: limit %s, want %s", step.text, got, step.limit)
		}
	}
}
