package lsm

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/coverage"
	"github.com/mocker-runtime/mocker/tests/drive"
)

// TestApplied: whoever the process is and wherever it lives, the profile
// confines it.
func TestApplied(t *testing.T) {
	needAppArmor(t)
	coverage.Shows(t, "process.apparmorProfile")
	host := newBox(t, drive.Mocker(t)).up() // for namespaces to join
	bundle := newBox(t, drive.Mocker(t)).bundle
	for _, c := range []struct {
		name string
		edit func(*specs.Spec)
		want string
		own  bool // Debian's runc cannot, or not with every kernel
	}{
		{name: "a container", edit: func(*specs.Spec) {}, want: confined},
		{name: "no profile", edit: func(s *specs.Spec) { s.Process.ApparmorProfile = "" }, want: unconfined},
		{name: "unconfined", edit: func(s *specs.Spec) { s.Process.ApparmorProfile = "unconfined" }, want: unconfined},
		{name: "no new privileges", edit: func(s *specs.Spec) { s.Process.NoNewPrivileges = !s.Process.NoNewPrivileges }, want: confined},
		{name: "an ordinary user", edit: func(s *specs.Spec) {
			s.Process.User = specs.User{UID: 1000, GID: 1000}
			s.Process.Capabilities = nil
		}, want: confined},
		{name: "a user namespace", edit: func(s *specs.Spec) {
			addNamespace(specs.UserNamespace, "")(s)
			s.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 65536}}
			s.Linux.GIDMappings = s.Linux.UIDMappings
		}, want: confined},
		{name: "no pid namespace of its own", edit: dropNamespace(specs.PIDNamespace), want: confined},
		{name: "a time namespace", edit: addNamespace(specs.TimeNamespace, ""), want: confined, own: true},
		{name: "another container's pid namespace", own: true, edit: func(s *specs.Spec) {
			addNamespace(specs.PIDNamespace, fmt.Sprintf("/proc/%d/ns/pid", host.pid()))(s)
			// A procfs of a namespace that is joined takes Linux 6.17.
			for i := range s.Mounts {
				if s.Mounts[i].Type == "proc" {
					s.Mounts[i] = specs.Mount{Type: "bind", Source: "/proc", Destination: "/proc", Options: []string{"rbind"}}
				}
			}
			s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = nil, nil
			s.Process.Args = []string{"sh", "-c", "(echo >/tmp/allowed) && echo allowed; (echo >/tmp/denied) && echo denied; true"}
		}, want: "allowed\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			test := func(t *testing.T, runtime string) {
				r := boxOf(t, runtime, bundle, c.edit).run()
				if r.Stdout != c.want || r.Code != 0 {
					t.Errorf("got  %v\nwant %s", r, c.want)
				}
			}
			if c.own {
				test(t, drive.Mocker(t))
				return
			}
			eachRuntime(t, test)
		})
	}
}

// TestExec: a process of exec is confined as its flags or its process.json
// say, else as the container is.
func TestExec(t *testing.T) {
	needAppArmor(t)
	eachRuntime(t, func(t *testing.T, runtime string) {
		b := newBox(t, runtime).up()
		free := boxOf(t, runtime, b.bundle, func(s *specs.Spec) { s.Process.ApparmorProfile = "" }).up()
		// What config.json says afterwards is not what the container has.
		drive.Edit(t, b.bundle, func(s *specs.Spec) { s.Process.ApparmorProfile = "" })
		file := func(edit func(*specs.Process)) string {
			p := drive.ReadConfig(t, b.bundle).Process
			p.Args = []string{"sh", "-c", look}
			edit(p)
			data, err := json.Marshal(p)
			must(t, err)
			name := filepath.Join(t.TempDir(), "process.json")
			must(t, os.WriteFile(name, data, 0o644))
			return name
		}
		line := func(id string, flags ...string) []string {
			return append(append([]string{"exec"}, flags...), id, "sh", "-c", look)
		}
		// runc 1.1.5 does not keep it, and looks at config.json alone.
		kept := confined
		if runtime != drive.Mocker(t) {
			kept = unconfined
		}
		for _, c := range []struct {
			name string
			args []string
			want string
		}{
			{"nothing said", line(b.id), kept},
			{"the same", line(b.id, "--apparmor", profile), confined},
			{"another", line(b.id, "--apparmor", other), byOther},
			{"unconfined", line(b.id, "--apparmor", "unconfined"), unconfined},
			{"no new privileges", line(b.id, "--no-new-privs"), kept},
			{"another user", line(b.id, "--user", "1000:1000"), kept},
			{"a process.json that says nothing", []string{"exec", "--process", file(func(*specs.Process) {}), b.id}, kept},
			{"a process.json that says another", []string{"exec", "--process", file(func(p *specs.Process) { p.ApparmorProfile = other }), b.id}, byOther},
			{"in a container without", line(free.id), unconfined},
			{"one, in a container without", line(free.id, "--apparmor", profile), confined},
		} {
			if r := b.call(c.args...); r.Stdout != c.want || r.Code != 0 {
				t.Errorf("%s: got  %v\nwant %s", c.name, r, c.want)
			}
		}
		if r := b.call(line(b.id, "--apparmor", missing)...); r.Code != 255 || !strings.Contains(r.Stderr, "profile") {
			t.Errorf("a missing one: %v", r)
		}
	})
}

