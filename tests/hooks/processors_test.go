package hooks

import (
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// TestProcessors: mocker binds itself to one processor while it works. Hooks of
// every kind, the program and that of exec have those that mocker was given.
func TestProcessors(t *testing.T) {
	if runtime.NumCPU() < 2 {
		t.Skip("needs two processors")
	}
	whole := processors(t)
	onHost := regexp.MustCompile("^(prestart|createRuntime|poststart|poststop)")
	check := func(t *testing.T, want string) {
		b := newBox(t, everyKind(`echo "$1 $(grep Cpus_allowed: /proc/self/status)" >>$OUT/log`), func(b *box, s *specs.Spec) {
			s.Process.Args = []string{"sh", "-c", "echo program $(grep Cpus_allowed: /proc/self/status) >>" + b.out + "/log; exec sleep 1000"}
		})
		b.good(b.create())
		b.good(b.start())
		drive.Eventually(t, "the program has written", func() bool { return strings.Contains(b.wrote("log"), "program") })
		lines := strings.Split(strings.TrimSpace(b.wrote("log")), "\n")
		lines = append(lines, drive.OK(t, "exec", b.id, "grep", "Cpus_allowed:", "/proc/self/status"))
		drive.OK(t, "delete", "--force", b.id)
		lines = append(lines, strings.Split(strings.TrimSpace(b.wrote("log")), "\n")...)
		for _, kind := range append(kinds[:], "program") {
			if !strings.Contains(strings.Join(lines, "\n"), kind) {
				t.Errorf("%s has not written", kind)
			}
		}
		for _, line := range lines {
			// Until Linux 6.2 what enters a cgroup has those of its cpuset.
			got := allowed(t, line)
			if got != want && (onHost.MatchString(line) || got != whole) {
				t.Errorf("%s: want %s", line, want)
			}
		}
	}
	check(t, whole)

	var one unix.CPUSet
	one.Set(1)
	runtime.LockOSThread() // what is started from here inherits it
	defer runtime.UnlockOSThread()
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		t.Fatal(err)
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.SchedSetaffinity(0, &before) }()
	check(t, processors(t))
}

// processors are those that this thread has, as proc_pid_status(5) writes them.
func processors(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		t.Fatal(err)
	}
	return allowed(t, string(text))
}

func allowed(t *testing.T, text string) string {
	t.Helper()
	m := regexp.MustCompile(`Cpus_allowed:\s+(\S+)`).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no Cpus_allowed in %q", text)
	}
	return m[1]
}
