package bundles

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// TestRootless: the same for user 1000 and for root.
func TestRootless(t *testing.T) {
	top := checkout(t)
	for _, dir := range []string{filepath.Dir(top), top} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// Where the user gets at it.
	binary, err := os.ReadFile(drive.Mocker(t))
	if err == nil {
		err = os.Remove(filepath.Join(top, "mocker"))
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(top, "mocker"), binary, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	before := drive.TakeSnapshot(t)
	command := readme(t, top, "rootless")
	for _, r := range []drive.Result{
		drive.Exec(t, "sh", "-c", command),
		drive.Exec(t, "setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups", "env", "-u", "XDG_RUNTIME_DIR", "sh", "-c", command),
	} {
		if r.Code != 0 || r.Stdout != "user 0 in here is user 1000 outside\n" || r.Stderr != "" {
			t.Errorf("rootless: %v", r)
		}
	}
	before.Unchanged(t)
}
