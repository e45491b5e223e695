package exec

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

// box is one container whose first process stays.
type box struct {
	testing.TB
	id, bundle string
	pid        int
}

var boxes atomic.Int32

// created makes a container that waits for start. It goes with the test.
func created(t testing.TB, edits ...edit) *box {
	t.Helper()
	b := &box{TB: t, id: fmt.Sprintf("exec-%d-%d", os.Getpid(), boxes.Add(1))}
	b.bundle = drive.Bundle(t, func(s *specs.Spec) {
		s.Process.Args = []string{"sleep", "1000"}
		for _, edit := range edits {
			edit(s)
		}
	})
	t.Cleanup(func() { drive.Run(t, "delete", "--force", b.id) })
	drive.OK(t, "create", "--bundle", b.bundle, b.id)
	var state struct{ Pid int }
	if err := json.Unmarshal([]byte(drive.OK(t, "state", b.id)), &state); err != nil {
		t.Fatal(err)
	}
	b.pid = state.Pid
	return b
}

// running makes a container and starts it.
func running(t testing.TB, edits ...edit) *box {
	t.Helper()
	b := created(t, edits...)
	drive.OK(t, "start", b.id)
	return b
}

// args is a command line of exec: flags, the container, and a program unless
// it is "".
func (b *box) args(script string, flags ...string) []string {
	list := append(append([]string{"exec"}, flags...), b.id)
	if script != "" {
		list = append(list, "sh", "-c", script)
	}
	return list
}

// exec runs a script in the container.
func (b *box) exec(script string, flags ...string) drive.Result {
	b.Helper()
	return drive.Run(b, b.args(script, flags...)...)
}

// prints is what a script prints that ends well.
func (b *box) prints(script string, flags ...string) string {
	b.Helper()
	r := b.exec(script, flags...)
	if r.Code != 0 || r.Stderr != "" {
		b.Fatalf("exec %q %s: %v", flags, script, r)
	}
	return r.Stdout
}

// process writes a process.json and gives its path.
func (b *box) process(edit func(*specs.Process)) string {
	b.Helper()
	p := drive.ReadConfig(b, b.bundle).Process
	edit(p)
	data, err := json.Marshal(p)
	if err != nil {
		b.Fatal(err)
	}
	path := filepath.Join(b.TempDir(), "process.json")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		b.Fatal(err)
	}
	return path
}

func script(text string) func(*specs.Process) {
	return func(p *specs.Process) { p.Args = []string{"sh", "-c", text} }
}

// read reads a file, without white space around its content.
func read(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
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
