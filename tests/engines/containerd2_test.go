//go:build containerd2

package engines

import (
	"os"
	"path/filepath"
	"testing"
)

// TestContainerd2 has the scenarios of TestContainerd with the daemon and the
// shim that containerd2/go.mod pins. They take minutes to build: `make engines`
// does it, and sets the tag.
func TestContainerd2(t *testing.T) {
	dir, err := filepath.Abs("../../dist/containerd2")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "containerd")); err != nil {
		t.Fatalf("%v (make engines builds it)", err)
	}
	testContainerd(t, dir)
}
