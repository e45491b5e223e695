package drive

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Cgroup is the directory of a process in the v1 hierarchy of a controller, as
// the host sees it. It skips the test where the machine has v2 alone.
func Cgroup(t testing.TB, pid int, controller string) string {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if slices.Contains(strings.Split(f[1], ","), controller) {
			return filepath.Join("/sys/fs/cgroup", strings.TrimPrefix(controller, "name="), f[2])
		}
	}
	t.Skipf("needs cgroup v1: this machine has no hierarchy of %s", controller)
	return ""
}

// NeedV1 skips a test where a cgroup v2 tree is all there is in /sys/fs/cgroup.
func NeedV1(t testing.TB) {
	t.Helper()
	if V2(t) {
		t.Skip("needs cgroup v1: this machine has v2 alone")
	}
}

// NeedLimits skips a test that sets limits where the cgroup v2 tree that is all
// there is in /sys/fs/cgroup has not these controllers: that of a hybrid
// machine, looked at as if it were alone.
func NeedLimits(t testing.TB, controllers ...string) {
	t.Helper()
	for _, controller := range controllers {
		if !HasLimits(t, controller) {
			t.Skipf("needs the %s controller: the machine's cgroup v2 tree has none", controller)
		}
	}
}

// HasLimits reports whether there is a controller: see NeedLimits.
func HasLimits(t testing.TB, controller string) bool {
	t.Helper()
	if !V2(t) {
		return true
	}
	data, err := os.ReadFile("/sys/fs/cgroup/cgroup.controllers")
	if err != nil {
		t.Fatal(err)
	}
	return slices.Contains(strings.Fields(string(data)), controller)
}

// V2 reports whether a cgroup v2 tree is all there is in /sys/fs/cgroup.
func V2(t testing.TB) bool {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs("/sys/fs/cgroup", &st); err != nil {
		t.Fatal(err)
	}
	return st.Type == unix.CGROUP2_SUPER_MAGIC
}
