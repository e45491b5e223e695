package lsm

import (
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/drive"
)

const context = "system_u:system_r:container_t:s0:c1,c2"

// TestWhatThisKernelLacks is refused before anything is made, by create and
// by exec.
func TestWhatThisKernelLacks(t *testing.T) {
	noProfile := `unable to apply apparmor profile "` + missing + `": apparmor is disabled or not supported by the kernel`
	if hasAppArmor() {
		noProfile = `unable to apply apparmor profile "` + missing + `": no such profile is loaded`
	}
	noLabel := `unable to apply selinux label "` + context + `": selinux is disabled or not supported by the kernel`

	bundle := newBox(t, drive.Mocker(t)).bundle
	before := drive.TakeSnapshot(t)
	for _, c := range []struct {
		name string
		edit func(*specs.Spec)
		want string
	}{
		{"a profile", func(s *specs.Spec) { s.Process.ApparmorProfile = missing }, "process.apparmorProfile: " + noProfile},
		{"a stack with a profile", func(s *specs.Spec) { s.Process.ApparmorProfile = "unconfined//&" + missing },
			"process.apparmorProfile: " + strings.Replace(noProfile, missing, "unconfined//&"+missing, 1)},
		{"a label", func(s *specs.Spec) { s.Process.SelinuxLabel = context }, "process.selinuxLabel: " + noLabel},
		{"a label of mounts", func(s *specs.Spec) { s.Linux.MountLabel = context }, "linux.mountLabel: " + noLabel},
	} {
		t.Run("create with "+c.name, func(t *testing.T) {
			b := boxOf(t, drive.Mocker(t), bundle, func(s *specs.Spec) { s.Process.ApparmorProfile = "" }, c.edit)
			r := b.call("create", "--bundle", b.bundle, b.id)
			if r.Code != 1 || r.Stderr != "mocker: config.json: "+c.want+"\n" {
				t.Errorf("got  %v\nwant %s", r, c.want)
			}
		})
	}
	before.Unchanged(t)

	b := newBox(t, drive.Mocker(t), func(s *specs.Spec) { s.Process.ApparmorProfile = "" }).up()
	for _, c := range []struct{ flag, value, want string }{
		{"--apparmor", missing, noProfile},
		{"--process-label", context, noLabel},
	} {
		r := b.call("exec", c.flag, c.value, b.id, "true")
		if r.Code != 255 || r.Stderr != "mocker: "+c.want+"\n" {
			t.Errorf("exec %s: got  %v\nwant %s", c.flag, r, c.want)
		}
	}
}

// TestUnconfinedAnywhere: the name of no profile means the same whether the
// kernel has profiles or not.
func TestUnconfinedAnywhere(t *testing.T) {
	const script = "cat /proc/self/attr/current 2>/dev/null || echo unconfined"
	b := newBox(t, drive.Mocker(t), func(s *specs.Spec) {
		s.Process.ApparmorProfile = "unconfined"
		s.Process.Args = []string{"sh", "-c", script}
	})
	if r := b.run(); r.Code != 0 || r.Stdout != "unconfined\n" {
		t.Errorf("run: %v", r)
	}
	b.up()
	if r := b.call("exec", "--apparmor", "unconfined", b.id, "sh", "-c", script); r.Code != 0 || r.Stdout != "unconfined\n" {
		t.Errorf("exec: %v", r)
	}
}
