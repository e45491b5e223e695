package faults

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// entering are the command lines that need what the kernel may not have.
func entering(bundle string) [][]string {
	return [][]string{
		{"create", "--bundle", bundle, id},
		{"run", "--bundle", bundle, id},
		{"exec", id, "true"},
	}
}

func release(t *testing.T) (name string, major, minor int) {
	t.Helper()
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		t.Fatal(err)
	}
	name = unix.ByteSliceToString(uts.Release[:])
	if _, err := fmt.Sscanf(name, "%d.%d", &major, &minor); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return name, major, minor
}

// TestOldKernel: one line says that the kernel is too old, and nothing has
// been made. What needs no container works.
func TestOldKernel(t *testing.T) {
	name, major, minor := release(t)
	if major > 5 || minor >= 12 {
		t.Skip("needs a kernel that is too old, before Linux 5.12")
	}
	bundle, before := faultBundle(t)
	for _, args := range entering(bundle) {
		r := drive.Run(t, args...)
		want := fmt.Sprintf("mocker: the kernel is too old: Linux 5.14 or newer is needed, and %s lacks mount_setattr\n", name)
		if r.Code == 0 || r.Stdout != "" || r.Stderr != want {
			t.Errorf("%s: %v", args[0], r)
		}
		before.untouched(t)
	}
	for _, args := range [][]string{{"list"}, {"--version"}, {"spec", "--bundle", t.TempDir()}, {"delete", "--force", id}} {
		drive.OK(t, args...)
	}
}

// TestFilteredKernel: in a sandbox that answers in the kernel's place, it is
// not the kernel that is said to be too old.
func TestFilteredKernel(t *testing.T) {
	name, major, minor := release(t)
	if major < 5 || major == 5 && minor < 12 {
		t.Skip("needs Linux 5.12 or newer")
	}
	bundle, before := faultBundle(t)
	for _, args := range entering(bundle) {
		r := drive.Exec(t, "strace", append([]string{"-D", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", "trace=mount_setattr",
			"-e", "inject=mount_setattr:error=ENOSYS", drive.Mocker(t)}, args...)...)
		want := fmt.Sprintf("mocker: mount_setattr: function not implemented: Linux %s has it, so a sandbox keeps it from mocker\n", name)
		if r.Code == 0 || r.Stdout != "" || r.Stderr != want {
			t.Errorf("%s: %v", args[0], r)
		}
		before.untouched(t)
	}
}
