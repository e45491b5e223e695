package specconv

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	devices "github.com/opencontainers/cgroups/devices/config"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
	"github.com/mocker-runtime/mocker/tests/coverage"
)

// convertWith converts the example with one change.
func convertWith(t *testing.T, path, text string) *config.Config {
	t.Helper()
	doc := exampleDocument(t)
	doc.set(t, path, text)
	cfg, err := Convert(doc.spec(t), bundle(t))
	if err != nil {
		t.Fatalf("%s %s: %v", path, text, err)
	}
	return cfg
}

func TestVersionAccepts(t *testing.T) {
	coverage.Shows(t, "ociVersion", "config: ociVersion is handled by semver")
	for _, v := range []string{"1.0.0", "1.0.0-rc5", "1.0.2-dev", "1.1.0+dev", "1.2.1+dev", "1.3.0", "1.3.99", "1.0.0-a.b-c+d.1"} {
		if cfg := convertWith(t, "ociVersion", `"`+v+`"`); cfg.Version != v {
			t.Errorf("%s became %s", v, cfg.Version)
		}
	}
}

func TestMountOptions(t *testing.T) {
	const (
		ro, nosuid, nodev, noexec = unix.MOUNT_ATTR_RDONLY, unix.MOUNT_ATTR_NOSUID, unix.MOUNT_ATTR_NODEV, unix.MOUNT_ATTR_NOEXEC
		nodir, nosym              = unix.MOUNT_ATTR_NODIRATIME, unix.MOUNT_ATTR_NOSYMFOLLOW
		atime, noatime, strict    = unix.MOUNT_ATTR__ATIME, unix.MOUNT_ATTR_NOATIME, unix.MOUNT_ATTR_STRICTATIME
	)
	tmpfs := func(m config.Mount) config.Mount { m.Type = "tmpfs"; return m }
	bind := func(m config.Mount) config.Mount { m.Type = "bind"; return m }
	for _, row := range []struct {
		options string // JSON
		want    config.Mount
	}{
		{`[]`, tmpfs(config.Mount{})},
		{`["defaults","silent","loud","norelatime","rnorelatime",""]`, tmpfs(config.Mount{})},
		{`["ro"]`, tmpfs(config.Mount{Set: ro, Data: []string{"ro"}})},
		{`["ro","rw"]`, tmpfs(config.Mount{Clear: ro})},
		{`["rw","ro"]`, tmpfs(config.Mount{Set: ro, Data: []string{"ro"}})},
		{`["nosuid","nodev","noexec","nodiratime","nosymfollow"]`, tmpfs(config.Mount{Set: nosuid | nodev | noexec | nodir | nosym})},
		{`["suid","dev","exec","diratime","symfollow"]`, tmpfs(config.Mount{Clear: nosuid | nodev | noexec | nodir | nosym})},
		{`["relatime"]`, tmpfs(config.Mount{Clear: atime})},
		{`["noatime"]`, tmpfs(config.Mount{Set: noatime, Clear: atime})},
		{`["strictatime"]`, tmpfs(config.Mount{Set: strict, Clear: atime})},
		{`["noatime","strictatime"]`, tmpfs(config.Mount{Set: strict, Clear: atime})},
		{`["noatime","relatime"]`, tmpfs(config.Mount{Clear: atime})},
		{`["noatime","atime"]`, tmpfs(config.Mount{Clear: atime})},
		{`["strictatime","atime"]`, tmpfs(config.Mount{Set: strict, Clear: atime})},
		{`["strictatime","nostrictatime"]`, tmpfs(config.Mount{Clear: atime})},
		{`["rro"]`, tmpfs(config.Mount{RecSet: ro})},
		{`["rrw","rsuid","rdev","rexec","rdiratime","rsymfollow"]`, tmpfs(config.Mount{RecClear: ro | nosuid | nodev | noexec | nodir | nosym})},
		{`["rnosuid","rnodev","rnoexec","rnodiratime","rnosymfollow"]`, tmpfs(config.Mount{RecSet: nosuid | nodev | noexec | nodir | nosym})},
		{`["rrelatime"]`, tmpfs(config.Mount{RecClear: atime})},
		{`["rnoatime"]`, tmpfs(config.Mount{RecSet: noatime, RecClear: atime})},
		{`["rnoatime","ratime"]`, tmpfs(config.Mount{RecClear: atime})},
		{`["rstrictatime"]`, tmpfs(config.Mount{RecSet: strict, RecClear: atime})},
		{`["rstrictatime","rnostrictatime"]`, tmpfs(config.Mount{RecClear: atime})},
		{`["private","rprivate","slave","rslave"]`, tmpfs(config.Mount{Propagation: []uintptr{unix.MS_PRIVATE, unix.MS_PRIVATE | unix.MS_REC, unix.MS_SLAVE, unix.MS_SLAVE | unix.MS_REC}})},
		{`["shared","rshared","unbindable","runbindable"]`, tmpfs(config.Mount{Propagation: []uintptr{unix.MS_SHARED, unix.MS_SHARED | unix.MS_REC, unix.MS_UNBINDABLE, unix.MS_UNBINDABLE | unix.MS_REC}})},
		{`["sync","dirsync","lazytime","mand","iversion"]`, tmpfs(config.Mount{Data: []string{"sync", "dirsync", "lazytime", "mand", "iversion"}})},
		{`["sync","sync"]`, tmpfs(config.Mount{Data: []string{"sync"}})},
		{`["sync","lazytime","mand","iversion","async","nolazytime","nomand","noiversion"]`, tmpfs(config.Mount{Data: []string{}})},
		{`["mode=755,size=64k","nosuid,,nodev"]`, tmpfs(config.Mount{Set: nosuid | nodev, Data: []string{"mode=755", "size=64k"}})},
		{`["context=\"system_u:object_r:c_t:s0:c1,c2\",size=1"]`, tmpfs(config.Mount{Data: []string{`context=system_u:object_r:c_t:s0:c1,c2`, "size=1"}})},
		{`["lowerdir=/a\\,b,upperdir=/c\\"]`, tmpfs(config.Mount{Data: []string{`lowerdir=/a\,b`, `upperdir=/c\`}})},
		{`["tmpcopyup"]`, tmpfs(config.Mount{CopyUp: true})},
		{`["user"]`, tmpfs(config.Mount{Set: nosuid | nodev | noexec})},
		{`["users","exec"]`, tmpfs(config.Mount{Set: nosuid | nodev, Clear: noexec})},
		{`["owner"]`, tmpfs(config.Mount{Set: nosuid | nodev})},
		{`["group","nouser"]`, tmpfs(config.Mount{Set: nosuid | nodev})},
		{`["auto","noauto","_netdev","x-initrd.mount","X-mount.mkdir","comment=a=b"]`, tmpfs(config.Mount{})},
		{`["nofail"]`, tmpfs(config.Mount{MayMiss: true})},
		{`["rbind","idmap=uids=0-1000-1#1-2-3;gids=0-1001-1"]`, bind(config.Mount{Recursive: true, IDMap: &config.MountIDs{
			UIDs: config.IDMap{{ContainerID: 0, HostID: 1000, Size: 1}, {ContainerID: 1, HostID: 2, Size: 3}},
			GIDs: config.IDMap{{ContainerID: 0, HostID: 1001, Size: 1}},
		}})},
		{`["bind"]`, bind(config.Mount{})},
		{`["rbind","bind"]`, bind(config.Mount{Recursive: true})},
		{`["bind","ro","async","nolazytime","nomand","noiversion"]`, bind(config.Mount{Set: ro})},
		{`["nosuid","rbind","rprivate","ro"]`, bind(config.Mount{Recursive: true, Set: nosuid | ro, Propagation: []uintptr{unix.MS_PRIVATE | unix.MS_REC}})},
	} {
		cfg := convertWith(t, "mounts", `[{"destination":"/d","type":"tmpfs","source":"/s","options":`+row.options+`}]`)
		row.want.Destination, row.want.Source = "/d", "/s"
		if got := cfg.Mounts[0]; !reflect.DeepEqual(got, row.want) {
			t.Errorf("%s:\n got %+v\nwant %+v", row.options, got, row.want)
		}
	}
}

// TestMountOptionTable holds that the table has every option of the
// specification, and none twice.
func TestMountOptionTable(t *testing.T) {
	specified := []string{
		"async", "atime", "bind", "defaults", "dev", "diratime", "dirsync", "exec", "iversion", "lazytime", "loud",
		"mand", "noatime", "nodev", "nodiratime", "noexec", "noiversion", "nolazytime", "nomand", "norelatime",
		"nostrictatime", "nosuid", "nosymfollow", "private", "ratime", "rbind", "rdev", "rdiratime", "relatime",
		"remount", "rexec", "rnoatime", "rnodiratime", "rnoexec", "rnorelatime", "rnostrictatime", "rnosuid",
		"rnosymfollow", "ro", "rprivate", "rrelatime", "rro", "rrw", "rshared", "rslave", "rstrictatime", "rsuid",
		"rsymfollow", "runbindable", "rw", "shared", "silent", "slave", "strictatime", "suid", "symfollow", "sync",
		"tmpcopyup", "unbindable", "idmap", "ridmap", "rnodev",
	}
	for _, name := range specified {
		if _, ok := propagation(name); !ok && lookupOption(name) == nil {
			t.Errorf("%s is not known", name)
		}
	}
	for i, o := range mountOptions {
		if lookupOption(o.name) != &mountOptions[i] {
			t.Errorf("%s stands in the table twice", o.name)
		}
	}
}

func TestMountPaths(t *testing.T) {
	cfg := convertWith(t, "mounts", `[
		{"destination":"/a//b/../c/","type":"tmpfs"},
		{"destination":"../../x","type":"bind","source":"../data"},
		{"destination":"/abs","source":"/l/../m","options":["bind"]}]`)
	got := []string{cfg.Mounts[0].Destination, cfg.Mounts[1].Destination, cfg.Mounts[1].Source, cfg.Mounts[2].Source}
	parent := cfg.Bundle[:len(cfg.Bundle)-len("/001")]
	if want := []string{"/a/c", "/x", parent + "/data", "/l/../m"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestMountIDs: a mount's own maps, else those of the container's user
// namespace, which nothing here stands for.
func TestMountIDs(t *testing.T) {
	const own = `"uidMappings":[{"containerID":1,"hostID":2,"size":3}],"gidMappings":[{"containerID":4,"hostID":5,"size":6}]`
	mine := config.MountIDs{UIDs: config.IDMap{{ContainerID: 1, HostID: 2, Size: 3}}, GIDs: config.IDMap{{ContainerID: 4, HostID: 5, Size: 6}}}
	recursive := func(m config.MountIDs) *config.MountIDs { m.Recursive = true; return &m }
	for _, row := range []struct {
		mount string
		user  bool // the container has a user namespace, with 0 to 99 from 1000 on
		want  *config.MountIDs
	}{
		{`"options":["bind"],` + own, false, &mine},
		{`"options":["bind","idmap"],` + own, true, &mine},
		{`"options":["bind","ridmap"],` + own, false, recursive(mine)},
		{`"options":["bind","ridmap","idmap"],` + own, false, &mine},
		{`"options":["bind"]`, true, nil},
		{`"options":["bind","idmap"]`, true, new(config.MountIDs)},
		{`"options":["bind","ridmap"]`, true, recursive(config.MountIDs{})},
		{`"options":["bind","idmap=uids=@1-2-3;gids=@4-5-6"]`, true, &config.MountIDs{
			UIDs: config.IDMap{{ContainerID: 1, HostID: 1002, Size: 3}}, GIDs: config.IDMap{{ContainerID: 4, HostID: 1005, Size: 6}},
		}},
	} {
		var m specs.Mount
		if err := json.Unmarshal([]byte("{"+row.mount+"}"), &m); err != nil {
			t.Fatal(err)
		}
		m.Destination, m.Source = "/d", "/s"
		cfg := new(config.Config)
		if row.user {
			cfg.Namespaces = []config.Namespace{{Flag: unix.CLONE_NEWUSER, Type: "user"}}
			cfg.UIDMap = config.IDMap{{ContainerID: 0, HostID: 1000, Size: 100}}
			cfg.GIDMap = cfg.UIDMap
		}
		got, err := convertMount(0, &m, cfg, nil)
		if err == nil {
			err = convertMountIDs("mounts[0]", &m, &got, cfg)
		}
		if err != nil || !reflect.DeepEqual(got.IDMap, row.want) {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", row.mount, got.IDMap, err, row.want)
		}
	}
}

func TestRemount(t *testing.T) {
	const ro = unix.MOUNT_ATTR_RDONLY
	// Of what is not the container's own, the mount alone changes.
	for before, want := range map[string]string{
		`{"destination":"/d","type":"bind","source":"/x"}`: "bind",
		`{"destination":"/d","type":"cgroup"}`:             "bind",
		`{"destination":"/e","type":"tmpfs"}`:              "bind",
		`{"destination":"/d","type":"tmpfs"}`:              "tmpfs",
	} {
		cfg := convertWith(t, "mounts", "["+before+`,{"destination":"/d","type":"tmpfs","options":["remount","ro"]}]`)
		if m := cfg.Mounts[1]; m.Type != want || (len(m.Data) > 0) != (want == "tmpfs") {
			t.Errorf("after %s: %+v", before, m)
		}
	}
	for options, want := range map[string]config.Mount{
		`["remount","ro"]`:             {Set: ro, Data: []string{"ro"}},
		`["remount","rw","size=1"]`:    {Clear: ro, Data: []string{"size=1", "rw"}},
		`["remount","nodev"]`:          {Set: unix.MOUNT_ATTR_NODEV},
		`["remount","bind","ro"]`:      {Set: ro, Type: "bind"},
		`["bind","remount","private"]`: {Type: "bind", Propagation: []uintptr{unix.MS_PRIVATE}},
	} {
		cfg := convertWith(t, "mounts", `[{"destination":"/d","type":"tmpfs"},{"destination":"/d/","options":`+options+`}]`)
		want.Index, want.Destination, want.Remount = 1, "/d", true
		if got := cfg.Mounts[1]; !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", options, got, want)
		}
	}
}

// TestLayers: relative directories of an overlay are the bundle's, and a
// bundle's name cannot change what they mean.
func TestLayers(t *testing.T) {
	const odd = `/o:d,d\b`
	for given, want := range map[string]string{
		"upperdir=u":            `upperdir=/o\:d\,d\\b/u`,
		"upperdir=/u":           "upperdir=/u",
		"workdir=../w":          `workdir=/o\:d\,d\\b/../w`,
		"lowerdir=/a:b:/c":      `lowerdir=/a:/o\:d\,d\\b/b:/c`,
		`lowerdir=/a\:b:/c`:     `lowerdir=/a\:b:/c`,
		"lowerdir=/a:/b::/d":    "lowerdir=/a:/b::/d",
		"lowerdir+=l":           odd + "/l",
		"datadir+=/d":           "datadir+=/d",
		"xino=off":              "xino=off",
		"metacopy":              "metacopy",
		"lowerdir=":             "lowerdir=",
		`lowerdir=a\`:           `lowerdir=/o\:d\,d\\b/a\`,
		"redirect_dir=nofollow": "redirect_dir=nofollow",
	} {
		if given == "lowerdir+=l" {
			want = "lowerdir+=" + want
		}
		if got := absoluteLayers([]string{given}, odd); got[0] != want {
			t.Errorf("%s: %s, want %s", given, got[0], want)
		}
	}
}

func TestCgroupPath(t *testing.T) {
	for given, want := range map[string]string{
		"":                              "",
		"/a/b":                          "/a/b",
		"/a/../../b":                    "/b",
		"a//b/":                         "a/b",
		"../../../x":                    "x",
		"system.slice:mocker:demo":      "system.slice:mocker:demo",
		"/kubepods.slice/x:cri:0f/../y": "/kubepods.slice/y",
	} {
		if got, err := cgroupPath(given); err != nil || got != want {
			t.Errorf("%q: got %q, %v, want %q", given, got, err, want)
		}
	}
}

func TestSysctlPath(t *testing.T) {
	for key, want := range map[string]string{
		"net.ipv4.ip_forward":                  "net/ipv4/ip_forward",
		"net/ipv4/ip_forward":                  "net/ipv4/ip_forward",
		"net.ipv4.conf.eno2/100.rp_filter":     "net/ipv4/conf/eno2.100/rp_filter",
		"net/ipv4/conf/eno2.100/rp_filter":     "net/ipv4/conf/eno2.100/rp_filter",
		"net.ipv4.conf.default.arp_filter":     "net/ipv4/conf/default/arp_filter",
		"kernel":                               "kernel",
		"net.ipv4.ping_group_range":            "net/ipv4/ping_group_range",
		"net.netfilter.nf_log.10":              "net/netfilter/nf_log/10",
		"net/netfilter/nf_conntrack_max.50":    "net/netfilter/nf_conntrack_max.50",
		"net.ipv4.neigh.veth/0.1/2.gc_thresh1": "net/ipv4/neigh/veth.0/1.2/gc_thresh1",
	} {
		if got := sysctlPath(key); got != want {
			t.Errorf("%s: got %s, want %s", key, got, want)
		}
	}
}

// TestDefaultDeviceRules holds the list against what Debian's runc 1.1.5 left
// in devices.list of a container without rules of its own.
func TestDefaultDeviceRules(t *testing.T) {
	want := []string{
		"b *:* m", "c *:* m", "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm", "c 5:0 rwm",
		"c 5:2 rwm", "c 10:200 rwm", "c 136:* rwm",
	}
	for _, resources := range []string{``, `{}`, `{"devices":[]}`} {
		cfg := convertWith(t, "linux.resources", resources)
		var got []string
		for _, rule := range slices.Concat(cfg.Cgroup.Resources.Devices, cfg.Cgroup.Always) {
			if !rule.Allow {
				t.Errorf("%s is denied", rule.CgroupString())
			}
			got = append(got, rule.CgroupString())
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", resources, got, want)
		}
	}
	cfg := convertWith(t, "linux.resources.devices", `[{"allow":false,"access":"mwr"},{"allow":true,"type":"c","major":7,"minor":-1,"access":"m"},{"allow":true,"type":"b","major":4095,"minor":1048575,"access":"r"}]`)
	first := []devices.Rule{*cfg.Cgroup.Resources.Devices[0], *cfg.Cgroup.Resources.Devices[1], *cfg.Cgroup.Resources.Devices[2]}
	if want := []devices.Rule{
		{Type: 'a', Major: -1, Minor: -1, Permissions: "rwm"},
		{Type: 'c', Major: 7, Minor: -1, Permissions: "m", Allow: true},
		{Type: 'b', Major: 4095, Minor: 1048575, Permissions: "r", Allow: true},
	}; !slices.Equal(first, want) {
		t.Errorf("got %+v, want %+v", first, want)
	}
}

func TestCapabilityNames(t *testing.T) {
	if len(capabilityNames) != unix.CAP_LAST_CAP+1 {
		t.Errorf("%d names for %d capabilities", len(capabilityNames), unix.CAP_LAST_CAP+1)
	}
	for n, name := range capabilityNames {
		if bit, ok := capability(name); name == "" || !ok || bit != 1<<n {
			t.Errorf("capability %d is %q, %#x", n, name, bit)
		}
	}
	for _, name := range []string{"", "KILL", "cap_kill", "CAP_", "CAP_ALL"} {
		if bit, ok := capability(name); ok || bit != 0 {
			t.Errorf("%q is taken for %#x", name, bit)
		}
	}
}

func TestNoCapabilitiesGiven(t *testing.T) {
	if cfg := convertWith(t, "process.capabilities", ``); cfg.Process.Caps != (config.Capabilities{}) {
		t.Errorf("got %+v out of nothing", cfg.Process.Caps)
	}
}

func TestProcessDefaults(t *testing.T) {
	cfg := convertWith(t, "process", `{"args":["a"],"cwd":"/","consoleSize":{"height":99999,"width":1}}`)
	want := &config.Process{Args: []string{"a"}, Cwd: "/", Umask: 0o022}
	if !reflect.DeepEqual(cfg.Process, want) {
		t.Errorf("got %+v, want %+v", cfg.Process, want)
	}
}

func TestPidsLimit(t *testing.T) {
	for text, want := range map[string]int64{`{"limit":-1}`: -1, `{"limit":0}`: 0, `{"limit":7}`: 7} {
		if got := convertWith(t, "linux.resources.pids", text).Cgroup.Resources.PidsLimit; got == nil || *got != want {
			t.Errorf("%s: got %v", text, got)
		}
	}
	for _, text := range []string{``, `{}`} {
		if got := convertWith(t, "linux.resources.pids", text).Cgroup.Resources.PidsLimit; got != nil {
			t.Errorf("%q: got %d", text, *got)
		}
	}
}

func TestNamespaceOrder(t *testing.T) {
	cfg := convertWith(t, "linux.namespaces", `[{"type":"mount"},{"type":"cgroup","path":"/c"},{"type":"pid"},{"type":"network","path":"/n"},{"type":"uts"},{"type":"ipc","path":"/i"}]`)
	want := []config.Namespace{
		{Flag: unix.CLONE_NEWIPC, Type: "ipc", Path: "/i"},
		{Flag: unix.CLONE_NEWUTS, Type: "uts"},
		{Flag: unix.CLONE_NEWNET, Type: "network", Path: "/n"},
		{Flag: unix.CLONE_NEWPID, Type: "pid"},
		{Flag: unix.CLONE_NEWCGROUP, Type: "cgroup", Path: "/c"},
		{Flag: unix.CLONE_NEWNS, Type: "mount"},
	}
	if !slices.Equal(cfg.Namespaces, want) {
		t.Errorf("got %+v", cfg.Namespaces)
	}
}
