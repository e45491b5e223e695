package specconv

import (
	"encoding/json"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func addSeeds(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	for _, text := range []string{"", "null", "{}", "[", "{} {}", `{"process":{"args":["\ud800"]}}`, `{"linux":{"devices":[{"fileMode":1e9}]}}`} {
		f.Add([]byte(text))
	}
	for _, row := range badValues[:] {
		doc := exampleDocument(f)
		doc.set(f, row.path, row.json)
		if text, err := json.Marshal(doc); err == nil && len(text) < 1<<14 {
			f.Add(text)
		}
	}
}

// FuzzLoad wants either a spec or an error that says where.
func FuzzLoad(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		spec, err := parse(text)
		switch {
		case err == nil && spec == nil:
			t.Fatal("neither a spec nor an error")
		case err == nil && !json.Valid(text):
			t.Fatal("accepted what is not JSON")
		case err != nil && !strings.HasPrefix(err.Error(), "line "):
			t.Fatalf("no place in %q", err)
		}
	})
}

// FuzzConvert wants either a config that keeps the promises of package config
// or an error that names config.json.
func FuzzConvert(f *testing.F) {
	addSeeds(f)
	dir := bundle(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		spec, err := parse(text)
		if err != nil {
			return
		}
		if spec.Root != nil {
			spec.Root.Path = "rootfs" // else hardly an input gets past it
		}
		cfg, err := Convert(spec, dir)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "config.json: ") {
				t.Fatalf("no file in %q", err)
			}
			return
		}
		again, err := Convert(spec, dir)
		if err != nil || !reflect.DeepEqual(cfg, again) {
			t.Fatalf("a second time: %v", err)
		}
		inside := append(append([]string{}, cfg.Masked...), cfg.ReadonlySub...)
		for _, m := range cfg.Mounts {
			inside = append(inside, m.Destination)
			if m.Type == "" && !m.Remount || m.Type == "bind" && (!path.IsAbs(m.Source) && !m.Remount || len(m.Data) > 0) {
				t.Errorf("mount %+v", m)
			}
			if m.Set&m.Clear&^0x70 != 0 || m.RecSet&m.RecClear&^0x70 != 0 {
				t.Errorf("mount %+v sets and clears one attribute", m)
			}
		}
		for _, d := range cfg.Devices {
			inside = append(inside, d.Path)
		}
		for _, p := range inside {
			if !path.IsAbs(p) || path.Clean(p) != p || p == "/" || strings.Contains(p, "\x00") {
				t.Errorf("path %q", p)
			}
		}
		for _, s := range cfg.Sysctls {
			if path.Clean("/"+s.Path) != "/"+s.Path {
				t.Errorf("sysctl %q", s.Path)
			}
		}
		if cfg.Cgroup.Resources == nil || cfg.Cgroup.Path != "" && path.Clean("/"+cfg.Cgroup.Path) == "/" || strings.HasPrefix(cfg.Cgroup.Path, "..") && path.Clean(cfg.Cgroup.Path) != cfg.Cgroup.Path {
			t.Errorf("cgroup %+v", cfg.Cgroup)
		}
		if p := cfg.Process; p != nil && (len(p.Args) == 0 || !path.IsAbs(p.Cwd)) {
			t.Errorf("process %+v", p)
		}
	})
}

// FuzzValidate wants each violation in one short line that names config.json,
// at least one for what create refuses, and none for what it takes that is
// not about missing numbers or files of the host.
func FuzzValidate(f *testing.F) {
	addSeeds(f)
	for _, row := range musts[:] {
		doc := exampleDocument(f)
		doc.set(f, row.path, row.json)
		if text, err := json.Marshal(doc); err == nil {
			f.Add(text)
		}
	}
	dir := bundle(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		bad, warnings := validate(text, dir)
		for _, err := range bad {
			line := violation(err)
			if !strings.HasPrefix(line, "config.json: ") || strings.ContainsAny(line, "\n\x00") || len(line) > 2000 {
				t.Errorf("violation %q", line)
			}
		}
		for _, line := range warnings {
			if !strings.HasPrefix(line, "config.json: ") || strings.ContainsAny(line, "\n\x00") {
				t.Errorf("warning %q", line)
			}
		}
		spec, err := parse(text)
		if err == nil {
			_, err = Convert(spec, dir)
		}
		if err != nil && len(bad) == 0 {
			t.Errorf("no violation, and create says %v", err)
		}
		if err == nil && slices.ContainsFunc(bad, func(err error) bool {
			line := violation(err)
			return !strings.Contains(line, ": missing (") && !strings.Contains(line, "no such file") && !strings.Contains(line, "not a directory") &&
				!strings.Contains(line, "a namespace") && !strings.Contains(line, "too many levels") && !strings.Contains(line, "name too long")
		}) {
			t.Errorf("create takes what has the violations %q", bad)
		}
	})
}
