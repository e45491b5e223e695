// Package drive runs the built mocker from the outside, as a person or an
// engine does, for the black-box tests beside it: it makes bundles, runs
// commands, and compares the machine before with the machine after.
//
// A test binary that calls Main runs in network and mount namespaces of its
// own with an empty /run, so that links, rules, mounts and states of its
// containers never touch the machine. Cgroups cannot be had in private; tests
// use names of their own.
//
// RUNTIME=runc (or crun, or a path) runs the same tests on another runtime: a
// test that fails there is wrong, or shows where mocker is meant to differ.
package drive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const inNamespaces = "MOCKER_TEST_IN_NAMESPACES"

// Main is the TestMain of a black-box package.
func Main(m *testing.M) {
	if os.Getuid() != 0 {
		fmt.Println("not root: the black-box tests make containers, and each will say that it needs root")
		os.Exit(m.Run())
	}
	if os.Getenv(inNamespaces) == "" {
		os.Exit(again())
	}
	if err := settle(); err != nil {
		fmt.Println("prepare the namespaces of the tests:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// again runs this test binary in namespaces of its own.
func again() int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), inNamespaces+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if err := buildOnce(cmd); err != nil {
		fmt.Println(err)
		return 1
	}
	if dir := cmd.Env[len(cmd.Env)-1]; strings.HasPrefix(dir, "MOCKER_BUILT=") {
		defer os.RemoveAll(strings.TrimPrefix(dir, "MOCKER_BUILT="))
	}
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// buildOnce gives the tests the binary that MOCKER names, or one built now.
func buildOnce(cmd *exec.Cmd) error {
	if os.Getenv("MOCKER") != "" {
		return nil
	}
	dir, err := os.MkdirTemp("", "mocker-built-")
	if err != nil {
		return err
	}
	bin := filepath.Join(dir, "mocker")
	if err := Build(bin); err != nil {
		os.RemoveAll(dir)
		return err
	}
	cmd.Env = append(cmd.Env, "MOCKER="+bin, "MOCKER_BUILT="+dir)
	return nil
}

// Build makes mocker as it ships: the Makefile knows how. With more, words of
// make's such as MORE_TAGS=killpoints, it is another one.
func Build(path string, more ...string) error {
	return runMake(append([]string{"build", "BINARY=" + path}, more...)...)
}

func runMake(words ...string) error {
	mod, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return fmt.Errorf("go env GOMOD: %w", err)
	}
	root := filepath.Dir(strings.TrimSpace(string(mod)))
	if out, err := exec.Command("make", append([]string{"--no-print-directory", "-C", root}, words...)...).CombinedOutput(); err != nil {
		return fmt.Errorf("make %s: %w\n%s", strings.Join(words, " "), err, out)
	}
	return nil
}

// UnderRaceDetector makes the mocker under test one that was built with Go's
// race detector. What that reports fails the test at its end.
func UnderRaceDetector(t testing.TB) {
	t.Helper()
	MockersOwn(t, "what is built is mocker")
	NeedRoot(t)
	for _, name := range []string{"go", "gcc"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("needs %s, which is not on this machine, to build mocker with the race detector", name)
		}
	}
	binary, reports := filepath.Join(t.TempDir(), "mocker"), t.TempDir()
	if err := runMake("build-race", "BINARY="+binary); err != nil {
		t.Fatal(err)
	}
	t.Setenv("MOCKER", binary)
	// docs/birth.md tells why there must be no restartable sequences.
	t.Setenv("GLIBC_TUNABLES", "glibc.pthread.rseq=0")
	// What is seen is written at once, so there is nothing to wait for at the end.
	t.Setenv("GORACE", "halt_on_error=0 exitcode=66 atexit_sleep_ms=0 log_path="+filepath.Join(reports, "report"))
	t.Cleanup(func() {
		files, err := os.ReadDir(reports)
		if err != nil {
			t.Error(err)
		}
		for _, f := range files {
			text, err := os.ReadFile(filepath.Join(reports, f.Name()))
			t.Errorf("the race detector reports: %s (%v)", text, err)
		}
	})
}

// settle makes the new namespaces usable: nothing propagates back, /run is
// empty, lo is up, and whatever a container leaves behind becomes a child of
// the test.
func settle() error {
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	if err := os.MkdirAll("/run/lock", 0o755); err != nil {
		return err
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return fmt.Errorf("bring up lo: %w: %s", err, out)
	}
	return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
}

// Rounds is how often to do what is repeated because a thing may happen or not:
// n times, or under -short, on an emulated machine for example, a few times.
func Rounds(n, few int) int {
	if testing.Short() {
		return few
	}
	return n
}

// Patience is how long something may take: d, or under -short five times as
// long. The bound is there to see a hang, not how fast the machine is.
func Patience(d time.Duration) time.Duration {
	if testing.Short() {
		return 5 * d
	}
	return d
}

