package drive

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// NeedLandlock skips a test where the kernel has no Landlock, or has it
// switched off.
func NeedLandlock(t testing.TB) {
	t.Helper()
	NeedRoot(t)
	data, err := os.ReadFile("/sys/kernel/security/lsm")
	if err != nil {
		dir := t.TempDir()
		if err := unix.Mount("securityfs", dir, "securityfs", 0, ""); err != nil {
			t.Skipf("needs securityfs, to ask for Landlock: %v", err)
		}
		defer func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }()
		if data, err = os.ReadFile(filepath.Join(dir, "lsm")); err != nil {
			t.Fatal(err)
		}
	}
	if !strings.Contains(string(data), "landlock") {
		t.Skipf("needs Landlock: this kernel was booted with %s", data)
	}
}
