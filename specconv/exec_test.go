package specconv

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// TestConvertProcess: a process alone is what it would be in a config.json,
// and errors name its own file.
func TestConvertProcess(t *testing.T) {
	p, warnings, err := ConvertProcess(&specs.Process{
		Args: []string{"sh"}, Cwd: "/", Env: []string{"A=1", "A=2"},
		Capabilities: &specs.LinuxCapabilities{Bounding: []string{"CAP_FLY"}},
	}, "/p.json")
	if err != nil || !slices.Equal(p.Env, []string{"A=2"}) || p.Umask != defaultUmask {
		t.Errorf("%+v, %v", p, err)
	}
	if want := `/p.json: capabilities.bounding[0]: "CAP_FLY": ignored: not a capability`; len(warnings) != 1 || warnings[0] != want {
		t.Errorf("warnings %q, want %q", warnings, want)
	}
	for _, test := range []struct {
		given      specs.Process
		file, want string
	}{
		{specs.Process{Cwd: "/"}, "/p.json", "/p.json: args: missing"},
		{specs.Process{Cwd: "/"}, "config.json", "config.json: process.args: missing"},
		{specs.Process{Cwd: "/", Args: []string{"x"}, ApparmorProfile: "y\n"}, "/p.json", `/p.json: apparmorProfile: "y\n": contains a control character`},
		{specs.Process{Cwd: "x", Args: []string{"x"}}, "/p.json", `/p.json: cwd: "x": not an absolute path`},
		{specs.Process{Cwd: "/", Args: []string{"x"}, Env: []string{"A"}}, "/p.json", `/p.json: env[0]: "A": no "=" in it`},
	} {
		if _, _, err := ConvertProcess(&test.given, test.file); err == nil || err.Error() != test.want {
			t.Errorf("got  %v\nwant %s", err, test.want)
		}
	}
}

func TestLoadProcess(t *testing.T) {
	name := filepath.Join(t.TempDir(), "p.json")
	for text, want := range map[string]string{
		`{"args": ["sh"], "cwd": "/"}`: "",
		`{"args": 1}`:                  "load " + name + ": line 1, column 10: args: got a number, want an array",
		`null`:                         "load " + name + ": line 1, column 1: got null, want an object",
		`{"args": [`:                   "load " + name + ": line 1, column 11: unexpected end of JSON input",
		"{\"cwd\": \"\xff\"}":          "load " + name + ": line 1, column 10: not UTF-8",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := LoadProcess(name)
		if want == "" && (err != nil || len(p.Args) != 1) || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("%s: got %v\nwant %s", text, err, want)
		}
	}
	if _, err := LoadProcess(t.TempDir()); err == nil {
		t.Error("a directory is taken for a process.json")
	}
}
