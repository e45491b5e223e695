package seal

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMarkRoundTrip(t *testing.T) {
	for _, m := range []mark{
		{overlay, file{1, 2}, file{3, 1<<64 - 1}, "/usr/bin/mocker"},
		{memfd, file{0, 0}, file{0, 0}, "/a:b/c d\n:"},
	} {
		got, err := parseMark(m.String())
		if err != nil || *got != m {
			t.Errorf("got %+v, %v, want %+v", got, err, m)
		}
	}
	for _, text := range []string{
		"", "overlay", "overlay:1:2:3:4", "overlay:1:2:3:4:", "disk:1:2:3:4:/x", "overlay:1:2:-3:4:/x", "overlay:1:2::4:/x",
	} {
		if m, err := parseMark(text); err == nil {
			t.Errorf("%q: got %+v, want an error", text, m)
		}
	}
}

func TestSuperblockReadonly(t *testing.T) {
	const table = `21 1 8:1 / / ro,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
22 21 8:2 / /usr rw,relatime - squashfs /dev/loop0 ro,errors=continue
2 21 0:30 / /x ro - overlay overlay ro,lowerdir=/a:/b
23 21 0:31 / /y ro shared:2 master:1 - erofs /dev/a\040b ro
24 21 0:32 / /z rw - tmpfs tmpfs rw,root=ro
`
	for id, want := range map[uint64]bool{21: false, 22: true, 2: false, 23: true, 24: false, 1: false, 99: false} {
		if got := superblockReadonly([]byte(table), id); got != want {
			t.Errorf("mount %d: got %v, want %v", id, got, want)
		}
	}
}

func TestUnsealed(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if path, err := Path(); err != nil || path != self {
		t.Errorf("path: got %q, %v, want %q", path, err, self)
	}
	other := filepath.Join(t.TempDir(), "other")
	copyFile(t, self, other)
	for path, want := range map[string]bool{self: true, other: false} {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if same, err := SameFile(int(f.Fd())); err != nil || same != want {
			t.Errorf("%s is mocker's: got %v, %v, want %v", path, same, err, want)
		}
		_ = f.Close()
	}
	if _, err := SameFile(-1); err == nil {
		t.Error("no error for a bad fd")
	}
}

func BenchmarkOverlay(b *testing.B) {
	benchmarkCopy(b, func(path string) (*os.File, error) { return openOverlay(path, "/run") })
}

func BenchmarkMemfd(b *testing.B) { benchmarkCopy(b, openMemfd) }

// The copy alone, without the second start of Go.
func benchmarkCopy(b *testing.B, open func(string) (*os.File, error)) {
	path, err := os.Readlink(exe)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		f, err := open(path)
		if err != nil {
			b.Fatal(err)
		}
		_ = f.Close()
	}
}
