package hooks

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// look writes what the shell's children have of processors and timers.
const look = `$(grep Cpus_allowed: /proc/self/status) slack $(cat /proc/self/timerslack_ns)`

// TestProcessors: mocker binds itself to one processor while it works, and lets
// its timers be late. Hooks of every kind, the program and that of exec have
// the processors and timers that mocker was given.
func TestProcessors(t *testing.T) {
	if runtime.NumCPU() < 2 {
		t.Skip("needs two processors")
	}
	whole := processors(t)
	onHost := regexp.MustCompile("^(prestart|createRuntime|poststart|poststop)")
	check := func(t *testing.T, want string, slack uintptr) {
		b := newBox(t, everyKind(`echo "$1 `+look+`" >>$OUT/log`), func(b *box, s *specs.Spec) {
			s.Process.Args = []string{"sh", "-c", "echo program " + look + " >>" + b.out + "/log; exec sleep 1000"}
		})
		b.good(b.create())
		b.good(b.start())
		drive.Eventually(t, "the program has written", func() bool { return strings.Contains(b.wrote("log"), "program") })
		lines := strings.Split(strings.TrimSpace(b.wrote("log")), "\n")
		lines = append(lines, strings.TrimSpace(drive.OK(t, "exec", b.id, "sh", "-c", "echo exec "+look)))
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
			if !strings.HasSuffix(line, fmt.Sprintf(" slack %d", slack)) {
				t.Errorf("%s: want a timer slack of %d ns", line, slack)
			}
		}
	}
	runtime.LockOSThread() // what is started from here inherits what it has
	defer runtime.UnlockOSThread()
	given, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	check(t, whole, uintptr(given))

	var one unix.CPUSet
	one.Set(1)
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		t.Fatal(err)
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.SchedSetaffinity(0, &before) }()
	for _, slack := range []uintptr{70_000, 5_000_000} { // less than mocker takes for itself, and more
		if err := unix.Prctl(unix.PR_SET_TIMERSLACK, slack, 0, 0, 0); err != nil {
			t.Fatal(err)
		}
		check(t, processors(t), slack)
	}
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(given), 0, 0, 0); err != nil {
		t.Fatal(err)
	}
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
