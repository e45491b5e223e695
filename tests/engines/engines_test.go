package engines

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/drive"
)

func TestMain(m *testing.M) { drive.Main(m) }

// runtimePath is the runtime under test by its path: engines take a name for
// the entry of a configuration.
func runtimePath(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath(drive.Runtime(t))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// foreground is a container that an engine runs in the foreground, and what
// is to come of it.
type foreground struct {
	name   string
	flags  []string // of the engine
	cmd    []string // in the container
	code   int
	stdout string // all of it, but for the carriage returns of a terminal
	stderr string // a part of it; "" wants none at all
}

func (f foreground) check(t *testing.T, r drive.Result) {
	t.Helper()
	stdout := strings.ReplaceAll(r.Stdout, "\r", "")
	if r.Code != f.code || stdout != f.stdout || !strings.Contains(r.Stderr, f.stderr) || (f.stderr == "" && r.Stderr != "") {
		t.Errorf("got %v\nwant exit %d, stdout %q, in stderr %q", r, f.code, f.stdout, f.stderr)
	}
}

// inTerminal is a command line that runs another one in a new terminal of 33
// rows and 77 columns. Its output comes on stdout. Nothing is typed: script(1)
// reads from a FIFO that it has open for writing too, since it would pass the
// end of its input on.
func inTerminal(t testing.TB, cmd []string) []string {
	t.Helper()
	keyboard := filepath.Join(t.TempDir(), "keyboard")
	if err := unix.Mkfifo(keyboard, 0o600); err != nil {
		t.Fatal(err)
	}
	quoted := make([]string, len(cmd))
	for i, word := range cmd {
		quoted[i] = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	return []string{
		"sh", "-c", `exec script -qec "$1" /dev/null 0<>"$2"`, "sh",
		"stty rows 33 cols 77; exec " + strings.Join(quoted, " "), keyboard,
	}
}

// atTerminal says which terminal it has, and ends once the engine has made it
// as large as the one outside.
var atTerminal = foreground{
	cmd: []string{"sh", "-c", `tty; ls -l /dev/console | cut -c1
		until [ "$(stty size 2>/dev/null)" = '33 77' ]; do sleep 0.02; done
		echo resized`},
	stdout: "/dev/pts/0\nc\nresized\n",
}

// leaveNothing fails the test unless the machine is in the end as it is now.
// To be called first: cleanups run last in, first out, so that by then the
// engine has gone with all that it has of its own.
func leaveNothing(t *testing.T) {
	t.Helper()
	before := drive.TakeSnapshot(t)
	had := stacks(t)
	t.Cleanup(func() {
		_ = os.Remove("/run/runc") // runc leaves its root behind, mocker does not
		for _, file := range stacks(t) {
			if !slices.Contains(had, file) {
				t.Logf("dockerd has lost its patience with a containerd: %v", os.Remove(file))
			}
		}
		before.Unchanged(t)
	})
}

// stacks are the files that containerd has left of itself, as dockerd asks of one
// that takes long to start.
func stacks(t *testing.T) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(os.TempDir(), "containerd.*.stacks.log"))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// cgroupParent is the cgroup below which an engine puts those of its
// containers. When the test is over nothing may be left in it.
func cgroupParent(t *testing.T, engine string) string {
	t.Helper()
	name := fmt.Sprintf("mocker-%s-%d", engine, os.Getpid())
	t.Cleanup(func() {
		for _, dir := range cgroupDirs(t, name) {
			// The monitor of the last container may be about to end.
			drive.Eventually(t, dir+" can be removed", func() bool { return os.Remove(dir) == nil })
		}
	})
	return name
}

// cgroupDirs are the directories of a cgroup and of those below it that
// engines make for themselves, children first.
func cgroupDirs(t *testing.T, name string) []string {
	t.Helper()
	var list []string
	for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
		for _, sub := range []string{"/[0-9a-f]*/conmon", "/[0-9a-f]*", ""} { // of pods, builds and monitors
			dirs, err := filepath.Glob(pattern + name + sub)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, slices.DeleteFunc(dirs, isFile)...)
		}
	}
	return list
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err != nil || !info.IsDir()
}

// hide puts an empty directory over one of the machine in which an engine
// insists to keep something.
func hide(t *testing.T, dir string) {
	t.Helper()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
		t.Fatalf("mount on %s: %v", dir, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
}

func writeFile(t testing.TB, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// makeLayer packs a small root file system: busybox with its applets, and
// /bin/plain, which is not executable.
func makeLayer(t *testing.T) string { return drive.Layer(t) }

// makeImage packs a layer as `docker save` would.
func makeImage(t *testing.T, layer, name string) string { return drive.Image(t, layer, name) }

// execLine runs a whole command line.
func execLine(t *testing.T, line []string) drive.Result {
	t.Helper()
	return drive.Exec(t, line[0], line[1:]...)
}

// okLine is execLine of what must succeed; it gives what was printed.
func okLine(t *testing.T, line []string) string {
	t.Helper()
	r := execLine(t, line)
	if r.Code != 0 {
		t.Fatalf("%s: %v", strings.Join(line, " "), r)
	}
	return strings.TrimSpace(r.Stdout)
}
