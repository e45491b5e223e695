package libcontainer

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

// A container's own bundle does not lie with its state: what is written in
// the container must not fill /run, nor does a machine that mounts /run
// noexec run programs from there. A link beside the state says where it is.
// It is made first, so that delete finds whatever a crash has left, and even
// where the state cannot be read.
//
// Bundles outlive the machine's next start and their states do not. So their
// names begin with the boot they belong to, and those of another boot are
// removed when one is made.

// bundleLink is the link in the container's directory.
const bundleLink = "bundle"

// defaultBundles is where the bundles of containers below DefaultRoot are.
const defaultBundles = "/var/lib/mocker/bundles"

// bundlesOf is where the bundles of containers below a root are: anywhere but
// below the default one, the caller has chosen the file system. No id has
// such a name.
func bundlesOf(root string) string {
	if root == DefaultRoot {
		return defaultBundles
	}
	return filepath.Join(root, "@bundles")
}

// makeBundle makes the container's own bundle and lets fill fill it.
func (c *Container) makeBundle(fill func(dir string) (*config.Config, error)) (*config.Config, error) {
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	bundles := bundlesOf(c.dir.Root())
	sweepBundles(bundles, boot)
	dir := filepath.Join(bundles, boot+"-"+strings.ToLower(rand.Text()[:12]))
	if err := os.Symlink(dir, c.dir.Path(bundleLink)); err != nil {
		return nil, fmt.Errorf("make bundle: %w", err)
	}
	if err := makeBundleDir(bundles, dir); err != nil {
		return nil, fmt.Errorf("make bundle: %w", err)
	}
	return fill(dir)
}

// makeBundleDir makes the directory of a bundle, for nobody else to enter:
// programs in it may be setuid. The last container that goes may take the
// parent with it at any moment.
func makeBundleDir(bundles, dir string) error {
	const tries = 100
	var err error
	for range tries {
		if err = os.MkdirAll(bundles, 0o700); err == nil {
			err = os.Mkdir(dir, 0o700)
		}
		if !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return err
}

// removeBundle removes the container's own bundle, if it has one.
func (c *Container) removeBundle() error {
	dir, err := os.Readlink(c.dir.Path(bundleLink))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find bundle: %w", err)
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove bundle: %w", err)
	}
	tidyBundles(c.dir.Root())
	return nil
}

// tidyBundles removes the directories of bundles when they are empty. One may
// have been removed already, by a delete that was killed before it came to the
// other.
func tidyBundles(root string) {
	bundles := bundlesOf(root)
	_ = os.Remove(bundles)
	if bundles == defaultBundles {
		_ = os.Remove(filepath.Dir(bundles))
	}
}

// sweepBundles removes the bundles of earlier boots. Others may do so at the
// same time; what stays is left to the next.
func sweepBundles(bundles, boot string) {
	entries, err := os.ReadDir(bundles)
	if err != nil {
		return
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), boot+"-") {
			_ = os.RemoveAll(filepath.Join(bundles, e.Name()))
		}
	}
}

// bootID tells this start of the machine from all others: 32 digits, of which
// twelve do.
func bootID() (string, error) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("make bundle: %w", err)
	}
	id := strings.ReplaceAll(strings.TrimSpace(string(text)), "-", "")
	if len(id) < 12 {
		return "", fmt.Errorf("make bundle: boot_id is %q", id)
	}
	return id[:12], nil
}
