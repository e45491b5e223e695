package cgroups

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	oci "github.com/opencontainers/cgroups"
	"golang.org/x/sys/unix"
)

func TestFromPathsRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		paths map[string]string
		ok    bool
	}{
		"v1":            {map[string]string{"cpu": "/sys/fs/cgroup/cpu,cpuacct/mocker/a", "pids": "/sys/fs/cgroup/pids/a"}, true},
		"v2":            {map[string]string{"": "/sys/fs/cgroup/a"}, true},
		"none":          {map[string]string{}, true},
		"v1 root":       {map[string]string{"cpu": "/sys/fs/cgroup/cpu"}, false},
		"v2 root":       {map[string]string{"": "/sys/fs/cgroup"}, false},
		"hybrid root":   {map[string]string{"": "/sys/fs/cgroup/unified", "cpu": "/sys/fs/cgroup/cpu/a"}, false},
		"climbs":        {map[string]string{"cpu": "/sys/fs/cgroup/cpu/../../../a/b"}, false},
		"climbs inside": {map[string]string{"cpu": "/sys/fs/cgroup/cpu/a/.."}, false},
		"elsewhere":     {map[string]string{"cpu": "/home/cpu/a"}, false},
		"relative":      {map[string]string{"cpu": "cpu/a"}, false},
		"empty":         {map[string]string{"": ""}, false},
	} {
		if _, err := FromPaths(c.paths); (err == nil) != c.ok {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestHierarchies(t *testing.T) {
	const at = "/sys/fs/cgroup/"
	for name, c := range map[string]struct {
		paths map[string]string
		want  []Hierarchy
	}{
		"v2": {map[string]string{"": at + "mocker/a"}, []Hierarchy{{Dir: at + "mocker/a", V2: true}}},
		"hybrid": {map[string]string{
			"cpuacct": at + "cpu,cpuacct/x/y", "cpu": at + "cpu,cpuacct/x/y", "memory": at + "memory/x/y",
			"name=systemd": at + "systemd/x/y", "": at + "unified/x/y",
		}, []Hierarchy{
			{Name: "cpu,cpuacct", Dir: at + "cpu,cpuacct/x/y", Links: []string{"cpu", "cpuacct"}},
			{Name: "memory", Dir: at + "memory/x/y"},
			{Name: "systemd", Dir: at + "systemd/x/y"},
			{Name: "unified", Dir: at + "unified/x/y", V2: true},
		}},
	} {
		cg, err := FromPaths(c.paths)
		if err != nil {
			t.Fatal(err)
		}
		if got := cg.Hierarchies(); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}

// Every limit that the library knows must be in the table: one that is not
// would pass the check for its controller and fail later, or be left out.
func TestLimitsAreComplete(t *testing.T) {
	notLimits := map[string]bool{ // do not need a controller that is checked here
		"Devices": true, "Freezer": true, "SkipDevices": true, "SkipFreezeOnSet": true,
		"MemoryCheckBeforeUpdate": true, "Unified": true,
	}
	typ := reflect.TypeFor[oci.Resources]()
	for i := range typ.NumField() {
		if notLimits[typ.Field(i).Name] {
			continue
		}
		r := &oci.Resources{SkipDevices: true}
		f := reflect.ValueOf(r).Elem().Field(i)
		switch f.Kind() {
		case reflect.Pointer:
			f.Set(reflect.New(f.Type().Elem()))
		case reflect.Slice:
			f.Set(reflect.MakeSlice(f.Type(), 1, 1))
		case reflect.Map:
			f.Set(reflect.MakeMap(f.Type()))
			f.SetMapIndex(reflect.ValueOf("x"), reflect.Zero(f.Type().Elem()))
		case reflect.String:
			f.SetString("1")
		case reflect.Int64:
			f.SetInt(1)
		case reflect.Bool:
			f.SetBool(true)
		default:
			f.SetUint(1)
		}
		if wants, err := wanted(r, false); err != nil || len(wants) == 0 {
			t.Errorf("%s: needs no controller on v1: %v", typ.Field(i).Name, err)
		}
		// On v2 it needs one or is refused.
		if wants, err := wanted(r, true); err == nil && len(wants) == 0 {
			t.Errorf("%s: is left out on v2", typ.Field(i).Name)
		}
	}
}

func TestResolveRefuses(t *testing.T) {
	v1 := map[string]string{"memory": "/sys/fs/cgroup/memory/a", "devices": "/sys/fs/cgroup/devices/a"}
	v2 := map[string]string{"": "/sys/fs/cgroup/a"}
	one := uint64(1)
	for _, c := range []struct {
		res   oci.Resources
		paths map[string]string
		want  string
	}{
		{oci.Resources{Memory: 1}, v1, ""},
		{oci.Resources{Unified: map[string]string{}}, v1, ""},
		{oci.Resources{CpuQuota: 1}, v1, "linux.resources.cpu: the cpu controller is not available in /sys/fs/cgroup (no cgroup v1 hierarchy with it is mounted there)"},
		{oci.Resources{CpusetCpus: "0"}, v1, "linux.resources.cpu.cpus: the cpuset controller is not available"},
		{oci.Resources{}, map[string]string{"memory": "/x"}, "linux.resources.devices: the devices controller is not available"},
		{oci.Resources{SkipDevices: true}, map[string]string{"memory": "/x"}, ""},
		{oci.Resources{Unified: map[string]string{"memory.high": "1"}}, v1, "linux.resources.unified: this machine has cgroup v1"},
		{oci.Resources{MemorySwappiness: &one, Memory: 1}, v2, "linux.resources.memory.swappiness: cgroup v2 has no such limit"},
		{oci.Resources{OomKillDisable: true}, v2, "linux.resources.memory.disableOOMKiller: cgroup v2 has no such limit"},
		{oci.Resources{Unified: map[string]string{"memory": "1"}}, v2, `linux.resources.unified: "memory" is not of the form controller.parameter`},
		{oci.Resources{Unified: map[string]string{"memory./../x": "1"}}, v2, `linux.resources.unified: "memory./../x" is not of the form`},
	} {
		_, err := resolve(&c.res, c.paths)
		if (err == nil) != (c.want == "") || err != nil && !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %q", c.res, err, c.want)
		}
	}
}

func TestPlain(t *testing.T) {
	write := &os.PathError{Op: "write", Path: "/sys/fs/cgroup/x/cpu.max", Err: unix.EINVAL}
	for want, err := range map[string]error{
		`write "200000 100000" to cpu.max: invalid argument`: fmt.Errorf("failed to write %q: %w", "200000 100000", write),
		`write cpu.max: invalid argument`:                    write,
		`openat2 memory.swap.max: this kernel has no such file: no such file or directory`: &os.PathError{
			Op: "openat2", Path: "/sys/fs/cgroup/x/memory.swap.max", Err: unix.ENOENT,
		},
		`anything else`: errors.New("anything else"),
	} {
		got := plain(err)
		if got.Error() != want {
			t.Errorf("got %q, want %q", got, want)
		}
		var errno unix.Errno
		if errors.As(err, &errno) && !errors.Is(got, errno) {
			t.Errorf("%q: has lost its errno", got)
		}
	}
}
