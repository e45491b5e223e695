package security

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// exchange swaps a directory of a volume with a link that leads out, again and
// again, as another container with the same volume would (renameat2(2),
// RENAME_EXCHANGE). It ends with the test.
func exchange(t *testing.T, volume, target string) {
	t.Helper()
	must(t, os.Mkdir(filepath.Join(volume, "a"), 0o755))
	must(t, os.Symlink(target, filepath.Join(volume, "link")))
	a, link := filepath.Join(volume, "a"), filepath.Join(volume, "link")
	var stop atomic.Bool
	done := make(chan error)
	go func() {
		for !stop.Load() {
			if err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, link, unix.RENAME_EXCHANGE); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	t.Cleanup(func() {
		stop.Store(true)
		if err := <-done; err != nil {
			t.Errorf("exchange: %v", err)
		}
	})
}

// TestExchangedDirectory: CVE-2021-30465, CVE-2024-45310, CVE-2019-19921. What
// is looked at and what is used is the same, or the create fails.
func TestExchangedDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, []byte("bound\n"), 0o644))
	for _, c := range []struct {
		name string
		edit func(*specs.Spec)
	}{
		{"mount on it", func(s *specs.Spec) { s.Mounts = append(s.Mounts, tmpfs("/vol/a")) }},
		{"make a directory in it and mount there", func(s *specs.Spec) { s.Mounts = append(s.Mounts, tmpfs("/vol/a/new/deep")) }},
		{"make a file in it and mount there", func(s *specs.Spec) { s.Mounts = append(s.Mounts, bind(file, "/vol/a/file")) }},
		{"proc and sysctl in it", func(s *specs.Spec) {
			s.Mounts = append(s.Mounts, specs.Mount{Type: "proc", Source: "proc", Destination: "/vol/a/proc"})
			s.Linux.Sysctl = map[string]string{"net.ipv4.ip_default_ttl": "99"}
		}},
		{"devices, masks and a working directory in it", func(s *specs.Spec) {
			s.Linux.Devices = append(s.Linux.Devices, specs.LinuxDevice{Path: "/vol/a/fifo", Type: "p"})
			s.Linux.MaskedPaths = []string{"/vol/a/sub", "/vol/a/secret"}
			s.Linux.ReadonlyPaths = []string{"/vol/a"}
			s.Process.Cwd = "/vol/a/work"
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bundle, _, canary := box(t, nil)
			volume := filepath.Join(bundle, "volume")
			must(t, os.Mkdir(volume, 0o755))
			drive.Edit(t, bundle, func(s *specs.Spec) {
				s.Mounts = append(s.Mounts, bind(volume, "/vol"))
				c.edit(s)
			})
			exchange(t, volume, canary.dir)
			made := 0
			rounds := drive.Rounds(60, 3) // of each row: some hundreds in all
			for range rounds {
				r := run(t, bundle)
				if r.Code == 0 {
					made++
				} else if !strings.HasPrefix(r.Stderr, "mocker: ") && os.Getenv("RUNTIME") == "" {
					t.Errorf("refused in other words: %v", r)
				}
				if harm := canary.harm(t); harm != "" {
					t.Fatalf("the host has been changed, %s", harm)
				}
			}
			t.Logf("%d of %d were made, the others refused", made, rounds)
			if value(t, ttl) != "64\n" {
				t.Error("a sysctl of the host has changed")
			}
		})
	}
}

// TestExchangedDirectoryIndeed: who checks a path and then uses it loses.
func TestExchangedDirectoryIndeed(t *testing.T) {
	_, root, canary := box(t, nil)
	volume := filepath.Join(root, "vol")
	must(t, os.Mkdir(volume, 0o755))
	exchange(t, volume, canary.dir)
	for range 100000 {
		a := filepath.Join(volume, "a")
		if st, err := os.Lstat(a); err != nil || !st.IsDir() {
			continue
		}
		if err := os.WriteFile(filepath.Join(a, "new"), nil, 0o644); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(canary.dir, "new")); err == nil {
			return
		}
	}
	t.Error("a careless runtime has not lost the race either")
}
