package box

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mocker-runtime/mocker/tests/drive"
)

func TestMain(m *testing.M) { drive.Main(m) }

var names atomic.Int32

// newName is a name for a container, which goes with the test.
func newName(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("box-%d-%d", os.Getpid(), names.Add(1))
	t.Cleanup(func() { drive.Exec(t, drive.Mocker(t), "delete", "--force", name) })
	return name
}

// mocker runs a command line of mocker.
func mocker(t testing.TB, args ...string) drive.Result {
	t.Helper()
	return drive.Exec(t, drive.Mocker(t), args...)
}

// box runs a box without a network, which takes less time, to its end. It
// has a name, so that it goes even if the test has failed.
func box(t testing.TB, args ...string) drive.Result {
	t.Helper()
	return mocker(t, append([]string{"run", "--network", "none", "--name", newName(t)}, args...)...)
}

// printed is what a box that must succeed prints.
func printed(t testing.TB, args ...string) string {
	t.Helper()
	r := box(t, args...)
	if r.Code != 0 || r.Stderr != "" {
		t.Fatalf("run %s: %v", strings.Join(args, " "), r)
	}
	return r.Stdout
}

// shell runs a script of the host's shell in which mocker is in PATH.
func shell(t testing.TB, script string) drive.Result {
	t.Helper()
	return drive.Exec(t, "sh", "-c", inPath(t)+script)
}

// inPath begins a script in which mocker is in PATH.
func inPath(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Symlink(drive.Mocker(t), filepath.Join(dir, "mocker")); err != nil {
		t.Fatal(err)
	}
	return "PATH=" + dir + ":$PATH\n"
}

// root is a directory with a root file system.
func root(t testing.TB) string {
	t.Helper()
	return filepath.Join(drive.Bundle(t, nil), "rootfs")
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
