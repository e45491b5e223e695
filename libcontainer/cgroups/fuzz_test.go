package cgroups

import (
	"path/filepath"
	"strings"
	"testing"
)

// FuzzLocate wants of each cgroupsPath directories that are below the root of
// their hierarchies, and not these roots, or an error that names the property.
func FuzzLocate(f *testing.F) {
	for _, p := range []string{
		"/a", "a", "/a/b", "../a", "/../a", "/a/../../b", ".", "..", "/", "", "//", "/a/..", "a/./b//c", "/\x00", "\n", "...", "..a", "/sys/fs/cgroup/memory/x", "system.slice:p:n",
	} {
		f.Add(p)
	}
	trees, err := mounted()
	if err != nil {
		f.Skipf("needs a cgroup file system: %v", err)
	}
	f.Fuzz(func(t *testing.T, p string) {
		paths, err := locate(p)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "linux.cgroupsPath: ") {
				t.Errorf("%q: no property in %q", p, err)
			}
			return
		}
		for _, tree := range trees {
			for _, name := range tree.names {
				dir := paths[name]
				if !strings.HasPrefix(dir, tree.mount+"/") || filepath.Clean(dir) != dir {
					t.Errorf("%q is %q in the hierarchy of %q on %s", p, dir, name, tree.mount)
				}
			}
		}
	})
}
