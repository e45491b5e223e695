package hooks

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/drive"
)

func TestMain(m *testing.M) { drive.Main(m) }

// kinds are the kinds of hooks in the order in which they run.
var kinds = []string{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"}

// inside reports whether hooks of a kind run in the container's namespaces.
func inside(kind string) bool { return kind == "createContainer" || kind == "startContainer" }

// atStart reports whether it is start that runs them.
func atStart(kind string) bool { return kind == "startContainer" || kind == "poststart" }

// add adds a hook of a kind.
func add(s *specs.Spec, kind string, hook specs.Hook) {
	if s.Hooks == nil {
		s.Hooks = &specs.Hooks{}
	}
	h := s.Hooks
	list := map[string]*[]specs.Hook{
		"prestart":      &h.Prestart, //nolint:staticcheck // deprecated, and what docker uses
		"createRuntime": &h.CreateRuntime, "createContainer": &h.CreateContainer,
		"startContainer": &h.StartContainer, "poststart": &h.Poststart, "poststop": &h.Poststop,
	}[kind]
	*list = append(*list, hook)
}

// sh is a hook that runs a script with the shell, of the host or, for
// startContainer, of the container. $OUT is a directory that both can see.
func (b *box) sh(script string) specs.Hook {
	return specs.Hook{Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: []string{"PATH=/bin:/usr/bin", "OUT=" + b.out}}
}

// box is one container.
type box struct {
	testing.TB
	id, bundle string
	out        string // a directory with the same path in the container, where hooks write
}

var boxes atomic.Int32

// newBox makes a bundle whose process stays. The container, if it comes to
// be, goes with the test.
func newBox(t testing.TB, edits ...func(b *box, s *specs.Spec)) *box {
	t.Helper()
	b := &box{TB: t, id: fmt.Sprintf("hooks-%d-%d", os.Getpid(), boxes.Add(1)), out: t.TempDir()}
	for _, dir := range []string{filepath.Dir(b.out), b.out} {
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	b.bundle = drive.Bundle(t, func(s *specs.Spec) {
		s.Process.Args = []string{"sleep", "1000"}
		s.Mounts = append(s.Mounts, specs.Mount{Destination: b.out, Source: b.out, Options: []string{"bind"}})
		for _, edit := range edits {
			edit(b, s)
		}
	})
	t.Cleanup(func() { drive.Run(t, "delete", "--force", b.id) })
	return b
}

// create, start and so on run a command on the container.
func (b *box) create() drive.Result {
	b.Helper()
	return drive.Run(b, "create", "--bundle", b.bundle, b.id)
}

func (b *box) start() drive.Result { b.Helper(); return drive.Run(b, "start", b.id) }

// life leads the container through its life, to after delete.
func (b *box) life() (pid int) {
	b.Helper()
	b.good(b.create())
	pid = b.pid()
	b.good(b.start())
	drive.OK(b, "delete", "--force", b.id)
	return pid
}

func (b *box) good(r drive.Result) {
	b.Helper()
	if r.Code != 0 || r.Stdout+r.Stderr != "" {
		b.Fatal(r)
	}
}

func (b *box) pid() int {
	b.Helper()
	var state struct{ Pid int }
	if err := json.Unmarshal([]byte(drive.OK(b, "state", b.id)), &state); err != nil {
		b.Fatal(err)
	}
	return state.Pid
}

// gone fails the test if there is still such a container.
func (b *box) gone() {
	b.Helper()
	if r := drive.Run(b, "state", b.id); r.Code == 0 || !strings.Contains(r.Stderr, "does not exist") {
		b.Errorf("the container is still there: %v", r)
	}
}

// has reports whether a hook has made a file in $OUT.
func (b *box) has(name string) bool {
	_, err := os.Stat(filepath.Join(b.out, name))
	return err == nil
}

// wrote is what hooks have written to a file in $OUT.
func (b *box) wrote(name string) string {
	b.Helper()
	data, err := os.ReadFile(filepath.Join(b.out, name))
	if err != nil {
		b.Fatal(err)
	}
	return string(data)
}

// ended waits for the end of the process whose pid on the host a hook has
// written; one that nobody has reaped yet has ended.
func (b *box) ended(pid int) {
	b.Helper()
	drive.Eventually(b, fmt.Sprintf("process %d has ended", pid), func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || strings.Contains(string(stat), ") Z ")
	})
}
