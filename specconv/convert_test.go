package specconv

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// bundle is a bundle with an empty rootfs.
func bundle(t testing.TB) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "rootfs"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// document is a config.json that can be edited by path.
type document map[string]any

func exampleDocument(t testing.TB) document {
	t.Helper()
	text, err := json.Marshal(Example())
	if err != nil {
		t.Fatal(err)
	}
	var doc document
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// set puts JSON at a path such as "process.user.uid", making objects on the
// way; "" as JSON removes what is there.
func (d document) set(t testing.TB, path, text string) {
	t.Helper()
	at := map[string]any(d)
	keys := strings.Split(path, ".")
	for _, key := range keys[:len(keys)-1] {
		next, ok := at[key].(map[string]any)
		if !ok {
			next = map[string]any{}
			at[key] = next
		}
		at = next
	}
	key := keys[len(keys)-1]
	if text == "" {
		delete(at, key)
		return
	}
	at[key] = json.RawMessage(text)
}

func (d document) spec(t testing.TB) *specs.Spec {
	t.Helper()
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

// TestConvertGolden converts whole configs: the example, what podman and
// containerd's ctr write, and one with everything in it. The expected result
// is in testdata; -update rewrites it, for a reader to judge by its diff.
func TestConvertGolden(t *testing.T) {
	for _, name := range []string{"example", "podman", "ctr", "full"} {
		t.Run(name, func(t *testing.T) {
			dir := bundle(t)
			var spec *specs.Spec
			if name == "example" {
				spec = Example()
				spec.Linux.Namespaces = spec.Linux.Namespaces[:5] // the machine decides about the sixth
			} else {
				text, err := os.ReadFile(filepath.Join("testdata", name+".json"))
				if err != nil {
					t.Fatal(err)
				}
				if spec, err = parse(text); err != nil {
					t.Fatal(err)
				}
			}
			cfg, err := Convert(spec, dir)
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.MarshalIndent(cfg, "", "\t")
			if err != nil {
				t.Fatal(err)
			}
			text := strings.ReplaceAll(string(got), dir, "/bundle") + "\n"
			golden := filepath.Join("testdata", name+".golden.json")
			if *update {
				if err := os.WriteFile(golden, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if text != string(want) {
				t.Errorf("differs from %s:\n%s", golden, firstDifference(text, string(want)))
			}
		})
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return "line " + item("", i+1) + "\n got: " + g[i] + "\nwant: " + w[i]
		}
	}
	return "one is longer"
}

func TestConvertBundle(t *testing.T) {
	dir := bundle(t)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	cfg, err := Convert(Example(), link)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Bundle != dir || cfg.Rootfs.Path != dir+"/rootfs" {
		t.Errorf("bundle %s, rootfs %s: links not resolved to %s", cfg.Bundle, cfg.Rootfs.Path, dir)
	}
	if _, err := Convert(Example(), "/no/such/bundle"); err == nil || err.Error() != "resolve bundle /no/such/bundle: no such file or directory" {
		t.Errorf("missing bundle: %v", err)
	}
	if _, err := Convert(nil, dir); err == nil || err.Error() != "config.json: empty" {
		t.Errorf("no spec: %v", err)
	}
}

// TestConvertKeepsSpec holds that a conversion leaves its input alone: state
// and hooks are written from it later.
func TestConvertKeepsSpec(t *testing.T) {
	text, err := os.ReadFile("testdata/full.json")
	if err != nil {
		t.Fatal(err)
	}
	spec, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	before, _ := json.Marshal(spec)
	if _, err := Convert(spec, bundle(t)); err != nil {
		t.Fatal(err)
	}
	if after, _ := json.Marshal(spec); string(after) != string(before) {
		t.Errorf("spec changed to %s", after)
	}
}

func TestConvertWithoutProcess(t *testing.T) {
	spec := Example()
	spec.Process = nil
	cfg, err := Convert(spec, bundle(t))
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Process != nil {
		t.Errorf("process %+v out of nothing", cfg.Process)
	}
}
