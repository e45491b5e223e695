package specconv

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// TestExampleIsRuncs compares with what the machine's runc writes, but for
// the version: runc's is that of its own specification. Before 1.2 it wrote
// ambient capabilities, which no kernel gives without inheritable ones.
func TestExampleIsRuncs(t *testing.T) {
	runc, err := exec.LookPath("runc")
	if err != nil {
		t.Skip("runc is not installed")
	}
	dir := t.TempDir()
	if out, err := exec.Command(runc, "spec", "--bundle", dir).CombinedOutput(); err != nil {
		t.Fatalf("runc spec: %v: %s", err, out)
	}
	spec, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	spec.Version = specs.Version
	spec.Process.Capabilities.Ambient = nil
	want, err := json.MarshalIndent(spec, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(Example(), "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Error(firstDifference(string(got), string(want)))
	}
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	if err := Write(dir, Example()); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, configName)
	before, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(name); err != nil || st.Mode().Perm() != 0o644 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if spec, err := Load(dir); err != nil || spec.Version != specs.Version {
		t.Errorf("read back: %v, %v", spec, err)
	}

	other := Example()
	other.Hostname = "other"
	want := "write " + name + ": file exists, remove it first"
	if err := Write(dir, other); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if after, _ := os.ReadFile(name); string(after) != string(before) {
		t.Error("the file that was there is not what it was")
	}
	if list := tree(t, dir); len(list) != 2 {
		t.Errorf("left behind: %q", list)
	}
	want = "write /no/such/dir/config.json: no such file or directory"
	if err := Write("/no/such/dir", other); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
