package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// saying is what go test -json prints of a test that says something.
func saying(test, action, said string) string {
	event := func(action, more string) string {
		return `{"Action":"` + action + `","Package":"` + module + `tests/p","Test":"` + test + `"` + more + "}\n"
	}
	return event("run", "") + event("output", `,"Output":"    a_test.go:7: `+said+`\n"`) + event(action, "")
}

// TestCoverage: what is written is what passing tests say, and less than that
// is complained about.
func TestCoverage(t *testing.T) {
	dir := t.TempDir()
	results := func(text ...string) string {
		path := filepath.Join(dir, "v1.json")
		if err := os.WriteFile(path, []byte(strings.Join(text, "")), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	document := filepath.Join(dir, "doc.md")
	full := []string{
		saying("TestA/x", "pass", "shows: process.cwd; process.args"), saying("TestB", "pass", "shows the writes of: linux.intelRdt.closID"),
		saying("TestC", "fail", "shows: root.path"), saying("TestD", "skip", "shows: process.env"),
		"# race\n", saying("TestA/x", "pass", "shows: process.cwd"),
	}
	if err := saveCoverage(document, []string{results(full...)}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []string{
		"| process.cwd | yes | tests/p TestA/x |", "| linux.intelRdt.closID | writes | tests/p TestB |", "| root.path | no |  |",
		"| process.env | no |  |", "| hostname | no |  |",
	} {
		if !strings.Contains(string(text), row+"\n") {
			t.Errorf("no row %q in\n%s", row, text)
		}
	}
	const gone = "FAIL v1: process.cwd was shown here by tests/p TestA/x and is not any more\n"
	for _, test := range []struct {
		name, want string
		results    []string
	}{
		{"as before", "", full},
		{"more", "", append(full, saying("TestE", "pass", "shows: hostname; linux.intelRdt.closID"))},
		{"red", gone, []string{saying("TestA/x", "pass", "shows: process.args"), full[1], saying("TestA/y", "fail", "shows: process.cwd")}},
		{"red elsewhere", gone, []string{full[0], full[1], "# race\n", saying("TestA/x", "fail", ""), saying("TestF", "pass", "shows: process.args")}},
		{"less", "FAIL v1: linux.intelRdt.closID was", full[:1]},
		{"other packages alone", "", []string{strings.ReplaceAll(full[0], "tests/p", "tests/q")}},
	} {
		var out strings.Builder
		ok, err := checkCoverage(&out, document, []string{results(test.results...)})
		if err != nil || ok != (test.want == "") || !strings.HasPrefix(out.String(), test.want) || ok && out.Len() > 0 {
			t.Errorf("%s: %v, %v, %q", test.name, ok, err, out.String())
		}
	}

	// A choice of tests adds to what is there; another place is another column.
	if err := addCoverage(document, []string{results(saying("TestG", "pass", "shows: hostname; linux.intelRdt.closID"))}); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(dir, "v2.json")
	if err := os.WriteFile(other, []byte(saying("TestH", "pass", "shows: process.cwd")), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := addCoverage(document, []string{other}); err != nil {
		t.Fatal(err)
	}
	if text, err = os.ReadFile(document); err != nil {
		t.Fatal(err)
	}
	for _, row := range []string{
		"| property | v1 | v2 | shown by |", "| process.cwd | yes | yes | tests/p TestA/x, tests/p TestH |", "| hostname | yes | no | tests/p TestG |",
		"| linux.intelRdt.closID | yes | no | tests/p TestB, tests/p TestG |", "| root.path | no | no |  |",
		"| linux.personality.flags | no | no | not shown: the specification has no flags: any is an error (specconv TestConvertRefuses) |",
	} {
		if !strings.Contains(string(text), row+"\n") {
			t.Errorf("no row %q in\n%s", row, text)
		}
	}
}
