package properties

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// TestKeepOriginalGroups: podman's --group-add keep-groups.
func TestKeepOriginalGroups(t *testing.T) {
	crunToo(t)
	groups := []string{"sed", "-n", "s/Groups:[[:space:]]*//p", "/proc/self/status"}
	set := func(s *specs.Spec) {
		s.Annotations = map[string]string{"run.oci.keep_original_groups": "1"}
		s.Process.User = specs.User{UID: 7, GID: 8, AdditionalGids: []uint32{9}}
		s.Process.Args = groups
	}
	as := func(args ...string) string {
		t.Helper()
		args = append([]string{"--groups=0,5,1234", drive.Runtime(t)}, args...)
		return strings.TrimSpace(printed(t, drive.Exec(t, "setpriv", args...)))
	}
	for name, edits := range map[string][]edit{"plain": {set}, "user namespace": {set, userNamespace}} {
		b := newBox(t, edits...)
		want := "0 5 1234"
		if name != "plain" {
			want = "65534 65534 65534" // no ids of the container's
		}
		if got := as("run", "--bundle", b.bundle, b.id); got != want {
			t.Errorf("%s: groups %q, want %q", name, got, want)
		}
	}
	b := sleeps(t, set)
	if got := as(append([]string{"exec", b.id}, groups...)...); got != "0 5 1234" {
		t.Errorf("exec: groups %q", got)
	}
}

// TestHookOutput: the output of hooks, wherever they run, goes to files.
func TestHookOutput(t *testing.T) {
	crunToo(t)
	dir := t.TempDir()
	out, errs := filepath.Join(dir, "out"), filepath.Join(dir, "errors")
	hook := func(name string) []specs.Hook {
		return []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "echo " + name + "; echo e-" + name + " >&2"}}}
	}
	b := newBox(t, func(s *specs.Spec) {
		s.Annotations = map[string]string{"run.oci.hooks.stdout": out, "run.oci.hooks.stderr": errs}
		s.Hooks = &specs.Hooks{
			Prestart: hook("a"), CreateRuntime: hook("b"), CreateContainer: hook("c"), //nolint:staticcheck // deprecated, and still written
			StartContainer: hook("d"), Poststart: hook("e"), Poststop: hook("f"),
		}
	})
	if r := b.run(); r.Code != 0 || r.Stdout+r.Stderr != "" {
		t.Error(r)
	}
	words := func(path string) string {
		list := strings.Fields(read(t, path))
		if drive.Others() {
			slices.Sort(list) // crun does not wait for startContainer before poststart
		}
		return strings.Join(list, " ")
	}
	if got := words(out); got != "a b c d e f" {
		t.Errorf("output %q", got)
	}
	if got := words(errs); got != "e-a e-b e-c e-d e-e e-f" {
		t.Errorf("errors %q", got)
	}
}

// TestHookOutputRefused: a file that cannot be opened is an error of the hook,
// and a FIFO that nobody reads does not hang it.
func TestHookOutputRefused(t *testing.T) {
	drive.MockersOwn(t, "crun says it in other words, and waits for a reader")
	fifo := filepath.Join(t.TempDir(), "fifo")
	if out, err := exec.Command("mkfifo", fifo).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for path, want := range map[string]string{
		fifo:             ": no such device or address",
		"/no/such/file":  ": no such file or directory",
		"relative/place": `config.json: annotations.run.oci.hooks.stdout: "relative/place": not an absolute path`,
	} {
		b := newBox(t, func(s *specs.Spec) {
			s.Annotations = map[string]string{"run.oci.hooks.stdout": path}
			s.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/true"}}}
		})
		if r := b.run(); r.Code != 1 || !strings.HasSuffix(strings.TrimSpace(r.Stderr), want) {
			t.Errorf("%s: %v", path, r)
		}
	}
}
