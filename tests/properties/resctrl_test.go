package properties

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/coverage"
	"github.com/mocker-runtime/mocker/tests/drive"
)

// TestIntelRdt: there are few machines with it, so a directory stands for the
// resctrl file system, and all that is shown is what is written there.
func TestIntelRdt(t *testing.T) {
	drive.MockersOwn(t, "only mocker can be given a directory")
	coverage.ShowsWrites(t, "linux.intelRdt.schemata", "linux.intelRdt.l3CacheSchema", "linux.intelRdt.memBwSchema", "linux.intelRdt.enableMonitoring")
	root := t.TempDir()
	b := newBox(t, func(s *specs.Spec) {
		s.Process.Args = []string{"sleep", "1000"}
		s.Linux.IntelRdt = &specs.LinuxIntelRdt{L3CacheSchema: "L3:0=f", MemBwSchema: "MB:0=50", Schemata: []string{"L2:0=1"}, EnableMonitoring: true}
	})
	file := filepath.Join(t.TempDir(), "pid")
	drive.OK(t, "create", "--resctrl", root, "--bundle", b.bundle, "--pid-file", file, b.id)
	drive.OK(t, "start", b.id)
	dir := filepath.Join(root, b.id)
	tasks := []string{filepath.Join(dir, "tasks"), filepath.Join(dir, "mon_groups", b.id, "tasks")}
	for _, path := range tasks {
		if got, want := read(t, path), read(t, file); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	drive.OK(t, "update", "--l3-cache-schema", "L3:0=7", "--mem-bw-schema", "MB:0=20", b.id)
	if got, want := read(t, filepath.Join(dir, "schemata")), "L3:0=f\nMB:0=50\nL2:0=1\nL3:0=7\nMB:0=20"; got != want {
		t.Errorf("schemata %q, want %q", got, want)
	}
	drive.OK(t, "exec", b.id, "true")
	for _, path := range tasks {
		pid, err := strconv.Atoi(strings.TrimPrefix(read(t, path), read(t, file)))
		if err != nil || pid < 2 {
			t.Errorf("the process of exec is not in %s: %q", path, read(t, path))
		}
	}
	drive.OK(t, "delete", "--force", b.id)
	if left, err := os.ReadDir(root); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestIntelRdtClass: a class of service by its name, which is there before, and
// stays.
func TestIntelRdtClass(t *testing.T) {
	drive.MockersOwn(t, "only mocker can be given a directory")
	coverage.ShowsWrites(t, "linux.intelRdt.closID")
	root, file := t.TempDir(), filepath.Join(t.TempDir(), "pid")
	if err := os.Mkdir(filepath.Join(root, "gold"), 0o755); err != nil {
		t.Fatal(err)
	}
	b := newBox(t, func(s *specs.Spec) { s.Linux.IntelRdt = &specs.LinuxIntelRdt{ClosID: "gold"} })
	drive.OK(t, "create", "--resctrl", root, "--bundle", b.bundle, "--pid-file", file, b.id)
	tasks := filepath.Join(root, "gold", "tasks")
	if got, want := read(t, tasks), read(t, file); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	drive.OK(t, "delete", "--force", b.id)
	if list, err := os.ReadDir(root); err != nil || len(list) != 1 {
		t.Errorf("afterwards: %v, %v", list, err)
	}
}

// TestIntelRdtUndone: a create that fails leaves no class of service.
func TestIntelRdtUndone(t *testing.T) {
	drive.MockersOwn(t, "only mocker can be given a directory")
	root := t.TempDir()
	b := newBox(t, func(s *specs.Spec) {
		s.Process.Args = []string{"none-such"}
		s.Linux.IntelRdt = &specs.LinuxIntelRdt{EnableMonitoring: true}
	})
	if r := b.run("--resctrl", root); r.Code != 1 || !strings.Contains(r.Stderr, "find program") {
		t.Error(r)
	}
	if left, err := os.ReadDir(root); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
