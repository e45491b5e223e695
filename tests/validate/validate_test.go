package validate

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/coverage"
	"github.com/mocker-runtime/mocker/tests/drive"
)

func TestMain(m *testing.M) { drive.Main(m) }

// asNobody runs mocker as a user without any rights, who can only read.
func asNobody(t *testing.T, args ...string) drive.Result {
	t.Helper()
	argv := append([]string{"--reuid", "65534", "--regid", "65534", "--clear-groups", "--bounding-set", "-all", drive.Mocker(t)}, args...)
	return drive.Exec(t, "setpriv", argv...)
}

// open makes a bundle that everybody can look into: nobody's test binary
// stands below directories that are root's alone.
func open(t *testing.T, bundle string) string {
	t.Helper()
	for dir := bundle; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return bundle
}

// TestValidate: a good bundle, and one with several violations, as root and as
// nobody, without a trace.
func TestValidate(t *testing.T) {
	good := open(t, drive.Bundle(t, nil))
	bad := open(t, drive.Bundle(t, func(s *specs.Spec) {
		s.Process.Cwd = "tmp"
		s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_X"}}
		s.Linux.MaskedPaths = []string{"a", "/b", "c"}
		s.Hooks = &specs.Hooks{Poststop: []specs.Hook{{Path: "/does/not/exist"}}}
	}))
	want := `config.json: linux.maskedPaths[0]: "a": not an absolute path (config-linux.md, Masked Paths)
config.json: linux.maskedPaths[2]: "c": not an absolute path (config-linux.md, Masked Paths)
config.json: process.cwd: "tmp": not an absolute path (config.md, Process)
config.json: process.rlimits[0].type: "RLIMIT_X": not a resource limit (config.md, POSIX process)
config.json: hooks.poststop[0].path: "/does/not/exist": no such file or directory (config.md, POSIX-platform Hooks)
`
	before := drive.TakeSnapshot(t)
	for name, run := range map[string]func(*testing.T, ...string) drive.Result{
		"root":   func(t *testing.T, args ...string) drive.Result { return drive.Run(t, args...) },
		"nobody": asNobody,
	} {
		drive.MockersOwn(t, "no other runtime has the verb")
		if r := run(t, "validate", "--bundle", good); r.Code != 0 || r.Stdout != "config.json: ok\n" || r.Stderr != "" {
			t.Errorf("%s: %v", name, r)
		}
		if r := run(t, "validate", "-b", bad); r.Code != 1 || r.Stdout != want || r.Stderr != "" {
			t.Errorf("%s: %v\nwant %s", name, r, want)
		}
	}
	before.Unchanged(t)
}

// TestCreateAgrees: create refuses what validate objects to, with one of its
// lines, and makes what it does not.
func TestCreateAgrees(t *testing.T) {
	drive.MockersOwn(t, "no other runtime has the verb")
	for name, edit := range map[string]func(*specs.Spec){
		"nothing":       func(*specs.Spec) {},
		"no process":    func(s *specs.Spec) { s.Process = nil },
		"no root":       func(s *specs.Spec) { s.Root = nil },
		"no linux":      func(s *specs.Spec) { s.Linux = nil },
		"a version":     func(s *specs.Spec) { s.Version = "2.0.0" },
		"two namespace": func(s *specs.Spec) { s.Linux.Namespaces = append(s.Linux.Namespaces, s.Linux.Namespaces...) },
		"two limits": func(s *specs.Spec) {
			s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_AS", Hard: 1 << 40, Soft: 1 << 40}, {Type: "RLIMIT_AS", Hard: 1, Soft: 1}}
		},
		"a relative hook": func(s *specs.Spec) { s.Hooks = &specs.Hooks{StartContainer: []specs.Hook{{Path: "true"}}} },
		"a timeout": func(s *specs.Spec) {
			zero := 0
			s.Hooks = &specs.Hooks{Poststart: []specs.Hook{{Path: "/bin/true", Timeout: &zero}}}
		},
		"an empty key":  func(s *specs.Spec) { s.Annotations = map[string]string{"": "x"} },
		"a foreign one": func(s *specs.Spec) { s.Linux.Sysctl = map[string]string{"kernel.panic": "1"} },
		"a missing gid": func(s *specs.Spec) { s.Linux.UIDMappings = []specs.LinuxIDMapping{{Size: 1}} },
	} {
		bundle := drive.Bundle(t, edit)
		id := fmt.Sprintf("validate-%d", os.Getpid())
		v, c := drive.Run(t, "validate", "--bundle", bundle), drive.Run(t, "create", "--bundle", bundle, id)
		if c.Code == 0 {
			drive.OK(t, "delete", id)
		}
		if v.Code != c.Code {
			t.Errorf("%s: validate %v\ncreate %v", name, v, c)
		}
		text := strings.TrimSuffix(strings.TrimPrefix(c.Stderr, "mocker: "), "\n")
		if c.Code != 0 && !strings.Contains(v.Stdout, text+" (config") {
			t.Errorf("%s: create says %q, validate\n%s", name, text, v.Stdout)
		}
	}
}

