package specconv

import (
	"reflect"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

// TestProperties: what becomes of the properties that the kernel takes as
// numbers.
func TestProperties(t *testing.T) {
	for _, row := range []struct {
		path, json string
		get        func(*config.Config) any
		want       any
	}{
		{"process.scheduler", `{"policy":"SCHED_OTHER","nice":-20}`, scheduler, &config.Scheduler{Name: "SCHED_OTHER", Nice: -20}},
		{"process.scheduler", `{"policy":"SCHED_FIFO","priority":99,"flags":["SCHED_FLAG_RESET_ON_FORK","SCHED_FLAG_UTIL_CLAMP_MAX"]}`, scheduler,
			&config.Scheduler{Name: "SCHED_FIFO", Policy: unix.SCHED_FIFO, Priority: 99, Flags: 0x41}},
		{"process.scheduler", `{"policy":"SCHED_DEADLINE","runtime":1024,"deadline":1024}`, scheduler,
			&config.Scheduler{Name: "SCHED_DEADLINE", Policy: unix.SCHED_DEADLINE, Runtime: 1024, Deadline: 1024}},
		{"process.scheduler", `{"policy":"SCHED_DEADLINE","runtime":10000,"deadline":20000,"period":30000}`, scheduler,
			&config.Scheduler{Name: "SCHED_DEADLINE", Policy: unix.SCHED_DEADLINE, Runtime: 10000, Deadline: 20000, Period: 30000}},
		{"process.ioPriority", `{"class":"IOPRIO_CLASS_IDLE","priority":4}`,
			func(c *config.Config) any { return c.Process.IOPriority }, &config.IOPriority{Name: "IOPRIO_CLASS_IDLE", Class: 3, Level: 4}},
		{"process.execCPUAffinity", `{"initial":"0-3, 7,","final":"64,127"}`,
			func(c *config.Config) any { return c.Process.Affinity }, config.Affinity{Initial: config.Bits{0x8f}, Final: config.Bits{0, 1 | 1<<63}}},
		{"process.execCPUAffinity", `{}`, func(c *config.Config) any { return c.Process.Affinity }, config.Affinity{}},
		{"linux.personality", `{"domain":"LINUX32"}`, traits, config.Traits{Personality: &config.Personality{Name: "LINUX32", Domain: 8}}},
		{"linux.personality", `{"domain":"LINUX"}`, traits, config.Traits{Personality: &config.Personality{Name: "LINUX"}}},
		{"linux.memoryPolicy", `{"mode":"MPOL_INTERLEAVE","nodes":"2-3","flags":["MPOL_F_STATIC_NODES"]}`, traits,
			config.Traits{MemoryPolicy: &config.MemoryPolicy{Name: "MPOL_INTERLEAVE", Mode: 0x8003, Nodes: config.Bits{0xc}}}},
		{"linux.memoryPolicy", `{"mode":"MPOL_PREFERRED","nodes":""}`, traits,
			config.Traits{MemoryPolicy: &config.MemoryPolicy{Name: "MPOL_PREFERRED", Mode: 1}}},
		{"linux.netDevices", `{"eth1":{},"eth0":{"name":"in%d"},"eth2":{"name":"in%d"}}`,
			func(c *config.Config) any { return c.NetDevices },
			[]config.NetDevice{{Name: "eth0", Inner: "in%d"}, {Name: "eth1", Inner: "eth1"}, {Name: "eth2", Inner: "in%d"}}},
		{"linux.intelRdt", `{}`, rdt, &config.RDT{}},
		{"linux.intelRdt", `{"closID":"/","enableMonitoring":true}`, rdt, &config.RDT{Class: "/", Monitor: true}},
		{"linux.intelRdt", `{"closID":"a","schemata":["L2:0=f","MB:0=1"],"memBwSchema":"MB:0=20","l3CacheSchema":"L3CODE:0=7\nL3DATA:0=f"}`, rdt,
			&config.RDT{Class: "a", Schemata: []string{"L3CODE:0=7", "L3DATA:0=f", "MB:0=20", "L2:0=f", "MB:0=1"}}},
	} {
		if got := row.get(convertWith(t, row.path, row.json)); !reflect.DeepEqual(got, row.want) {
			t.Errorf("%s %s:\n got %+v\nwant %+v", row.path, row.json, got, row.want)
		}
	}
}

func scheduler(c *config.Config) any { return c.Process.Scheduler }
func traits(c *config.Config) any    { return c.Traits }
func rdt(c *config.Config) any       { return c.RDT }

// TestNetDevicesOfTheHost: without a network namespace there is nowhere to
// move one to.
func TestNetDevicesOfTheHost(t *testing.T) {
	doc := exampleDocument(t)
	doc.set(t, "linux.netDevices", `{"eth0":{}}`)
	doc.set(t, "linux.namespaces", `[{"type":"mount"},{"type":"uts"}]`)
	const want = `config.json: linux.netDevices: needs a network namespace other than the host's in linux.namespaces`
	if _, err := Convert(doc.spec(t), bundle(t)); err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}
