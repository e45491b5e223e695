package libcontainer

import (
	"os"
	"path/filepath"
	"testing"
)

// TestBundleDirBesideTidy: the last container that goes takes the directories
// above the bundles with it, at any moment.
func TestBundleDirBesideTidy(t *testing.T) {
	top := filepath.Join(t.TempDir(), "mocker")
	bundles := filepath.Join(top, "bundles")
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				_ = os.Remove(bundles)
				_ = os.Remove(top)
			}
		}
	}()
	defer func() { close(stop); <-stopped }()
	for range 2000 {
		dir := filepath.Join(bundles, "one")
		if err := makeBundleDir(bundles, dir); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
	}
}
