package security

import (
	"encoding/json"
	"os"
	"sync"
	"testing"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// record is what came of one attack: a line in the file that ATTACKS names,
// of which tests/security/table makes the table in docs/security.md.
type record struct {
	Attack  string // "CVE-2019-5736"
	Way     string // a column of the table
	Result  string // holds, falls, differs, "not run"
	Test    string
	Runtime string
}

// harms are the tests in which the attack has worked, by name.
var harms sync.Map

// harmed fails a test because its attack works.
func harmed(t *testing.T, format string, args ...any) {
	t.Helper()
	harms.Store(t.Name(), true)
	t.Errorf(format, args...)
}

// attack notes that this test is an attack, one of those published, and what
// comes of it.
func attack(t *testing.T, column string, names ...string) {
	t.Helper()
	path := os.Getenv("ATTACKS")
	if path == "" {
		return
	}
	t.Cleanup(func() {
		result := "holds"
		if _, harm := harms.Load(t.Name()); harm {
			result = "falls"
		} else if t.Failed() {
			result = "differs"
		} else if t.Skipped() {
			result = "not run"
		}
		runtime := "mocker"
		if drive.Others() {
			runtime = os.Getenv("RUNTIME")
		}
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		must(t, err)
		defer f.Close()
		for _, name := range names {
			must(t, json.NewEncoder(f).Encode(record{Attack: name, Way: column, Result: result, Test: t.Name(), Runtime: runtime}))
		}
	})
}
