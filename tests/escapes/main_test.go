package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWrite: a cell tells the worst of what was recorded, and what stands
// around the marks stays.
func TestWrite(t *testing.T) {
	dir := t.TempDir()
	document, file := filepath.Join(dir, "d.md"), filepath.Join(dir, "records")
	put := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put(document, "before\n"+begin+"stale\n"+end+"after\n")
	put(file, `{"Attack":"B","Way":"run","Result":"holds","Runtime":"mocker"}
{"Attack":"A","Way":"exec","Result":"holds","Runtime":"/usr/sbin/runc"}
{"Attack":"A","Way":"exec","Result":"falls","Runtime":"/usr/sbin/runc"}
{"Attack":"B","Way":"run","Result":"holds","Runtime":"mocker"}
`)
	if err := write(document, []string{file}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"before\n" + begin, "| A | mocker |  |", "|  | runc |  |  | **falls** 1 of 2 |", "| B | mocker | holds 2 |", end + "after\n"} {
		if !strings.Contains(string(got), want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(string(got), "stale") {
		t.Errorf("the old table is still there:\n%s", got)
	}
	put(document, "no marks\n")
	if err := write(document, []string{file}); err == nil {
		t.Error("wrote into a document without marks")
	}
}
