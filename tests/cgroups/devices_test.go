package cgroups

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/coverage"
	"github.com/mocker-runtime/mocker/tests/drive"
)

// mayMknod gives the container the right to make device nodes, which the
// rules leave to everybody.
func mayMknod(s *specs.Spec) {
	c := s.Process.Capabilities
	for _, set := range []*[]string{&c.Bounding, &c.Permitted, &c.Effective} {
		*set = append(*set, "CAP_MKNOD")
	}
}

const denyAll = `{"allow":false,"access":"rwm"}`

// updateDevices replaces the rules of a running container.
func (b *box) updateDevices(rules string) drive.Result {
	b.Helper()
	name := filepath.Join(b.bundle, "rules.json")
	check(b, os.WriteFile(name, []byte(`{"devices":[`+rules+`]}`), 0o644))
	return drive.Run(b, "update", "--resources", name, b.id)
}

// TestDevices: nodes that the container makes; with each update the rules are
// the new ones, and the default devices are always there. 240 is for
// experiments, and no driver has it: an open that gets past the rules finds
// no device.
func TestDevices(t *testing.T) {
	drive.MockersOwn(t, "runc does not change the rules for devices")
	coverage.Shows(t, "linux.resources.devices")
	b := newBox(t, `mknod /null c 1 3; for n in 1 2; do mknod /c$n c 240 $n; mknod /b$n b 240 $n; done; echo made; `+forever, mayMknod, resources(t, `{"devices":[`+denyAll+`]}`)).run()
	drive.Eventually(t, "the nodes are there", func() bool { return strings.Contains(b.started.Output(), "made") })
	const look = `try() { "$@" 2>&1 | grep -q 'not permitted' || printf "$n$1 "; }
		r() { (: </$n); }; w() { (: >/$n); }; rw() { (: <>/$n); }
		for n in c1 c2 b1 b2; do try r; try w; try rw; done
		(: </null) && (: >/dev/null) && (: </dev/urandom) && (: </dev/full) && echo default; mknod /new$$ c 9 9 && rm /new$$`
	for _, step := range []struct{ rules, open string }{
		{"", "default\n"}, // as it was made
		{denyAll + `,{"allow":true,"type":"c","major":240,"minor":1,"access":"r"}`, "c1r default\n"},
		{denyAll + `,{"allow":true,"type":"c","major":240,"access":"rw"}`, "c1r c1w c1rw c2r c2w c2rw default\n"},
		{denyAll + `,{"allow":true,"type":"b","major":240,"minor":2,"access":"rwm"}`, "b2r b2w b2rw default\n"},
		{denyAll, "default\n"},
		{`{"allow":true,"access":"rwm"}`, "c1r c1w c1rw c2r c2w c2rw b1r b1w b1rw b2r b2w b2rw default\n"},
		{`{"allow":true,"access":"rwm"},{"allow":false,"type":"c","major":240,"minor":1,"access":"w"}`, "c1r c2r c2w c2rw b1r b1w b1rw b2r b2w b2rw default\n"},
		{denyAll, "default\n"},
	} {
		if step.rules != "" {
			if r := b.updateDevices(step.rules); r.Code != 0 {
				t.Fatalf("%s: %v", step.rules, r)
			}
		}
		if got := b.prints(look); got != step.open {
			t.Errorf("%s: %q, want %q", step.rules, got, step.open)
		}
	}
	if r := b.updateDevices(`{"allow":true,"type":"x","access":"r"}`); r.Code != 1 || !strings.Contains(r.Stderr, `devices[0].type: "x": not one of a, b, c`) {
		t.Errorf("rules that are none: %v", r)
	}
}

// TestDevicesInPlace: while rules are replaced there is no moment in which a
// default device is denied, or one that neither set of rules allows is open;
// and there is one program all the time.
func TestDevicesInPlace(t *testing.T) {
	drive.MockersOwn(t, "runc does not change the rules for devices")
	b := newBox(t, `mknod /no c 240 1; while :; do (: </dev/zero) || echo denied; (: </no) 2>&1 | grep -v 'not permitted'; : >/looked; done`, mayMknod, resources(t, `{"devices":[`+denyAll+`]}`)).run()
	drive.Eventually(t, "it looks", func() bool { return exists(b.bundle + "/rootfs/looked") })
	for i := range drive.Rounds(100, 20) {
		rules := denyAll
		if i%2 == 0 {
			rules += `,{"allow":true,"type":"c","major":240,"minor":2,"access":"r"}`
		}
		if r := b.updateDevices(rules); r.Code != 0 {
			t.Fatal(r)
		}
		if i%10 == 0 {
			b.oneProgram()
		}
	}
	time.Sleep(10 * time.Millisecond)
	if out := b.started.Output() + b.started.Errors(); out != "" {
		t.Errorf("it saw: %s", out)
	}
}

// oneProgram checks that one program is attached to the container's cgroup.
func (b *box) oneProgram() {
	b.Helper()
	if !unified() {
		return // v1 has files
	}
	dir, err := os.Open(b.dir)
	check(b, err)
	defer dir.Close()
	got, err := link.QueryPrograms(link.QueryOptions{Target: int(dir.Fd()), Attach: ebpf.AttachCGroupDevice})
	check(b, err)
	if len(got.Programs) != 1 {
		b.Errorf("%d programs are attached: %v", len(got.Programs), got.Programs)
	}
}

// TestDevicesUndone: an update that fails later leaves the old rules.
func TestDevicesUndone(t *testing.T) {
	drive.MockersOwn(t, "runc does not change the rules for devices")
	needV2(t, "memory")
	b := newBox(t, "mknod /no c 240 1; echo ready; "+forever, mayMknod, resources(t, `{"devices":[`+denyAll+`]}`)).run()
	drive.Eventually(t, "it is ready", func() bool { return strings.Contains(b.started.Output(), "ready") })
	name := filepath.Join(b.bundle, "limits.json")
	for _, text := range []string{
		`{"devices":[{"allow":true,"access":"rwm"}],"unified":{"memory.high":"much"}}`,
		`{"devices":[{"allow":true,"access":"rwm"}],"memory":{"limit":1000000},"unified":{"nope.x":"1"}}`,
	} {
		check(t, os.WriteFile(name, []byte(text), 0o644))
		if r := drive.Run(t, "update", "--resources", name, b.id); r.Code != 1 {
			t.Errorf("%s: %v", text, r)
		}
		if r := b.exec("exec 3</no"); !strings.Contains(r.Stderr, "Operation not permitted") {
			t.Errorf("%s: %v", text, r)
		}
		b.oneProgram()
	}
}

// TestLockedMemory: loading a program lifts no limit of the container's.
func TestLockedMemory(t *testing.T) {
	want := drive.Exec(t, "sh", "-c", "ulimit -S -l 60; ulimit -l; ulimit -H -l").Stdout
	b := newBox(t, "ulimit -l; ulimit -H -l")
	spec, err := json.Marshal(drive.ReadConfig(t, b.bundle).Process.Rlimits)
	check(t, err)
	if strings.Contains(string(spec), "MEMLOCK") {
		t.Fatal("the bundle sets it itself")
	}
	r := drive.Exec(t, "sh", "-c", `ulimit -S -l 60; exec "$0" run --bundle "$1" "$2"`, drive.Runtime(t), b.bundle, b.id)
	if r.Code != 0 || r.Stdout != want {
		t.Errorf("%v\nwant %s", r, want)
	}
}