// TestHooks: startContainer hooks are confined as the process that they come
// before, the others are the host's.
func TestHooks(t *testing.T) {
	needAppArmor(t)
	eachRuntime(t, func(t *testing.T, runtime string) {
		dir := t.TempDir()
		hook := func(name string) []specs.Hook {
			return []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "read -r label </proc/self/attr/current; echo $label >" + dir + "/" + name}}}
		}
		b := newBox(t, runtime, func(s *specs.Spec) {
			s.Hooks = &specs.Hooks{CreateRuntime: hook("createRuntime"), CreateContainer: hook("createContainer"), StartContainer: hook("startContainer")}
			s.Mounts = append(s.Mounts, specs.Mount{Type: "bind", Source: dir, Destination: dir, Options: []string{"bind"}})
		})
		if r := b.run(); r.Code != 0 {
			t.Fatal(r)
		}
		for name, want := range map[string]string{"createRuntime": "unconfined", "createContainer": "unconfined", "startContainer": profile + " (enforce)"} {
			data, err := os.ReadFile(filepath.Join(dir, name))
			if got := strings.TrimSpace(string(data)); got != want || err != nil {
				t.Errorf("%s: got %q, %v, want %q", name, got, err, want)
			}
		}
	})
}

// TestConfinedAlready: a runtime that is confined itself gives what its own
// profile allows. Under no_new_privs it can only confine more, by a stack of
// both; the kernel refuses anything else. Nobody runs without the profile.
func TestConfinedAlready(t *testing.T) {
	needAppArmor(t)
	bundle := newBox(t, drive.Mocker(t)).bundle
	eachRuntime(t, func(t *testing.T, runtime string) {
		for _, c := range []struct {
			outer, profile string
			nnp            bool
			want           string // of the label, else of the error
		}{
			{outer, profile, false, profile + " (enforce)"},
			{outer, outer + "//&" + profile, true, profile + "//&" + outer + " (enforce)"},
			{outer, profile, true, "operation not permitted"},
			{other, profile, false, "permission denied"}, // other has no rule for change_profile
			{other, "unconfined", false, "permission denied"},
		} {
			b := boxOf(t, runtime, bundle, func(s *specs.Spec) {
				s.Process.ApparmorProfile, s.Process.NoNewPrivileges = c.profile, c.nnp
			})
			r := drive.Exec(t, "aa-exec", "--profile", c.outer, "--", runtime, "run", "--bundle", b.bundle, b.id)
			t.Logf("%s, no new privileges %v: exit %d: %s", c.profile, c.nnp, r.Code, r.Stderr)
			label, rest, _ := strings.Cut(r.Stdout, "\n")
			switch {
			case strings.HasSuffix(c.want, "(enforce)"):
				if label != c.want || !strings.Contains(rest, "can't create /tmp/denied: Permission denied") {
					t.Errorf("%s, no new privileges %v: got %v\nwant %s", c.profile, c.nnp, r, c.want)
				}
			case r.Code == 0 || r.Stdout != "" || !strings.Contains(r.Stderr, c.want):
				t.Errorf("%s, no new privileges %v: got %v\nwant %s", c.profile, c.nnp, r, c.want)
			}
			_ = b.call("delete", "--force", b.id)
		}
	})
}
