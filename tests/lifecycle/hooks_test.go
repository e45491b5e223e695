package lifecycle

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/coverage"
	"github.com/mocker-runtime/mocker/tests/drive"
)

// recording is a hook that appends its state and, if there is a process, its
// network namespace to a file.
func recording(path string) specs.Hook {
	script := `cat >>"$1"; echo >>"$1"; pwd >>"$1.dir"`
	return specs.Hook{Path: "/bin/sh", Args: []string{"sh", "-c", script, "sh", path}, Env: []string{"PATH=/usr/bin:/bin"}}
}

func states(t *testing.T, path string) []specs.State {
	t.Helper()
	var list []specs.State
	for line := range strings.Lines(file(t, path) + "\n") {
		var st specs.State
		if err := json.Unmarshal([]byte(line), &st); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		list = append(list, st)
	}
	return list
}

// TestHooks: what each is told, and that poststop hooks work when the bundle
// has gone.
func TestHooks(t *testing.T) {
	coverage.Shows(t, "hooks: the state comes on stdin",
		"lifecycle: poststart hooks run after the program has been started, before start returns",
		"lifecycle: poststop hooks run after the container has been deleted")
	dir := t.TempDir()
	pre, post, stop := filepath.Join(dir, "prestart"), filepath.Join(dir, "poststart"), filepath.Join(dir, "poststop")
	b := newBox(t, forever, func(s *specs.Spec) {
		s.Annotations = map[string]string{"org.example.key": "value"}
		s.Hooks = &specs.Hooks{
			Prestart:  []specs.Hook{recording(pre)}, //nolint:staticcheck // the one that every runtime has
			Poststart: []specs.Hook{recording(post)},
			Poststop:  []specs.Hook{recording(stop), recording(stop)},
		}
	}).create()
	pid := b.state().Pid
	check := func(path string, count int, status specs.ContainerState, pid int) {
		t.Helper()
		got := states(t, path)
		if len(got) != count {
			t.Fatalf("%s has run %d times", path, len(got))
		}
		for _, st := range got {
			if st.ID != b.id || st.Status != status || st.Pid != pid || st.Bundle != b.bundle || st.Annotations["org.example.key"] != "value" {
				t.Errorf("%s: %+v", filepath.Base(path), st)
			}
		}
	}
	check(pre, 1, specs.StateCreating, pid)
	if got := file(t, pre+".dir"); got != b.bundle {
		t.Errorf("prestart ran in %s", got)
	}
	if _, err := os.Stat(post); err == nil && !drive.Others() {
		t.Error("poststart has run at create") // as Debian's runc does, with status created
	}
	b.start()
	if !drive.Others() {
		check(post, 1, specs.StateRunning, pid)
	}
	drive.OK(t, "kill", b.id, "KILL")
	b.stops()
	if _, err := os.Stat(stop); err == nil {
		t.Error("poststop has run before delete")
	}
	if err := os.RemoveAll(b.bundle); err != nil {
		t.Fatal(err)
	}
	if drive.Others() {
		if err := os.Mkdir(b.bundle, 0o755); err != nil { // runc has its hooks start there
			t.Fatal(err)
		}
	}
	drive.OK(t, "delete", b.id)
	check(stop, 2, specs.StateStopped, 0)
}

// TestPrestartSeesNamespaces: the process has its own, and the root has not
// changed yet.
func TestPrestartSeesNamespaces(t *testing.T) {
	out := temp(t, "out")
	script := `pid=$(sed 's/.*"pid": *\([0-9]*\).*/\1/'); readlink /proc/self/ns/net /proc/$pid/ns/net /proc/$pid/root >` + out
	newBox(t, func(s *specs.Spec) {
		s.Hooks = &specs.Hooks{Prestart: []specs.Hook{ //nolint:staticcheck // the one that every runtime has
			{Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin"}},
		}}
	}).create()
	got := strings.Fields(file(t, out))
	if len(got) != 3 || got[0] == got[1] || got[2] != "/" {
		t.Errorf("network of the hook, of the container, root: %q", got)
	}
}

// TestPrestartFails: nothing is made, later hooks do not run, and what the
// first ones made is undone by poststop.
func TestPrestartFails(t *testing.T) {
	coverage.Shows(t, "lifecycle: a hook that fails during create stops and destroys the container")
	dir := t.TempDir()
	first, last, stop := filepath.Join(dir, "first"), filepath.Join(dir, "last"), filepath.Join(dir, "stop")
	fail := specs.Hook{Path: "/bin/sh", Args: []string{"sh", "-c", "echo no luck >&2; exit 3"}}
	b := newBox(t, func(s *specs.Spec) {
		s.Hooks = &specs.Hooks{
			Prestart: []specs.Hook{recording(first), fail, recording(last)}, //nolint:staticcheck // the one that every runtime has
			Poststop: []specs.Hook{recording(stop)},
		}
	})
	r := drive.Run(t, "create", "--bundle", b.bundle, b.id)
	if r.Code != 1 || !strings.Contains(r.Stderr, "no luck") {
		t.Errorf("%v", r)
	}
	if len(states(t, first)) != 1 {
		t.Error("the first hook has not run once")
	}
	if _, err := os.Stat(last); err == nil {
		t.Error("a hook after the failed one has run")
	}
	if !drive.Others() && len(states(t, stop)) != 1 {
		t.Error("the poststop hook has not run once")
	}
	refused(t, "does not exist", "state", b.id)
}

// TestPoststopFails: a warning, and the others run.
func TestPoststopFails(t *testing.T) {
	coverage.Shows(t, "lifecycle: a poststop hook that fails is a warning")
	drive.MockersOwn(t, "runc stops at the first one, against runtime.md, \"Lifecycle\"")
	out := temp(t, "out")
	b := newBox(t, func(s *specs.Spec) {
		s.Hooks = &specs.Hooks{Poststop: []specs.Hook{{Path: "/does/not/exist"}, recording(out)}}
	}).create()
	r := drive.Run(t, "delete", b.id)
	if r.Code != 0 || !strings.Contains(r.Stderr, "/does/not/exist") {
		t.Errorf("%v", r)
	}
	if len(states(t, out)) != 1 {
		t.Error("the second hook has not run")
	}
	refused(t, "does not exist", "state", b.id)
}