// TestExampleBundles: those that are committed keep the rules, but that their
// root file systems are made later.
func TestExampleBundles(t *testing.T) {
	drive.MockersOwn(t, "no other runtime has the verb")
	files, err := filepath.Glob("../../bundles/*/config.json")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d bundles, %v", len(files), err)
	}
	for _, f := range files {
		dir := filepath.Dir(f)
		r := drive.Run(t, "validate", "--bundle", dir)
		for line := range strings.Lines(r.Stdout) {
			if line != "config.json: ok\n" && !strings.Contains(line, ": no such file or directory (") {
				t.Errorf("%s: %s", dir, line)
			}
		}
	}
	bundle := t.TempDir()
	drive.OK(t, "spec", "--bundle", bundle)
	if err := os.Mkdir(bundle+"/rootfs", 0o755); err != nil {
		t.Fatal(err)
	}
	if r := drive.Run(t, "validate", "-b", bundle); r.Code != 0 {
		t.Errorf("what spec writes: %v", r)
	}
}

// TestFeatures: as nobody, JSON alone, and what containerd, docker and CRI-O
// look for.
func TestFeatures(t *testing.T) {
	run := asNobody
	if drive.Others() {
		run = func(t *testing.T, args ...string) drive.Result { return drive.Run(t, args...) }
	}
	r := run(t, "features")
	var f struct {
		OCIVersionMin, OCIVersionMax string
		Hooks, MountOptions          []string
		Annotations                  map[string]string
		Linux                        struct {
			Namespaces, Capabilities []string
			MountExtensions          struct{ IDMap struct{ Enabled bool } }
		}
	}
	if err := json.Unmarshal([]byte(r.Stdout), &f); err != nil || r.Code != 0 || r.Stderr != "" {
		t.Fatalf("%v: %v", err, r)
	}
	if f.OCIVersionMin == "" || f.OCIVersionMax < f.OCIVersionMin || !slices.Contains(f.MountOptions, "rro") ||
		!slices.Contains(f.Linux.Namespaces, "user") || !slices.Contains(f.Linux.Capabilities, "CAP_BPF") {
		t.Errorf("%s", r.Stdout)
	}
	if !drive.Others() && (!f.Linux.MountExtensions.IDMap.Enabled || f.Annotations["io.github.mocker-runtime.mocker.version"] == "") {
		t.Errorf("%s", r.Stdout)
	}
}

