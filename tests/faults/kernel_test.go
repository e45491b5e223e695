package faults

import (
	"fmt"
	"testing"

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

// TestOldKernel: one line says that the kernel is too old, and nothing has
// been made. What needs no container works.
func TestOldKernel(t *testing.T) {
	if major, minor := drive.Kernel(t); major > 5 || minor >= 12 {
		t.Skip("needs a kernel that is too old, before Linux 5.12")
	}
	bundle, before := faultBundle(t)
	for _, args := range entering(bundle) {
		r := drive.Run(t, args...)
		want := fmt.Sprintf("mocker: the kernel is too old: Linux 5.14 or newer is needed, and %s lacks mount_setattr\n", drive.Release(t))
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
	drive.NeedKernel(t, 5, 12)
	bundle, before := faultBundle(t)
	for _, args := range entering(bundle) {
		r := drive.Exec(t, "strace", append([]string{"-D", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", "trace=mount_setattr",
			"-e", "inject=mount_setattr:error=ENOSYS", drive.Mocker(t)}, args...)...)
		want := fmt.Sprintf("mocker: mount_setattr: function not implemented: Linux %s has it, so a sandbox keeps it from mocker\n", drive.Release(t))
		if r.Code == 0 || r.Stdout != "" || r.Stderr != want {
			t.Errorf("%s: %v", args[0], r)
		}
		before.untouched(t)
	}
}
