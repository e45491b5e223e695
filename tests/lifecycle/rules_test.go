package lifecycle

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// The rules of runtime.md and of config.md, "Extensibility", that no other
// test of this package is about.

// inStatus makes a container and brings it into a status; "" is none at all.
func inStatus(t *testing.T, status string) *box {
	t.Helper()
	b := newBox(t, func(s *specs.Spec) { s.Process.Args = []string{"sleep", "1000"} })
	if status == "" {
		return b
	}
	b.create()
	if status != "created" {
		b.start()
	}
	switch status {
	case "paused":
		drive.OK(t, "pause", b.id)
	case "stopped":
		drive.OK(t, "kill", b.id, "KILL")
		b.stops()
	}
	return b
}

// TestStatuses has every operation in every status: it works, or fails
// without an effect on the container.
func TestStatuses(t *testing.T) {
	const none = "does not exist"
	for _, row := range []struct {
		status string
		wants  map[string]string // by operation; "" works
	}{
		{"", map[string]string{"state": none, "start": none, "kill": none, "delete": none, "create": "", "pause": none, "resume": none, "exec": none}},
		{"created", map[string]string{"state": "", "start": "", "kill": "", "delete": "", "create": "already exists", "resume": "not paused"}},
		{"running", map[string]string{"state": "", "start": "already running", "kill": "", "delete": "is not stopped: running", "create": "already exists", "resume": "not paused"}},
		{"paused", map[string]string{"state": "", "start": "cannot start", "delete": "is not stopped: paused", "create": "already exists"}},
		{"stopped", map[string]string{"state": "", "start": "has stopped", "kill": "not running", "delete": "", "create": "already exists", "pause": "not running", "resume": "not paused", "exec": "stopped container"}},
	} {
		for verb, want := range row.wants {
			t.Run(row.status+"/"+verb, func(t *testing.T) {
				b := inStatus(t, row.status)
				args := map[string][]string{
					"create": {"create", "--bundle", b.bundle, b.id},
					"kill":   {"kill", b.id, "USR1"},
					"exec":   {"exec", b.id, "true"},
				}[verb]
				if args == nil {
					args = []string{verb, b.id}
				}
				r := drive.Run(t, args...)
				if want == "" {
					if r.Code != 0 {
						t.Errorf("%v", r)
					}
					return
				}
				if r.Code == 0 || !drive.Others() && !strings.Contains(r.Stderr, want) {
					t.Errorf("%v, want %q", r, want)
				}
				if row.status == "" {
					refused(t, none, "state", b.id)
				} else if got := b.state().Status; got != row.status {
					t.Errorf("it is %s now", got)
				}
			})
		}
	}
}

// TestConfigChanges: what is written into config.json after create has no
// effect, on the program as little as on hooks.
func TestConfigChanges(t *testing.T) {
	out := temp(t, "out")
	hook := func(word string) []specs.Hook {
		return []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "echo " + word + " >>" + out}, Env: []string{"PATH=/bin"}}}
	}
	b := newBox(t, drive.Sh("echo first"), func(s *specs.Spec) { s.Hooks = &specs.Hooks{Poststop: hook("first")} }).create()
	spec := drive.ReadConfig(t, b.bundle)
	spec.Process.Args = []string{"echo", "second"}
	spec.Hooks = &specs.Hooks{Poststart: hook("second"), Poststop: hook("second")}
	spec.Annotations = map[string]string{"org.example.key": "second"}
	drive.WriteConfig(t, b.bundle, spec)
	if got := b.printed(); got != "" {
		t.Errorf("the program has run at create: %q", got)
	}
	b.start()
	b.stops()
	if got := b.state().Annotations["org.example.key"]; got != "" {
		t.Errorf("annotation %q", got)
	}
	drive.OK(t, "delete", b.id)
	if got := b.printed(); got != "first\n" {
		t.Errorf("the program printed %q", got)
	}
	if !drive.Others() { // whose poststop hooks are those of this config.json
		if got := file(t, out); got != "first" {
			t.Errorf("the hooks wrote %q", got)
		}
	}
}