// TestFeaturesWhole: every part of the structure is there, and says what other
// tests show of mocker: what lists have in them is checked against what Convert
// takes (specconv, TestFeaturesAreTrue) and by containers (TestFeaturesAreHad).
func TestFeaturesWhole(t *testing.T) {
	drive.MockersOwn(t, "checks what mocker says")
	var tree map[string]any
	if err := json.Unmarshal([]byte(asNobody(t, "features").Stdout), &tree); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]any{
		"ociVersionMin": "1.0.0", "ociVersionMax": specs.Version,
		"hooks":                               []string{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"},
		"mountOptions":                        []string{"ro", "rro", "idmap", "ridmap", "tmpcopyup", "rslave"},
		"linux.namespaces":                    []string{"cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"},
		"linux.capabilities":                  []string{"CAP_CHOWN", "CAP_SYS_ADMIN", "CAP_CHECKPOINT_RESTORE"},
		"linux.cgroup.v1":                     true,
		"linux.cgroup.v2":                     true,
		"linux.cgroup.systemd":                false,
		"linux.cgroup.systemdUser":            false,
		"linux.cgroup.rdma":                   true,
		"linux.seccomp.enabled":               true,
		"linux.seccomp.actions":               []string{"SCMP_ACT_KILL_PROCESS", "SCMP_ACT_NOTIFY"},
		"linux.seccomp.operators":             []string{"SCMP_CMP_EQ", "SCMP_CMP_MASKED_EQ"},
		"linux.seccomp.archs":                 []string{"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"},
		"linux.seccomp.knownFlags":            []string{"SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"},
		"linux.seccomp.supportedFlags":        []string{"SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"},
		"linux.apparmor.enabled":              true,
		"linux.selinux.enabled":               true,
		"linux.intelRdt.enabled":              true,
		"linux.intelRdt.schemata":             true,
		"linux.intelRdt.monitoring":           true,
		"linux.memoryPolicy.modes":            []string{"MPOL_DEFAULT", "MPOL_WEIGHTED_INTERLEAVE"},
		"linux.memoryPolicy.flags":            []string{"MPOL_F_NUMA_BALANCING", "MPOL_F_STATIC_NODES"},
		"linux.mountExtensions.idmap.enabled": true,
		"linux.netDevices.enabled":            true,
		"annotations":                         []string{"io.github.mocker-runtime.mocker.version"},
		"potentiallyUnsafeConfigAnnotations":  []string{"run.oci."},
	} {
		var got any = tree
		for _, key := range strings.Split(path, ".") {
			object, _ := got.(map[string]any)
			got = object[key]
		}
		ok := got == want
		if list, isList := want.([]string); isList {
			ok = !slices.ContainsFunc(list, func(name string) bool {
				switch got := got.(type) {
				case []any:
					return !slices.Contains(got, any(name))
				case map[string]any:
					return got[name] == nil
				}
				return true
			})
		}
		if !ok {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
		coverage.Shows(t, "features."+path)
	}
}

// TestSupportedFlags: of the flags that are known, a container takes those that
// features says this kernel supports, and refuses the others.
func TestSupportedFlags(t *testing.T) {
	drive.MockersOwn(t, "Debian's runc has no flags")
	var f struct {
		Linux struct {
			Seccomp struct{ KnownFlags, SupportedFlags []string }
		}
	}
	if err := json.Unmarshal([]byte(drive.OK(t, "features")), &f); err != nil {
		t.Fatal(err)
	}
	for _, flag := range f.Linux.Seccomp.KnownFlags {
		bundle := drive.Bundle(t, func(s *specs.Spec) {
			s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Flags: []specs.LinuxSeccompFlag{specs.LinuxSeccompFlag(flag)}}
			if flag == string(specs.LinuxSeccompFlagWaitKillableRecv) { // means something only with an agent, who is not there
				s.Linux.Seccomp.ListenerPath = "/none"
				s.Linux.Seccomp.Syscalls = []specs.LinuxSyscall{{Names: []string{"acct"}, Action: specs.ActNotify}}
			}
		})
		r := drive.Run(t, "run", "--bundle", bundle, fmt.Sprintf("flags-%d", os.Getpid()))
		refused := strings.Contains(r.Stderr, "the kernel has no seccomp filters with the flags")
		if refused == slices.Contains(f.Linux.Seccomp.SupportedFlags, flag) || !refused && r.Code != 0 && !strings.Contains(r.Stderr, "/none") {
			t.Errorf("%s, of which supported are %q: %v", flag, f.Linux.Seccomp.SupportedFlags, r)
		}
	}
}

