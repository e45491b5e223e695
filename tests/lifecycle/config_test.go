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

// TestUnknownProperties: what config.json has and this version of the
// specification has not is ignored, as unknown annotations are (config.md,
// "Extensibility").
func TestUnknownProperties(t *testing.T) {
	coverage.Shows(t, "config: an unknown property is ignored", "config: an unknown annotation is ignored", "annotations")
	b := newBox(t, func(s *specs.Spec) { s.Annotations = map[string]string{"com.example.nobody-knows": "1"} })
	path := filepath.Join(b.bundle, "config.json")
	var config map[string]any
	if err := json.Unmarshal([]byte(file(t, path)), &config); err != nil {
		t.Fatal(err)
	}
	config["newProperty"] = map[string]any{"a": []int{1}}
	for _, part := range []string{"process", "root", "linux"} {
		config[part].(map[string]any)["newProperty"] = "b"
	}
	data, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if r := b.run(); r.Code != 0 || r.Stderr != "" {
		t.Error(r)
	}
}

// TestUnknownCapability: the container does without, and a warning says so.
func TestUnknownCapability(t *testing.T) {
	coverage.Shows(t, "config: an unknown capability is a warning")
	b := newBox(t, drive.Sh("grep CapBnd /proc/self/status"), func(s *specs.Spec) {
		s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: []string{"CAP_KILL", "CAP_TOMORROW"}}
	})
	r := drive.Exec(t, drive.Runtime(t), "--debug", "run", "--bundle", b.bundle, b.id)
	if r.Code != 0 || !strings.Contains(r.Stdout, "CapBnd:\t"+hex(1<<5)+"\n") {
		t.Error(r)
	}
	if !strings.Contains(r.Stderr, "CAP_TOMORROW") {
		t.Errorf("no word of it: %v", r)
	}
}

// TestLostAmbient: buildah asks for ambient capabilities and none to inherit.
// The container does without, and nothing is said where its user would see it.
func TestLostAmbient(t *testing.T) {
	b := newBox(t, drive.Sh("grep CapAmb /proc/self/status"), func(s *specs.Spec) {
		set := []string{"CAP_KILL"}
		s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: set, Effective: set, Permitted: set, Ambient: set}
	})
	if r := b.run(); r.Code != 0 || r.Stdout != "CapAmb:\t"+hex(0)+"\n" || r.Stderr != "" {
		t.Error(r)
	}
}
