package openat2

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestRetry: a race that is lost some times is run again, one that is always
// lost ends, and nothing else is tried twice.
func TestRetry(t *testing.T) {
	for _, c := range []struct {
		lost  int
		then  error
		calls int
	}{{0, nil, 1}, {5, nil, 6}, {0, unix.ENOENT, 1}, {3, unix.ELOOP, 4}, {1 << 20, nil, tries}} {
		calls := 0
		err := Retry(func() error {
			calls++
			if calls <= c.lost {
				return fmt.Errorf("open: %w", unix.EAGAIN)
			}
			return c.then
		})
		want := c.then
		if c.lost >= tries {
			want = unix.EAGAIN
		}
		if calls != c.calls || !errors.Is(err, want) {
			t.Errorf("lost %d times, then %v: %d calls, %v", c.lost, c.then, calls, err)
		}
	}
}

// TestOpen: while something is renamed all the time, a path with ".." in it is
// found each time.
func TestOpen(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"a", "x"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(dir)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			names := []string{"x", "y"}
			_ = os.Rename(filepath.Join(root, names[i%2]), filepath.Join(root, names[1-i%2]))
		}
	}()
	defer func() { close(stop); <-stopped }()
	lost := 0
	for range 20000 {
		fd, err := Open(dir, "a/../a/../a", unix.O_PATH, unix.RESOLVE_IN_ROOT)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(fd)
		if fd, err := unix.Openat2(dir, "a/../a/../a", &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT}); err == nil {
			unix.Close(fd)
		} else if lost++; !errors.Is(err, unix.EAGAIN) {
			t.Fatal(err)
		}
	}
	t.Logf("once would have been too little %d times", lost)
}
