package drive

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
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

// Freeze stops all processes of a cgroup of v1's freezer until thaw, which is
// called at the end of the test at the latest.
func Freeze(t testing.TB, freezer string) (thaw func()) {
	t.Helper()
	write := func(state string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(freezer, "freezer.state"), []byte(state), 0); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	write("FROZEN")
	thaw = func() { write("THAWED") }
	t.Cleanup(thaw)
	return thaw
}
