package specconv

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

// TestFeaturesAreTrue: what Features claims, Convert takes, and what it does
// not claim, Convert refuses.
func TestFeaturesAreTrue(t *testing.T) {
	f := Features()
	dir := bundle(t)
	takes := func(path, text string) bool {
		t.Helper()
		doc := exampleDocument(t)
		doc.set(t, path, text)
		_, err := Convert(doc.spec(t), dir)
		return err == nil
	}
	for _, version := range []string{f.OCIVersionMin, f.OCIVersionMax} {
		if !takes("ociVersion", `"`+version+`"`) {
			t.Errorf("version %s is refused", version)
		}
	}
	for _, name := range f.Hooks {
		if takes("hooks", `{"`+name+`":[{"path":"relative"}]}`) || !takes("hooks", `{"`+name+`":[{"path":"/absolute"}]}`) {
			t.Errorf("hook %s is not read", name)
		}
	}
	for _, name := range f.Linux.Namespaces {
		list := `[{"type":"mount"},{"type":"uts"}`
		if name != "mount" && name != "uts" {
			list += `,{"type":"` + name + `"}`
		}
		doc := exampleDocument(t)
		doc.set(t, "linux.namespaces", list+`]`)
		if name == "user" {
			doc.set(t, "linux.uidMappings", `[{"size":10}]`)
			doc.set(t, "linux.gidMappings", `[{"size":10}]`)
		}
		if _, err := Convert(doc.spec(t), dir); err != nil {
			t.Errorf("namespace %s: %v", name, err)
		}
	}
	for _, name := range f.Linux.Capabilities {
		cfg := convertWith(t, "process.capabilities", `{"bounding":["`+name+`"]}`)
		if len(cfg.Warnings) > 0 || cfg.Process.Caps.Bounding == 0 {
			t.Errorf("capability %s: %q", name, cfg.Warnings)
		}
	}
	for _, claim := range []struct {
		name       string
		enabled    *bool
		path, text string
	}{
		{"seccomp", f.Linux.Seccomp.Enabled, "linux.seccomp", `{"defaultAction":"SCMP_ACT_ALLOW"}`},
		{"apparmor", f.Linux.Apparmor.Enabled, "process.apparmorProfile", `"profile"`},
		{"selinux", f.Linux.Selinux.Enabled, "process.selinuxLabel", `"a:b:c:d"`},
		{"intelRdt", f.Linux.IntelRdt.Enabled, "linux.intelRdt", `{"closID":"a"}`},
		{"intelRdt.schemata", f.Linux.IntelRdt.Schemata, "linux.intelRdt", `{"schemata":["L3:0=f"]}`},
		{"intelRdt.monitoring", f.Linux.IntelRdt.Monitoring, "linux.intelRdt", `{"enableMonitoring":true}`},
		{"netDevices", f.Linux.NetDevices.Enabled, "linux.netDevices", `{"eth7":{}}`},
		{"idmap", f.Linux.MountExtensions.IDMap.Enabled, "mounts", `[{"destination":"/a","source":"/b","options":["bind","idmap"],"uidMappings":[{"size":1}],"gidMappings":[{"size":1}]}]`},
		{"rdma", f.Linux.Cgroup.Rdma, "linux.resources.rdma", `{"a":{"hcaHandles":1}}`},
	} {
		if got := takes(claim.path, claim.text); got != *claim.enabled {
			t.Errorf("features says %s: %t, and that it is read is %t", claim.name, *claim.enabled, got)
		}
	}
	if got := takes("linux.memoryPolicy", `{"mode":"MPOL_DEFAULT"}`); got != (f.Linux.MemoryPolicy != nil) {
		t.Errorf("features has memoryPolicy: %t, and that it is read is %t", f.Linux.MemoryPolicy != nil, got)
	}
}

// TestFeaturesMountOptions: each option means something, or is one of the few
// that ask for nothing, and none is passed on to the file system.
func TestFeaturesMountOptions(t *testing.T) {
	names := Features().MountOptions
	if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("not sorted, or one twice: %q", names)
	}
	for _, name := range names {
		list, err := json.Marshal([]string{name})
		if err != nil {
			t.Fatal(err)
		}
		doc := exampleDocument(t)
		doc.set(t, "mounts", `[{"destination":"/a","type":"tmpfs","source":"/b","options":`+string(list)+`}]`)
		if name == "idmap" || name == "ridmap" {
			doc.set(t, "mounts", `[{"destination":"/a","type":"bind","source":"/b","options":`+string(list)+`,"uidMappings":[{"size":1}],"gidMappings":[{"size":1}]}]`)
		}
		cfg, err := Convert(doc.spec(t), bundle(t))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if o := lookupOption(name); o != nil && o.kind == setSuper {
			continue // these are the file system's, by the same name
		}
		if slices.ContainsFunc(cfg.Mounts, func(m config.Mount) bool { return name != "ro" && slices.Contains(m.Data, name) }) {
			t.Errorf("%s is left to the file system", name)
		}
	}
}

// TestFeaturesShape: nothing but what the specification has, and no empty
// list: null and absent mean "not known", empty means none.
func TestFeaturesShape(t *testing.T) {
	data, err := json.Marshal(Features())
	if err != nil {
		t.Fatal(err)
	}
	var tree map[string]any
	if err := json.Unmarshal(data, &tree); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"ociVersionMin", "ociVersionMax", "hooks", "mountOptions", "linux"} {
		if tree[key] == nil {
			t.Errorf("no %s", key)
		}
	}
	if got, want := Features().Hooks, []string{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"}; !slices.Equal(got, want) {
		t.Errorf("hooks %q", got)
	}
	if Features().OCIVersionMax != specs.Version {
		t.Errorf("ociVersionMax %s", Features().OCIVersionMax)
	}
}
