package lifecycle

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/drive"
)

func TestMain(m *testing.M) { drive.Main(m) }

type edit = func(*specs.Spec)

// all makes one edit of several.
func all(edits ...edit) edit {
	return func(s *specs.Spec) {
		for _, e := range edits {
			e(s)
		}
	}
}

// box is one container.
type box struct {
	testing.TB
	id, bundle string
	created    *drive.Cmd // what create printed, and what its process prints
}

var boxes atomic.Int32

// newBox makes a bundle and an id for it. The container, if it comes to be,
// goes with the test.
func newBox(t testing.TB, edits ...edit) *box {
	t.Helper()
	b := &box{TB: t, bundle: drive.Bundle(t, all(edits...)), id: fmt.Sprintf("lifecycle-%d-%d", os.Getpid(), boxes.Add(1))}
	t.Cleanup(func() { drive.Run(t, "delete", "--force", b.id) })
	return b
}

// create makes the container, with flags of create.
func (b *box) create(flags ...string) *box {
	b.Helper()
	args := append([]string{"create", "--bundle", b.bundle}, flags...)
	b.created = drive.Start(b, drive.Runtime(b), append(args, b.id)...)
	if r := b.created.Wait(); r.Code != 0 {
		b.Fatalf("create: %v", r)
	}
	return b
}

func (b *box) start() *box {
	b.Helper()
	drive.OK(b, "start", b.id)
	return b
}

// printed is what the process has printed so far.
func (b *box) printed() string { return b.created.Output() }

// state is what `state` prints.
type state struct {
	OCIVersion  string            `json:"ociVersion"`
	ID          string            `json:"id"`
	Pid         int               `json:"pid"`
	Status      string            `json:"status"`
	Bundle      string            `json:"bundle"`
	Rootfs      string            `json:"rootfs"`
	Created     time.Time         `json:"created"`
	Annotations map[string]string `json:"annotations"`
	Owner       string            `json:"owner"`
}

func (b *box) state() state {
	b.Helper()
	var st state
	if err := json.Unmarshal([]byte(drive.OK(b, "state", b.id)), &st); err != nil {
		b.Fatal(err)
	}
	return st
}

// stops waits for the end of the process.
func (b *box) stops() {
	b.Helper()
	drive.Eventually(b, "the container has stopped", func() bool { return b.state().Status == "stopped" })
}

// run runs the container in the foreground to its end.
func (b *box) run(flags ...string) drive.Result {
	b.Helper()
	args := append([]string{"run", "--bundle", b.bundle}, flags...)
	return drive.Run(b, append(args, b.id)...)
}

// inside runs a script in a new container and gives what it prints.
func inside(t testing.TB, script string, edits ...edit) string {
	t.Helper()
	r := newBox(t, append([]edit{drive.Sh(script)}, edits...)...).run()
	if r.Code != 0 || r.Stderr != "" {
		t.Fatalf("%s: %v", script, r)
	}
	return r.Stdout
}

// refused checks that a command fails with a text in its error.
func refused(t testing.TB, want string, args ...string) {
	t.Helper()
	r := drive.Run(t, args...)
	if r.Code != 1 || !strings.Contains(r.Stderr, want) {
		t.Errorf("%s: %v\nwant %q", strings.Join(args, " "), r, want)
	}
}

// call is an own call of the runtime, for what drive has no words for.
func call(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	return exec.Command(drive.Runtime(t), args...)
}

// exitCode waits for a program that was started with its own streams.
func exitCode(t testing.TB, cmd *exec.Cmd) int {
	t.Helper()
	timer := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return cmd.ProcessState.ExitCode()
}

// file reads a file, without white space around its content.
func file(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

// proc is a file of a process.
func proc(t testing.TB, pid int, name string) string {
	t.Helper()
	return file(t, fmt.Sprintf("/proc/%d/%s", pid, name))
}

// field is the value of a line "Name: value" of a file like /proc/PID/status.
func field(text, name string) string {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// temp is a path in a directory of the test's own.
func temp(t testing.TB, name string) string {
	t.Helper()
	return filepath.Join(t.TempDir(), name)
}
