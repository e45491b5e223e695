package state

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

func TestValidID(t *testing.T) {
	const bad = "invalid container ID format: "
	for id, want := range map[string]string{
		"a": "", "a-b.c+d_E9": "", "a,b": "", ".hidden": "", "...": "", "-x": "",
		strings.Repeat("a", 255): "",
		"":                       "container id cannot be empty",
		".":                      bad + `"."`,
		"..":                     bad + `".."`,
		"a/b":                    bad + `"a/b"`,
		"/":                      bad + `"/"`,
		"a b":                    bad + `"a b"`,
		"a\n":                    bad + `"a\n"`,
		"ü":                      bad + `"ü"`,
		"a\x00":                  bad + `"a\x00"`,
		"a*":                     bad + `"a*"`,
		trash:                    bad + `"@removed"`,
		strings.Repeat("a", 256): bad + `"` + strings.Repeat("a", 256) + `" is longer than 255 bytes`,
	} {
		got := ""
		if err := ValidID(id); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", id, got, want)
		}
	}
}

func sample(id string) *State {
	return &State{
		Version: "1.2.0", ID: id, Bundle: "/b", Rootfs: "/b/rootfs",
		Created: time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC), Owner: "root", Stage: Created,
		Annotations: map[string]string{"k": "v\u2028\x00"},
		Creator:     Proc{1, 2}, Init: Proc{3, 4},
		CgroupPaths: map[string]string{"": "/sys/fs/cgroup/mocker/" + id},
		Hooks: config.Hooks{Poststop: []config.Hook{{
			Path: "/bin/x", Args: []string{"x", "y"}, Env: []string{"A=b"}, Timeout: 3 * time.Second,
		}}},
	}
}

func TestSaveLoad(t *testing.T) {
	root := filepath.Join(t.TempDir(), "deep", "root")
	d, err := Reserve(root, "c1")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := d.Load(); !errors.Is(err, ErrNoState) || !strings.Contains(err.Error(), "mocker --root "+root+" delete --force c1") {
		t.Errorf("before the first Save: got %v", err)
	}
	want := sample("c1")
	if err := d.Save(want); err != nil {
		t.Fatal(err)
	}
	got, err := d.Load()
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	for _, path := range []string{root, d.Path(""), d.Path(stateFile)} {
		st, err := os.Stat(path)
		if err != nil || st.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: others may read it: %v %v", path, st.Mode(), err)
		}
	}
	if entries, _ := os.ReadDir(d.Path("")); len(entries) != 1 {
		t.Errorf("left beside state.json: %v", entries)
	}
}

// TestLoadPrevious: each Save leaves the one before, which is there when
// state.json is damaged.
func TestLoadPrevious(t *testing.T) {
	d, err := Reserve(t.TempDir(), "c1")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for n := range 3 {
		st := sample("c1")
		st.Init.PID = n
		if err := d.Save(st); err != nil {
			t.Fatal(err)
		}
		got, err := d.LoadPrevious()
		if n == 0 && !errors.Is(err, ErrNoState) || n > 0 && (err != nil || got.Init.PID != n-1) {
			t.Errorf("after %d: %+v, %v", n, got, err)
		}
		if got, err := d.Load(); err != nil || got.Init.PID != n {
			t.Errorf("after %d: %+v, %v", n, got, err)
		}
	}
	if err := os.WriteFile(d.Path(stateTemp), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := d.LoadPrevious(); err == nil {
		t.Errorf("of half a file: %+v", got)
	}
}

func TestLoadBroken(t *testing.T) {
	root := t.TempDir()
	d, err := Reserve(root, "c1")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Save(sample("c1")); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(d.Path(stateFile))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ data, want string }{
		"empty":     {"", "unexpected end of JSON input"},
		"truncated": {string(whole[:len(whole)/2]), "unexpected end of JSON input"},
		"zeroes":    {strings.Repeat("\x00", 100), "invalid character"},
		"type":      {`{"format":1,"init":7}`, "cannot unmarshal"},
		"format":    {`{"format":2,"id":"c1"}`, "it has format 2, this mocker reads format 1"},
		"other id":  {`{"format":1,"id":"c2"}`, `it is the state of container "c2"`},
	} {
		if err := os.WriteFile(d.Path(stateFile), []byte(c.data), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := d.Load()
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "delete --force c1") ||
			!strings.Contains(err.Error(), d.Path(stateFile)) {
			t.Errorf("%s: got %v, want %q, the file and the remedy", name, err, c.want)
		}
	}
}

func TestUserName(t *testing.T) {
	for uid, want := range map[int]string{0: "root", 1: "daemon", 4242424: "#4242424"} {
		if got := UserName(uid); got != want {
			t.Errorf("%d: got %q, want %q", uid, got, want)
		}
	}
}
