package lsm

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/mocker-runtime/mocker/libcontainer/config"
	"github.com/mocker-runtime/mocker/libcontainer/inside"
	"github.com/mocker-runtime/mocker/tests/coverage"
)

func TestSameProfile(t *testing.T) {
	for _, c := range []struct {
		said, profile string
		want          bool
	}{
		{"docker-default (enforce)\n", "docker-default", true},
		{"docker-default (complain)", "docker-default", true},
		{"docker-default (enforce)\n", "docker", false},
		{"unconfined\n", "unconfined", true},
		{"unconfined\n", "docker-default", false},
		{"", "docker-default", false},
		{"", "", true},
		{"a profile (with brackets) (enforce)\n", "a profile (with brackets)", true},
		{"a//&b (mixed)\n", "b//&a", true},
		{"a//&b (enforce)\n", "b", false},
		{"a (enforce)\n", "a//&b", false},
		{"a (enforce)\n", "a//&a", true},
		{"a//hat (enforce)\n", "a//hat", true},
		{":ns://a (enforce)\n", ":ns:a", true},
		{":ns://a (enforce)\n", ":ns://a", true},
		{":ns://a (enforce)\n", "a", false},
		{"exec a", "a", false}, // a file that gives back what was written
	} {
		if got := sameProfile(c.said, c.profile); got != c.want {
			t.Errorf("%q for %q: %v, want %v", c.said, c.profile, got, c.want)
		}
	}
}

const context = "system_u:system_r:container_t:s0:c1,c2"

// world is a directory that stands for the files of the kernel.
type world struct {
	kernel
	*testing.T
}

func newWorld(t *testing.T, files map[string]string) world {
	t.Helper()
	dir := t.TempDir()
	w := world{kernel{proc: filepath.Join(dir, "proc"), sys: filepath.Join(dir, "sys"), fake: true}, t}
	if err := os.Mkdir(w.proc, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		w.write(filepath.Join(dir, name), text)
	}
	return w
}

func (w world) write(name, text string) {
	w.Helper()
	err := os.MkdirAll(filepath.Dir(name), 0o755)
	if err == nil {
		err = os.WriteFile(name, []byte(text), 0o644)
	}
	if err != nil {
		w.Fatal(err)
	}
}

// attribute is an attribute of a process.
func (w world) attribute(pid int, name string) string {
	return filepath.Join(w.proc, strconv.Itoa(pid), "attr", name)
}

// selinux are the files of a machine on which it is in force.
func selinux() map[string]string {
	return map[string]string{"proc/self/attr/current": "unconfined_u:unconfined_r:unconfined_t:s0\x00", "sys/fs/selinux/context": ""}
}

func child(t *testing.T) *inside.Child {
	t.Helper()
	in, err := inside.New(inside.Birth{CgroupFD: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Kill(); in.Close() })
	return in
}

// expect compares an error with a text that it has to contain; "" is none.
func expect(t *testing.T, err error, want string) {
	t.Helper()
	if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestWhatShowsBefore(t *testing.T) {
	for _, c := range []struct {
		name            string
		files           map[string]string
		apparmor, label string
		wantAppArmor    string
		wantSELinux     string
	}{
		{name: "nothing is there"},
		{name: "nothing is there, and something is wanted", apparmor: "a", label: context,
			wantAppArmor: `unable to apply apparmor profile "a": apparmor is disabled or not supported by the kernel`,
			wantSELinux:  `unable to apply selinux label "` + context + `": selinux is disabled or not supported by the kernel`},
		{name: "unconfined without AppArmor", apparmor: "unconfined"},
		{name: "AppArmor is disabled", files: map[string]string{"sys/module/apparmor/parameters/enabled": "N\n"}, apparmor: "a",
			wantAppArmor: "apparmor is disabled"},
		{name: "AppArmor without securityfs", files: map[string]string{"sys/module/apparmor/parameters/enabled": "Y\n"}, apparmor: "a"},
		{name: "SELinux", files: selinux(), label: context},
		{name: "SELinux without a policy", files: map[string]string{"proc/self/attr/current": "kernel\x00", "sys/fs/selinux/context": ""}, label: context,
			wantSELinux: "selinux is disabled"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, c.files)
			expect(t, w.checkAppArmor(c.apparmor), c.wantAppArmor)
			expect(t, w.checkSELinux(c.label), c.wantSELinux)
		})
	}
}

