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
	for range 500 {
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 20 { // each can make two tries fail, of a hundred
				_ = os.Remove(bundles)
				_ = os.Remove(top)
			}
		}()
		dir := filepath.Join(bundles, "one")
		err := makeBundleDir(bundles, dir)
		<-done
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
	}
}
