package properties

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

type edit = func(*specs.Spec)

// box is one container.
type box struct {
	testing.TB
	id, bundle string
}

var boxes atomic.Int32

// newBox makes a bundle and an id for it. The container, if it comes to be,
// goes with the test.
func newBox(t testing.TB, edits ...edit) *box {
	t.Helper()
	b := &box{TB: t, id: fmt.Sprintf("properties-%d-%d", os.Getpid(), boxes.Add(1))}
	b.bundle = drive.Bundle(t, func(s *specs.Spec) {
		for _, edit := range edits {
			edit(s)
		}
	})
	t.Cleanup(func() { drive.Run(t, "delete", "--force", b.id) })
	return b
}

// run runs the container in the foreground to its end.
func (b *box) run(flags ...string) drive.Result {
	b.Helper()
	return drive.Run(b, append(append([]string{"run", "--bundle", b.bundle}, flags...), b.id)...)
}

// sleeps creates and starts a container that stays.
func sleeps(t testing.TB, edits ...edit) *box {
	t.Helper()
	b := newBox(t, append(edits, func(s *specs.Spec) { s.Process.Args = []string{"sleep", "1000"} })...)
	drive.OK(t, "create", "--bundle", b.bundle, b.id)
	drive.OK(t, "start", b.id)
	return b
}

// inside is what a command prints in a new container.
func inside(t testing.TB, command []string, edits ...edit) string {
	t.Helper()
	return printed(t, newBox(t, append(edits, func(s *specs.Spec) { s.Process.Args = command })...).run())
}

// exec is what the process of the bundle prints, with another command line and
// with changes, when it joins the container.
func (b *box) exec(command []string, change func(*specs.Process)) string {
	b.Helper()
	return printed(b, b.tryExec(command, change))
}

func (b *box) tryExec(command []string, change func(*specs.Process)) drive.Result {
	b.Helper()
	p := drive.ReadConfig(b, b.bundle).Process
	p.Args = command
	if change != nil {
		change(p)
	}
	data, err := json.Marshal(p)
	if err != nil {
		b.Fatal(err)
	}
	file := filepath.Join(b.TempDir(), "process.json")
	if err := os.WriteFile(file, data, 0o644); err != nil {
		b.Fatal(err)
	}
	return drive.Run(b, "exec", "--process", file, b.id)
}

// detach starts a process in the container, and has its pid written to a file.
func (b *box) detach(p *specs.Process, pidFile string) drive.Result {
	b.Helper()
	data, err := json.Marshal(p)
	if err != nil {
		b.Fatal(err)
	}
	file := filepath.Join(b.TempDir(), "process.json")
	if err := os.WriteFile(file, data, 0o644); err != nil {
		b.Fatal(err)
	}
	return drive.Run(b, "exec", "--detach", "--pid-file", pidFile, "--process", file, b.id)
}

func printed(t testing.TB, r drive.Result) string {
	t.Helper()
	if r.Code != 0 || r.Stderr != "" {
		t.Fatal(r)
	}
	return strings.TrimSpace(r.Stdout)
}

func sh(script string) []string { return []string{"sh", "-c", script} }

// read reads a file, without white space around its content.
func read(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

func isCrun(t testing.TB) bool {
	return drive.Others() && strings.Contains(filepath.Base(drive.Runtime(t)), "crun")
}

// crunToo leaves out what runc does not do.
func crunToo(t testing.TB) {
	t.Helper()
	if drive.Others() && !isCrun(t) {
		t.Skip("runc does not have it")
	}
}
