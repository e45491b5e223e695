package coverage

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestValues: the values are the constants of the specification, none is
// missing.
func TestValues(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("needs the go command, which is not on this machine, to find the specification's source")
	}
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/opencontainers/runtime-spec").Output()
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(strings.TrimSpace(string(dir)), "specs-go", "config.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	constants := map[string][]string{}
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		typ, isNamed := spec.Type.(*ast.Ident)
		lit, isLiteral := spec.Values[0].(*ast.BasicLit)
		if isNamed && isLiteral && lit.Kind == token.STRING {
			value, _ := strconv.Unquote(lit.Value)
			constants[typ.Name] = append(constants[typ.Name], value)
		}
		return true
	})
	for _, v := range values {
		if !slices.Equal(v.names, constants[v.typ]) {
			t.Errorf("%s: %q, and the specification has %q", v.typ, v.names, constants[v.typ])
		}
		if !known()[v.property] {
			t.Errorf("no property %q", v.property)
		}
		delete(constants, v.typ)
	}
	for _, typ := range others {
		delete(constants, typ)
	}
	if len(constants) > 0 {
		t.Errorf("values of types that nobody knows: %v", slices.Sorted(maps.Keys(constants)))
	}
}

// TestProperties: some of each kind, and none twice.
func TestProperties(t *testing.T) {
	for _, p := range []string{
		"ociVersion", "process.user.umask", "process.capabilities.ambient", "mounts.uidMappings.hostID", "hooks.poststop.timeout", "annotations",
		"linux.resources.blockIO.throttleReadBpsDevice.major", "linux.resources.unified", "linux.sysctl", "linux.netDevices.name",
		"linux.intelRdt.enableMonitoring", "linux.namespaces.type=time", "state.pid", "features.linux.mountExtensions.idmap.enabled",
		"containerProcessState.fds", "start: runs the program",
	} {
		if !known()[p] {
			t.Errorf("%q is missing", p)
		}
	}
	for _, p := range []string{"windows", "process.user.username", "process.commandLine", "linux", "linux.resources"} {
		if known()[p] {
			t.Errorf("%q is no property of Linux, or an object of properties", p)
		}
	}
	seen := map[string]bool{}
	for _, s := range Sections() {
		for _, p := range s.Properties {
			if seen[p] || strings.ContainsAny(p, ";|") {
				t.Errorf("%q twice, or with a separator in it", p)
			}
			seen[p] = true
		}
	}
}

// TestUnknownFails: a property that does not exist fails the test that says
// it.
func TestUnknownFails(t *testing.T) {
	var f failing
	Shows(&f, "process.cwd", "process.cwdd")
	if !f.failed || f.said != "shows: process.cwd" {
		t.Errorf("%+v", f)
	}
	for name, want := range map[string]string{
		"hooks.poststop":       "shows: hooks.poststop.path; hooks.poststop.args; hooks.poststop.env; hooks.poststop.timeout",
		"linux.namespaces":     "shows: linux.namespaces.type; linux.namespaces.path", // and no value
		"linux.resources":      "",
		"linux.resources.cpus": "",
	} {
		var f failing
		Shows(&f, name)
		if f.said != want || f.failed != (want == "") {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

// TestDocument: docs/spec-coverage.md has a row for each property, and a reason
// for each that nobody shows.
func TestDocument(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "docs", "spec-coverage.md"))
	if err != nil {
		t.Fatal(err)
	}
	var rows, want []string
	for line := range strings.Lines(string(data)) {
		row := strings.Split(strings.TrimSuffix(line, " |\n"), " | ")
		if len(row) < 3 || row[0] == "| property" {
			continue
		}
		property := strings.TrimPrefix(row[0], "| ")
		rows = append(rows, property)
		shown := slices.ContainsFunc(row[1:len(row)-1], func(cell string) bool { return cell != "no" })
		if why := Reason(property); !shown && (why == "" || !strings.HasSuffix(row[len(row)-1], why)) {
			t.Errorf("no test shows %s, and there is no reason, or another one: %s", property, line)
		}
	}
	for _, s := range Sections() {
		want = append(want, s.Properties...)
	}
	for property := range reasons {
		if !known()[property] {
			t.Errorf("a reason for %q, which does not exist", property)
		}
	}
	if !slices.Equal(rows, want) {
		t.Errorf("it has rows for\n%q\nand not for\n%q:\nmake coverage", rows, want)
	}
}

// failing is a test that may fail.
type failing struct {
	testing.TB
	failed bool
	said   string
}

func (f *failing) Helper()               {}
func (f *failing) Errorf(string, ...any) { f.failed = true }
func (f *failing) Log(args ...any)       { f.said, _ = args[0].(string) }
