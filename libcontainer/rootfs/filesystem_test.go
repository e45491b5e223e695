package rootfs

import (
	"slices"
	"strings"
	"testing"
)

// TestLayers: a list of layers one by one, without the backslashes that
// protected their names in it.
func TestLayers(t *testing.T) {
	for list, want := range map[string]string{
		"/a":          "lowerdir+=/a",
		"/a:/b":       "lowerdir+=/a lowerdir+=/b",
		`/a\:b:/c\\d`: `lowerdir+=/a:b lowerdir+=/c\d`,
		`/a\,b`:       "lowerdir+=/a,b",
		"/a:/b::/d":   "lowerdir+=/a lowerdir+=/b datadir+=/d",
		"/a::/d::/e":  "lowerdir+=/a datadir+=/d datadir+=/e",
		`/a\`:         `lowerdir+=/a\`,
		"":            "",
	} {
		if got := strings.Join(layers(list), " "); got != want {
			t.Errorf("%s: %s, want %s", list, got, want)
		}
	}
}

// TestShorten: only what fsconfig(2) cannot take goes another way.
func TestShorten(t *testing.T) {
	long := strings.Repeat("x", maxOption+1)
	for _, c := range []struct {
		fstype string
		data   []string
		long   bool
	}{
		{"tmpfs", []string{"size=1m", "ro"}, false},
		{"tmpfs", []string{"size=" + long[1:]}, false},
		{"tmpfs", []string{"ro", "size=" + long}, true},
		{"overlay", []string{"lowerdir=" + long[1:]}, false},
		{"overlay", []string{"upperdir=" + long, "lowerdir=/a"}, true},
		{"tmpfs", []string{"lowerdir=" + long}, true},
	} {
		short, isLong := new(Root).shorten(c.fstype, c.data)
		if isLong != c.long || !slices.Equal(short, c.data) {
			t.Errorf("%s %.40q: %.40q, %v", c.fstype, c.data, short, isLong)
		}
	}
}
