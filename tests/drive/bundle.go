package drive

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/specconv"
)

// Bundle makes a bundle: what `spec` writes, without terminal, on a busybox
// root that can be written to, changed by edit. It goes with the test.
func Bundle(t testing.TB, edit func(*specs.Spec)) string {
	t.Helper()
	NeedRoot(t)
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	busyboxRoot(t, filepath.Join(dir, "rootfs"))
	spec := specconv.Example()
	spec.Version = "1.0.2" // what Debian's runtimes know as well
	spec.Process.Terminal = false
	spec.Process.Args = []string{"true"}
	spec.Root.Readonly = false
	if edit != nil {
		edit(spec)
	}
	WriteConfig(t, dir, spec)
	return dir
}

// Sh makes the process of a bundle a shell that runs a script.
func Sh(script string) func(*specs.Spec) {
	return func(s *specs.Spec) { s.Process.Args = []string{"sh", "-c", script} }
}

// WriteConfig writes config.json.
func WriteConfig(t testing.TB, bundle string, spec *specs.Spec) {
	t.Helper()
	data, err := json.MarshalIndent(spec, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bundle, "config.json"), data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// ReadConfig reads config.json.
func ReadConfig(t testing.TB, bundle string) *specs.Spec {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(bundle, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	spec := new(specs.Spec)
	if err := json.Unmarshal(data, spec); err != nil {
		t.Fatal(err)
	}
	return spec
}

// Edit changes the config.json of a bundle.
func Edit(t testing.TB, bundle string, edit func(*specs.Spec)) {
	t.Helper()
	spec := ReadConfig(t, bundle)
	edit(spec)
	WriteConfig(t, bundle, spec)
}

var applets = sync.OnceValues(func() ([]string, error) {
	out, err := exec.Command("busybox", "--list").Output()
	return strings.Fields(string(out)), err
})

// busyboxRoot makes a root of busybox and a link for each of its applets.
func busyboxRoot(t testing.TB, root string) {
	t.Helper()
	for _, d := range []string{"bin", "etc", "proc", "sys", "dev", "tmp"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	path, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal("busybox is missing: apt-get install busybox-static")
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "bin/busybox"), data, 0o755); err != nil {
		t.Fatal(err)
	}
	list, err := applets()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range list {
		if name != "busybox" {
			if err := os.Symlink("busybox", filepath.Join(root, "bin", name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(root, "etc/passwd"), []byte("root:x:0:0:root:/root:/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}