// TestUnknown: unknown properties, annotations and capabilities do no harm;
// capabilities are told of.
func TestUnknown(t *testing.T) {
	b := newBox(t, drive.Sh("echo fine"), func(s *specs.Spec) {
		s.Annotations = map[string]string{"org.example.unknown": "x", "org.opencontainers.unknown": "y"}
		s.Process.Capabilities.Bounding = append(s.Process.Capabilities.Bounding, "CAP_FROM_THE_FUTURE")
	})
	var doc map[string]any
	if err := json.Unmarshal([]byte(file(t, b.bundle+"/config.json")), &doc); err != nil {
		t.Fatal(err)
	}
	unknown := map[string]any{"list": []any{1, nil, "x"}, "object": map[string]any{}}
	doc["unknown"] = unknown
	for _, name := range []string{"process", "root", "linux"} {
		doc[name].(map[string]any)["unknown"] = unknown
	}
	doc["mounts"].([]any)[0].(map[string]any)["unknown"] = unknown
	doc["solaris"] = map[string]any{"milestone": "none"}
	data, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(b.bundle+"/config.json", data, 0o600); err != nil {
		t.Fatal(err)
	}
	r := b.run()
	if r.Code != 0 || r.Stdout != "fine\n" || !strings.Contains(r.Stderr, "CAP_FROM_THE_FUTURE") {
		t.Errorf("%v", r)
	}
}

// TestVersions: every version of the major one up to the one that the runtime
// knows, as SemVer has them.
func TestVersions(t *testing.T) {
	for version, accepted := range map[string]bool{
		"1.0.0": true, "1.0.0-rc5": true, "1.0.2-dev": true, "1.1.0+dev": true, "1.2.1": true, "1.3.0": true, "1.3.0-dev": true, "1.3.7": true,
		"": false, "1": false, "1.3": false, "v1.3.0": false, "01.3.0": false, "1.3.0-": false, "one": false,
		"0.9.0": false, "1.4.0": false, "2.0.0": false,
	} {
		if !accepted {
			drive.MockersOwn(t, "Debian's runc does not look at the version")
		}
		b := newBox(t, func(s *specs.Spec) { s.Version = version })
		r := b.run()
		if (r.Code == 0) != accepted || !accepted && !strings.Contains(r.Stderr, "config.json: ociVersion: ") {
			t.Errorf("%q: %v", version, r)
		}
	}
}

// TestDeleteLeavesTheRest: what belongs to a container and was there before
// it stays: namespaces that it joined, its bundle, its mounts' sources, and a
// cgroup that somebody had made for it. The id is free again.
func TestDeleteLeavesTheRest(t *testing.T) {
	drive.MockersOwn(t, "runc removes the cgroup, whoever made it")
	parent := fmt.Sprintf("lifecycle-kept-%d", os.Getpid())
	var dirs []string
	for _, tree := range trees(t) {
		dir := filepath.Join(tree, parent, "leaf")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = os.Remove(dir), os.Remove(filepath.Dir(dir)) })
		dirs = append(dirs, dir)
	}
	source := t.TempDir()
	owner := newBox(t, forever).create()
	net := fmt.Sprintf("/proc/%d/ns/net", owner.state().Pid)
	b := newBox(t, forever, func(s *specs.Spec) {
		s.Linux.CgroupsPath = "/" + parent + "/leaf"
		s.Mounts = append(s.Mounts, specs.Mount{Destination: "/source", Source: source, Options: []string{"bind"}})
		for i := range s.Linux.Namespaces {
			if s.Linux.Namespaces[i].Type == specs.NetworkNamespace {
				s.Linux.Namespaces[i].Path = net
			}
		}
	})
	for _, force := range []bool{false, true} {
		b.create().start()
		if force {
			drive.OK(t, "delete", "--force", b.id)
		} else {
			drive.OK(t, "kill", b.id, "KILL")
			b.stops()
			drive.OK(t, "delete", b.id)
		}
		for _, dir := range dirs {
			if procs := file(t, filepath.Join(dir, "cgroup.procs")); procs != "" {
				t.Errorf("%s has the processes %q", dir, procs)
			}
		}
	}
	for _, path := range []string{source, b.bundle + "/config.json", b.bundle + "/rootfs/bin", net} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	if got := owner.state().Status; got != "created" {
		t.Errorf("the owner of the namespace is %s", got)
	}
}

// trees are the mounted cgroup hierarchies.
func trees(t *testing.T) []string {
	t.Helper()
	if drive.V2(t) {
		return []string{"/sys/fs/cgroup"} // whatever it hides
	}
	var list []string
	for line := range strings.Lines(file(t, "/proc/self/mountinfo")) {
		left, right, _ := strings.Cut(line, " - ")
		if f := strings.Fields(left)[4]; strings.HasPrefix(right, "cgroup") && strings.HasPrefix(f, "/sys/fs/cgroup") && !slices.Contains(list, f) {
			list = append(list, f)
		}
	}
	if len(list) == 0 {
		t.Fatal("no cgroup hierarchy")
	}
	return list
}
