package lifecycle

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// TestListThousand: a list of a thousand containers takes a moment, each with
// its real status. They are one container under a thousand names.
func TestListThousand(t *testing.T) {
	drive.MockersOwn(t, "its state files are copied")
	root := t.TempDir()
	b := newBox(t, forever)
	drive.OK(t, "--root", root, "run", "--detach", "--bundle", b.bundle, b.id)
	defer drive.OK(t, "--root", root, "delete", "--force", b.id)
	drive.OK(t, "--root", root, "pause", b.id)
	data, err := os.ReadFile(filepath.Join(root, b.id, "state.json"))
	if err != nil {
		t.Fatal(err)
	}
	var st map[string]any
	if err := json.Unmarshal(data, &st); err != nil {
		t.Fatal(err)
	}
	for n := range 1000 {
		st["id"] = fmt.Sprintf("copy-%d", n)
		dir := filepath.Join(root, st["id"].(string))
		if data, err = json.Marshal(st); err == nil {
			err = os.Mkdir(dir, 0o700)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "state.json"), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	r := drive.Run(t, "--root", root, "list")
	if n := strings.Count(r.Stdout, " paused "); r.Code != 0 || n != 1001 || r.Took > drive.Patience(2*time.Second) {
		t.Errorf("%d of 1001 after %v: exit %d, %s", n, r.Took, r.Code, r.Stderr)
	}
}