// TestFeaturesOfRunc: mocker has every key and every element that runc has,
// but for those that are listed here.
func TestFeaturesOfRunc(t *testing.T) {
	drive.MockersOwn(t, "compares mocker with runc")
	without := []string{
		".annotations",                               // each its own
		".mountOptions: acl", ".mountOptions: noacl", // file systems', which they are left to
		".ociVersionMax", ".linux.cgroup.systemd", ".linux.cgroup.systemdUser",
	}
	decode := func(text string) (tree any) {
		if err := json.Unmarshal([]byte(text), &tree); err != nil {
			t.Fatal(err)
		}
		return tree
	}
	theirs := drive.Exec(t, "runc", "features")
	if theirs.Code != 0 {
		t.Fatalf("runc: %v", theirs)
	}
	for _, lack := range lacking("", decode(theirs.Stdout), decode(drive.OK(t, "features"))) {
		if !slices.ContainsFunc(without, func(p string) bool {
			return lack == p || strings.HasPrefix(lack, p+".") || strings.HasPrefix(lack, p+":")
		}) {
			t.Errorf("runc has it: %s", lack)
		}
	}
}

// lacking are the places where ours does not have what theirs has.
func lacking(at string, theirs, ours any) []string {
	var list []string
	switch theirs := theirs.(type) {
	case map[string]any:
		ours, _ := ours.(map[string]any)
		for key, value := range theirs {
			list = append(list, lacking(at+"."+key, value, ours[key])...)
		}
	case []any:
		ours, _ := ours.([]any)
		for _, value := range theirs {
			if !slices.Contains(ours, value) {
				list = append(list, fmt.Sprintf("%s: %v", at, value))
			}
		}
	default:
		if theirs != ours {
			list = append(list, fmt.Sprintf("%s: %v, not %v", at, theirs, ours))
		}
	}
	return list
}

// TestFeaturesAreHad: each mount option and each namespace is really taken,
// by a container that runs.
func TestFeaturesAreHad(t *testing.T) {
	var f struct {
		MountOptions []string
		Hooks        []string
		Linux        struct{ Namespaces []string }
	}
	if err := json.Unmarshal([]byte(drive.OK(t, "features")), &f); err != nil {
		t.Fatal(err)
	}
	id := fmt.Sprintf("features-%d", os.Getpid())
	good := func(what string, edits ...func(*specs.Spec)) {
		t.Helper()
		bundle := drive.Bundle(t, func(s *specs.Spec) {
			for _, edit := range edits {
				edit(s)
			}
		})
		if r := drive.Run(t, "run", "--bundle", bundle, id); r.Code != 0 {
			t.Errorf("%s: %v", what, r)
		}
	}
	source := t.TempDir()
	good("mount options", func(s *specs.Spec) {
		for i, option := range f.MountOptions {
			m := specs.Mount{Destination: fmt.Sprintf("/m%d", i), Type: "tmpfs", Source: "tmpfs", Options: []string{option}}
			switch option {
			case "bind", "rbind":
				m.Source, m.Type = source, "none"
			case "idmap", "ridmap":
				m.Source, m.Type, m.Options = source, "none", []string{"rbind", option}
				m.UIDMappings = []specs.LinuxIDMapping{{HostID: 1000, Size: 10}}
				m.GIDMappings = m.UIDMappings
			case "remount":
				m.Destination = "/dev"
			case "mand", "iversion": // are not tmpfs's: the kernel refuses them
				continue
			case "acl", "noacl":
				continue // runc's: nor these
			}
			s.Mounts = append(s.Mounts, m)
		}
	})
	good("namespaces", func(s *specs.Spec) {
		s.Linux.Namespaces = nil
		for _, name := range f.Linux.Namespaces {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.LinuxNamespaceType(name)})
		}
		all := []specs.LinuxIDMapping{{Size: 1 << 20}}
		s.Linux.UIDMappings, s.Linux.GIDMappings = all, all
	})
	good("hooks", func(s *specs.Spec) {
		hooks := map[string]any{}
		for _, kind := range f.Hooks {
			path := "/bin/true"
			hooks[kind] = []any{map[string]any{"path": path}}
		}
		data, err := json.Marshal(hooks)
		if err == nil {
			err = json.Unmarshal(data, &s.Hooks)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
}
