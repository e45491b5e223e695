package house

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestInstall: `make install` puts a binary that runs, the manual page and the
// completions where they belong, and nothing else anywhere.
func TestInstall(t *testing.T) {
	dest := t.TempDir()
	if out, err := exec.Command("make", "-C", "../..", "install", "DESTDIR="+dest, "PREFIX=/usr").CombinedOutput(); err != nil {
		t.Fatalf("make install: %v: %s", err, out)
	}
	want := map[string]fs.FileMode{
		"usr/bin/mocker": 0o755,
		"usr/share/bash-completion/completions/mocker":    0o644,
		"usr/share/fish/vendor_completions.d/mocker.fish": 0o644,
		"usr/share/man/man8/mocker.8":                     0o644,
		"usr/share/zsh/site-functions/_mocker":            0o644,
	}
	err := filepath.WalkDir(dest, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, info := strings.TrimPrefix(path, dest+"/"), must(d.Info())
		if mode, ok := want[name]; !ok || info.Mode() != mode || info.Size() == 0 {
			t.Errorf("%s: mode %v, %d bytes, want mode %v", name, info.Mode(), info.Size(), mode)
		}
		delete(want, name)
		return nil
	})
	if err != nil || len(want) > 0 {
		t.Errorf("not installed: %v, %v", want, err)
	}
	manual, page := must(os.ReadFile(filepath.Join("../..", "docs/man/mocker.8"))), must(os.ReadFile(filepath.Join(dest, "usr/share/man/man8/mocker.8")))
	if !bytes.Equal(manual, page) {
		t.Error("the manual page is another one")
	}
	out, err := exec.Command(filepath.Join(dest, "usr/bin/mocker"), "--version").Output()
	if err != nil || !strings.HasPrefix(string(out), "mocker version ") {
		t.Errorf("--version: %q, %v", out, err)
	}
	for shell, word := range map[string]string{"bash-completion/completions/mocker": "complete ", "zsh/site-functions/_mocker": "#compdef mocker", "fish/vendor_completions.d/mocker.fish": "complete "} {
		text := must(os.ReadFile(filepath.Join(dest, "usr/share", shell)))
		if !slices.ContainsFunc(strings.Split(string(text), "\n"), func(line string) bool { return strings.HasPrefix(line, word) }) {
			t.Errorf("%s has no line %q", shell, word)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
