package specconv

import (
	"slices"
	"strings"
	"testing"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

const inUser = `[{"type":"mount"},{"type":"uts"},{"type":"user"}]`

func TestConvertIDMaps(t *testing.T) {
	full := `[{"containerID":0,"hostID":1000,"size":1},{"containerID":1,"hostID":100000,"size":65535}]`
	for _, row := range []struct {
		name, uids, gids string
		set              [2]string // another path and its value
		want             string    // "": accepted
	}{
		{"both", full, full, [2]string{}, ""},
		{"no groups", full, "", [2]string{}, "linux.gidMappings: missing, and linux.namespaces has a new user namespace"},
		{"no ids", `[{"containerID":0,"hostID":1000,"size":0}]`, full, [2]string{}, "linux.uidMappings[0].size: 0: no ids"},
		{"inside twice", `[{"containerID":0,"hostID":0,"size":10},{"containerID":9,"hostID":50,"size":1}]`, full, [2]string{},
			`linux.uidMappings[1]: "9 50 1": overlaps linux.uidMappings[0]`},
		{"outside twice", full, `[{"containerID":0,"hostID":5,"size":10},{"containerID":10,"hostID":0,"size":6}]`, [2]string{},
			`linux.gidMappings[1]: "10 0 6": overlaps linux.gidMappings[0]`},
		{"beyond the end", `[{"containerID":0,"hostID":4294967295,"size":1}]`, full, [2]string{},
			"linux.uidMappings[0].hostID: 4294967295: a range of 1 from there ends beyond the last id"},
		{"too many", "[" + strings.Repeat(`{"containerID":0,"hostID":0,"size":1},`, 340) + `{"containerID":0,"hostID":0,"size":1}]`, full, [2]string{},
			"linux.uidMappings: 341: more than 340 ranges"},
		{"the process's user", full, full, [2]string{"process.user.uid", "65536"}, "process.user.uid: 65536: not mapped by linux.uidMappings"},
		{"its group", full, full, [2]string{"process.user.gid", "70000"}, "process.user.gid: 70000: not mapped by linux.gidMappings"},
		{"its groups", full, full, [2]string{"process.user.additionalGids", "[1,70000]"}, "process.user.additionalGids[1]: 70000: not mapped by linux.gidMappings"},
		{"devpts", full, `[{"containerID":0,"hostID":1000,"size":1}]`, [2]string{}, `mounts[2].options[5]: "gid=5": not mapped by linux.gidMappings`},
		{"a device", full, full, [2]string{"linux.devices", `[{"path":"/dev/fuse","type":"c","major":10,"minor":229,"uid":70000}]`}, ""},
		{"a FIFO", full, full, [2]string{"linux.devices", `[{"path":"/dev/fifo","type":"p","uid":70000}]`},
			"linux.devices[0].uid: 70000: not mapped by linux.uidMappings"},
	} {
		doc := exampleDocument(t)
		doc.set(t, "linux.namespaces", inUser)
		doc.set(t, "linux.uidMappings", row.uids)
		doc.set(t, "linux.gidMappings", row.gids)
		if row.set[0] != "" {
			doc.set(t, row.set[0], row.set[1])
		}
		cfg, err := Convert(doc.spec(t), bundle(t))
		if row.want == "" {
			want := config.IDMap{{ContainerID: 0, HostID: 1000, Size: 1}, {ContainerID: 1, HostID: 100000, Size: 65535}}
			if err != nil || !slices.Equal(cfg.UIDMap, want) || !slices.Equal(cfg.GIDMap, want) {
				t.Errorf("%s: %v", row.name, err)
			}
			continue
		}
		if err == nil || err.Error() != "config.json: "+row.want {
			t.Errorf("%s:\n got %v\nwant config.json: %s", row.name, err, row.want)
		}
	}
}

func TestConvertTimeOffsets(t *testing.T) {
	for _, row := range []struct{ namespaces, offsets, want string }{
		{`{"type":"time"}`, `{"boottime":{"secs":-7},"monotonic":{"secs":5,"nanosecs":6}}`, ""},
		{`{"type":"time"}`, `{"monotonic":{"nanosecs":1000000000}}`, "linux.timeOffsets.monotonic.nanosecs: 1000000000: not below a second"},
		{`{"type":"time"}`, `{"realtime":{"secs":1}}`, `linux.timeOffsets: "realtime": not one of monotonic, boottime`},
		{`{"type":"time","path":"/proc/self/ns/time"}`, `{"monotonic":{"secs":1}}`, "linux.timeOffsets: the time namespace /proc/self/ns/time is joined and has its own"},
	} {
		doc := exampleDocument(t)
		doc.set(t, "linux.namespaces", `[{"type":"mount"},{"type":"uts"},`+row.namespaces+`]`)
		doc.set(t, "linux.timeOffsets", row.offsets)
		cfg, err := Convert(doc.spec(t), bundle(t))
		if row.want == "" {
			want := []config.TimeOffset{{Clock: "monotonic", Secs: 5, Nanosec: 6}, {Clock: "boottime", Secs: -7}}
			if err != nil || !slices.Equal(cfg.TimeOffsets, want) {
				t.Errorf("%s: %v, %v", row.offsets, cfg, err)
			}
			continue
		}
		if err == nil || err.Error() != "config.json: "+row.want {
			t.Errorf("%s:\n got %v\nwant config.json: %s", row.offsets, err, row.want)
		}
	}
}