// NeedKernel skips a test of what only a newer Linux has.
func NeedKernel(t testing.TB, major, minor int) {
	t.Helper()
	if m, n := Kernel(t); m < major || m == major && n < minor {
		t.Skipf("needs Linux %d.%d or newer: this is %d.%d", major, minor, m, n)
	}
}

// Kernel is the version of Linux.
func Kernel(t testing.TB) (major, minor int) {
	t.Helper()
	if _, err := fmt.Sscanf(Release(t), "%d.%d", &major, &minor); err != nil {
		t.Fatalf("version of Linux: %v", err)
	}
	return major, minor
}

// Release is what uname -r prints.
func Release(t testing.TB) string {
	t.Helper()
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		t.Fatal(err)
	}
	return unix.ByteSliceToString(uts.Release[:])
}

// NeedRoot skips a test that only root can run.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: makes containers")
	}
}

// Runtime is the runtime under test.
func Runtime(t testing.TB) string {
	t.Helper()
	if other := os.Getenv("RUNTIME"); other != "" {
		return other
	}
	return Mocker(t)
}

// Others reports whether another runtime is under test.
func Others() bool { return os.Getenv("RUNTIME") != "" }

// MockersOwn leaves out what other runtimes do not do, and says why.
func MockersOwn(t testing.TB, why string) {
	t.Helper()
	if Others() {
		t.Skipf("not for %s: %s", os.Getenv("RUNTIME"), why)
	}
}

// Mocker is the path of the built binary.
func Mocker(t testing.TB) string {
	t.Helper()
	NeedRoot(t)
	path, err := filepath.Abs(os.Getenv("MOCKER"))
	if err != nil || os.Getenv("MOCKER") == "" {
		t.Fatal("MOCKER does not name the binary to test")
	}
	return path
}

// Result is how a command ended.
type Result struct {
	Stdout, Stderr string
	Code           int // exit status, 128+n for signal n
	Took           time.Duration
}

func (r Result) String() string {
	return fmt.Sprintf("exit %d\nstdout: %s\nstderr: %s", r.Code, r.Stdout, r.Stderr)
}

// Run runs the runtime with these arguments, for a minute at most.
func Run(t testing.TB, args ...string) Result {
	t.Helper()
	return Exec(t, Runtime(t), args...)
}

// OK is Run of what must succeed; it gives what was printed.
func OK(t testing.TB, args ...string) string {
	t.Helper()
	r := Run(t, args...)
	if r.Code != 0 {
		t.Fatalf("%s: %v", strings.Join(args, " "), r)
	}
	return r.Stdout
}

// Exec runs any program, for a minute at most.
func Exec(t testing.TB, path string, args ...string) Result {
	t.Helper()
	c := Start(t, path, args...)
	r := c.Wait()
	// A test may do this ten thousand times.
	for _, w := range []io.Writer{c.Stdout, c.Stderr} {
		w.(*os.File).Close()
	}
	return r
}

// Cmd is a program that was started.
type Cmd struct {
	*exec.Cmd
	t      testing.TB
	start  time.Time
	cancel context.CancelFunc
}

// Start starts any program. It is killed after a minute.
//
// Its output goes to files, not pipes: a container inherits it, and a pipe
// would be waited for until the container ends.
func Start(t testing.TB, path string, args ...string) *Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	c := &Cmd{Cmd: exec.CommandContext(ctx, path, args...), t: t, start: time.Now(), cancel: cancel}
	c.Stdout, c.Stderr = tempFile(t), tempFile(t)
	if err := c.Cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	return c
}

func tempFile(t testing.TB) *os.File {
	t.Helper()
	f, err := os.CreateTemp("", "drive-output-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(f.Name()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// Wait waits for the end of the program.
func (c *Cmd) Wait() Result {
	c.t.Helper()
	err := c.Cmd.Wait()
	c.cancel()
	res := Result{Stdout: content(c.t, c.Stdout), Stderr: content(c.t, c.Stderr), Took: time.Since(c.start)}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		res.Code = exit.ExitCode()
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			res.Code = 128 + int(ws.Signal())
		}
	case err != nil:
		c.t.Fatalf("%s: %v", c.Path, err)
	}
	return res
}

// Output is what the program, or a container that inherited it, has written
// so far.
func (c *Cmd) Output() string { return content(c.t, c.Stdout) }

// Errors is what it has written to stderr so far.
func (c *Cmd) Errors() string { return content(c.t, c.Stderr) }

func content(t testing.TB, w any) string {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/self/fd/%d", w.(*os.File).Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Eventually waits until a condition holds, for ten seconds at most (Patience).
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	limit := Patience(10 * time.Second)
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("not within %v: %s", limit, what)
}
