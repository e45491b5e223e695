package lsm

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/specconv"
	"github.com/mocker-runtime/mocker/tests/drive"
)

func TestMain(m *testing.M) { drive.Main(m) }

// The profiles of these tests. The first two allow everything but to write to
// one file.
const (
	profile = "mocker-test"
	other   = "mocker-test-other"
	outer   = "mocker-test-outer" // may become any other
	missing = "mocker-test-missing"
)

// look says by what a process is confined, and what it may write to.
const look = `cat /proc/self/attr/current; for f in allowed denied denied-to-other; do (echo $f >/tmp/$f) 2>&1 && echo $f; done; true`

// What look says in each case.
const (
	confined   = profile + " (enforce)\nallowed\nsh: can't create /tmp/denied: Permission denied\ndenied-to-other\n"
	byOther    = other + " (enforce)\nallowed\ndenied\nsh: can't create /tmp/denied-to-other: Permission denied\n"
	unconfined = "unconfined\nallowed\ndenied\ndenied-to-other\n"
)

func hasAppArmor() bool {
	data, err := os.ReadFile("/sys/module/apparmor/parameters/enabled")
	return err == nil && strings.HasPrefix(string(data), "Y")
}

// needAppArmor skips a test where there is none, and loads the profiles.
func needAppArmor(t *testing.T) {
	t.Helper()
	drive.NeedRoot(t)
	if !hasAppArmor() {
		t.Skip("needs AppArmor: this kernel has it not, or disabled")
	}
	load(t, fmt.Sprintf(`
profile %[1]s flags=(attach_disconnected) {
%[3]s
  deny /tmp/denied w,
}
profile %[2]s flags=(attach_disconnected) {
%[3]s
  deny /tmp/denied-to-other w,
}
profile %[4]s flags=(attach_disconnected) {
%[3]s
  change_profile -> **,
}
`, profile, other, "file, capability, network, mount, umount, pivot_root, ptrace, signal, unix,", outer))
}

// load loads profiles for the time of a test.
func load(t *testing.T, profiles string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "profiles")
	must(t, os.WriteFile(file, []byte(profiles), 0o644))
	if r := drive.Exec(t, "apparmor_parser", "--skip-cache", "--replace", file); r.Code != 0 {
		t.Fatalf("load profiles: %v", r)
	}
	t.Cleanup(func() { drive.Exec(t, "apparmor_parser", "--skip-cache", "--remove", file) })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eachRuntime runs a test on mocker and, where it is installed, on runc.
func eachRuntime(t *testing.T, test func(t *testing.T, runtime string)) {
	t.Helper()
	t.Run("mocker", func(t *testing.T) { test(t, drive.Mocker(t)) })
	if runc, err := exec.LookPath("runc"); err == nil {
		t.Run("runc", func(t *testing.T) { test(t, runc) })
	}
}

// box is a container of a runtime, which goes with the test.
type box struct {
	*testing.T
	runtime, bundle, id string
}

var boxes int

func newBox(t *testing.T, runtime string, edits ...func(*specs.Spec)) *box {
	t.Helper()
	bundle := drive.Bundle(t, nil)
	must(t, os.Chmod(filepath.Dir(bundle), 0o755)) // runc walks there as the root of a user namespace
	writable(t, bundle)
	return boxOf(t, runtime, bundle, edits...)
}

// boxOf is newBox with a bundle that is there: to make one takes an emulated
// machine longer than a container.
func boxOf(t *testing.T, runtime, bundle string, edits ...func(*specs.Spec)) *box {
	t.Helper()
	boxes++
	b := &box{T: t, runtime: runtime, bundle: bundle, id: fmt.Sprintf("lsm-%d-%d", os.Getpid(), boxes)}
	spec := specconv.Example()
	spec.Version = "1.0.2" // what Debian's runc knows as well
	spec.Process.Terminal, spec.Root.Readonly = false, false
	spec.Process.ApparmorProfile = profile
	drive.Sh(look)(spec)
	for _, edit := range edits {
		edit(spec)
	}
	drive.WriteConfig(t, bundle, spec)
	t.Cleanup(func() { _ = b.call("delete", "--force", b.id) })
	return b
}

// writable makes the files that look writes to, for everybody.
func writable(t *testing.T, bundle string) {
	t.Helper()
	for _, name := range []string{"allowed", "denied", "denied-to-other"} {
		file := filepath.Join(bundle, "rootfs/tmp", name)
		must(t, os.WriteFile(file, nil, 0o666))
		must(t, os.Chmod(file, 0o666))
	}
}

func (b *box) call(args ...string) drive.Result {
	b.Helper()
	return drive.Exec(b, b.runtime, args...)
}

func (b *box) ok(args ...string) string {
	b.Helper()
	r := b.call(args...)
	if r.Code != 0 {
		b.Fatalf("%s: %v", strings.Join(args, " "), r)
	}
	return r.Stdout
}

func (b *box) run() drive.Result {
	b.Helper()
	return b.call("run", "--bundle", b.bundle, b.id)
}

// up leaves a running container; its process sleeps.
func (b *box) up() *box {
	b.Helper()
	drive.Edit(b, b.bundle, func(s *specs.Spec) { s.Process.Args = []string{"sleep", "1000"} })
	b.ok("run", "--detach", "--bundle", b.bundle, b.id)
	return b
}

// pid is that of the container's first process.
func (b *box) pid() int {
	b.Helper()
	var st struct{ Pid int }
	must(b.T, json.Unmarshal([]byte(b.ok("state", b.id)), &st))
	return st.Pid
}

// labelOf is what the kernel says a process is confined by.
func labelOf(t *testing.T, pid int) string {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/attr/apparmor/current", pid))
	must(t, err)
	return strings.TrimSpace(string(data))
}

func addNamespace(kind specs.LinuxNamespaceType, path string) func(*specs.Spec) {
	return func(s *specs.Spec) {
		dropNamespace(kind)(s)
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: kind, Path: path})
	}
}

func dropNamespace(kind specs.LinuxNamespaceType) func(*specs.Spec) {
	return func(s *specs.Spec) {
		var kept []specs.LinuxNamespace
		for _, ns := range s.Linux.Namespaces {
			if ns.Type != kind {
				kept = append(kept, ns)
			}
		}
		s.Linux.Namespaces = kept
	}
}