// TestSELinuxWrites shows which files are written: no machine at hand has
// SELinux.
func TestSELinuxWrites(t *testing.T) {
	coverage.ShowsWrites(t, "process.selinuxLabel")
	w, in := newWorld(t, selinux()), child(t)
	for _, name := range []string{"exec", "keycreate"} {
		file := w.attribute(in.PID, name)
		w.write(file, "")
		expect(t, w.applySELinux(in, name, ""), "")
		if text, _ := os.ReadFile(file); len(text) != 0 {
			t.Errorf("%s: %q was written for no label", name, text)
		}
		expect(t, w.applySELinux(in, name, context), "")
		if text, _ := os.ReadFile(file); string(text) != context {
			t.Errorf("%s: got %q, want %q", name, text, context)
		}
	}
}

// TestAstray has what is written arrive elsewhere: an error each time, and
// what lies there is not touched.
func TestAstray(t *testing.T) {
	for _, c := range []struct {
		name  string
		place func(w world, pid int, canary string)
		want  string
	}{
		{"no attribute", func(world, int, string) {}, "no such file or directory"},
		{"a link", func(w world, pid int, canary string) {
			w.write(w.attribute(pid, "x"), "")
			w.link(canary, w.attribute(pid, "exec"))
		}, "too many levels of symbolic links"},
		{"a link on the way", func(w world, pid int, canary string) {
			w.link(filepath.Dir(canary), w.attribute(pid, "..")+"/attr")
		}, "too many levels of symbolic links"},
		{"a file that keeps what it had", func(w world, pid int, _ string) {
			w.write(w.attribute(pid, "exec"), strings.Repeat("x", 100))
		}, "the kernel is going to apply \"" + context + "xxx"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, in := newWorld(t, selinux()), child(t)
			canary := filepath.Join(t.TempDir(), "exec")
			w.write(canary, "canary")
			c.place(w, in.PID, canary)
			expect(t, w.applySELinux(in, "exec", context), c.want)
			if text, _ := os.ReadFile(canary); string(text) != "canary" {
				t.Errorf("%q was written elsewhere", text)
			}
		})
	}
}

func (w world) link(target, name string) {
	w.Helper()
	err := os.MkdirAll(filepath.Dir(name), 0o755)
	if err == nil {
		err = os.Symlink(target, name)
	}
	if err != nil {
		w.Fatal(err)
	}
}

// TestAppArmorWrites: a file that only gives back what was written to it is
// none of AppArmor's.
func TestAppArmorWrites(t *testing.T) {
	w, in := newWorld(t, map[string]string{"sys/module/apparmor/parameters/enabled": "Y\n"}), child(t)
	file := w.attribute(in.PID, "apparmor/exec")
	expect(t, w.applyAppArmor(in, "mine"), "no such file or directory")
	w.write(file, "")
	expect(t, w.applyAppArmor(in, ""), "")
	expect(t, w.applyAppArmor(in, "mine"), `unable to apply apparmor profile "mine": the kernel is going to apply "exec mine"`)
	if text, _ := os.ReadFile(file); string(text) != "exec mine" {
		t.Errorf("%q was written", text)
	}
}

// TestNotProcfs: only a procfs is written to.
func TestNotProcfs(t *testing.T) {
	w, in := newWorld(t, nil), child(t)
	w.write(w.attribute(in.PID, "exec"), "")
	w.fake = false
	_, err := w.setAttribute(in, "exec", context)
	expect(t, err, "not on procfs")
	w.proc = "/proc/self" // in one, but not its top
	_, err = w.setAttribute(in, "exec", context)
	expect(t, err, "not on procfs")
}

// TestThisMachine: without a profile and a label nothing is asked of a kernel,
// whichever it is; with them it gives them, or there is an error.
func TestThisMachine(t *testing.T) {
	in := child(t)
	expect(t, Confine(in, config.Labels{}), "")
	expect(t, LabelKeys(in, ""), "")
	expect(t, Confine(in, config.Labels{AppArmor: "mocker-none-such"}), "unable to apply apparmor profile")
	expect(t, Confine(in, config.Labels{SELinux: context}), "unable to apply selinux label")
	expect(t, LabelKeys(in, context), "unable to apply selinux label")
	expect(t, CheckAppArmor("unconfined"), "")
	expect(t, Confine(in, config.Labels{AppArmor: "unconfined"}), "")
}
