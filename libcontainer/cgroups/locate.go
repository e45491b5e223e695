package cgroups

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	oci "github.com/opencontainers/cgroups"
	"golang.org/x/sys/unix"
)

// v1Controllers are the names that the v1 manager of
// github.com/opencontainers/cgroups knows. Hierarchies of other names have
// no limits, and containers stay out of them, as with runc.
func v1Controllers() []string {
	return []string{
		"cpuset", "devices", "memory", "cpu", "cpuacct", "pids", "blkio", "hugetlb", "net_cls", "net_prio",
		"perf_event", "freezer", "rdma", "misc", "name=systemd",
	}
}

// tree is one mounted hierarchy.
type tree struct {
	mount string   // "/sys/fs/cgroup/memory"
	names []string // keys of Cgroup.paths
	own   string   // mocker's own cgroup in it, as /proc/self/cgroup says
}

// locate turns a cgroupsPath into a directory per controller. An absolute
// path starts at the root of each hierarchy, a relative one at mocker's own
// cgroup; where v2 is all there is, at the parent of mocker's own, as runc
// does: a cgroup that holds processes cannot give controllers to children
// (cgroups(7), "no internal processes"). No ".." leads out of either.
func locate(path string) (map[string]string, error) {
	inner := filepath.Clean("/" + path)
	if inner == "/" {
		return nil, fmt.Errorf("linux.cgroupsPath: %q is not below the root or mocker's own cgroup", path)
	}
	trees, err := mounted()
	if err != nil {
		return nil, err
	}
	paths := make(map[string]string)
	for _, t := range trees {
		start := t.mount
		if !filepath.IsAbs(path) {
			own := t.own
			if t.mount == mountpoint {
				own = filepath.Dir(own)
			}
			if start, err = t.dirOf(own); err != nil {
				return nil, fmt.Errorf("linux.cgroupsPath: %q: %w", path, err)
			}
		}
		for _, name := range t.names {
			paths[name] = filepath.Join(start, inner)
		}
	}
	return paths, nil
}

// mounted lists the hierarchies that are mounted where they are expected. It
// asks for each by name instead of reading mountinfo, which is long on a
// machine with many containers.
func mounted() ([]tree, error) {
	data, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, fmt.Errorf("look up own cgroup: %w", err)
	}
	pure := isType(mountpoint, unix.CGROUP2_SUPER_MAGIC)
	real, err := filepath.EvalSymlinks(mountpoint)
	linked := err != nil || real != mountpoint
	var trees []tree
	for line := range strings.Lines(string(data)) {
		// hierarchy-ID:controller-list:cgroup-path, cgroups(7)
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(f) != 3 {
			return nil, fmt.Errorf("look up own cgroup: bad line %q in /proc/self/cgroup", line)
		}
		var t tree
		switch {
		case f[0] == "0" && pure:
			t = tree{mount: mountpoint, names: []string{""}}
		case f[0] == "0" && isType(hybrid, unix.CGROUP2_SUPER_MAGIC):
			t = tree{mount: hybrid, names: []string{""}}
		case f[0] != "0" && !pure:
			t = v1Tree(f[1], linked)
		}
		if t.mount != "" {
			t.own = f[2]
			trees = append(trees, t)
		}
	}
	if len(trees) == 0 {
		return nil, fmt.Errorf("no cgroup file system is mounted at or below %s", mountpoint)
	}
	return trees, nil
}

// v1Tree looks for the mount of a hierarchy by its first controller, whose
// name is that of the mount or of a link to it. It is zero for one that is
// not mounted or not used. linked says that there are links on the way to the
// mountpoint of all.
func v1Tree(controllers string, linked bool) tree {
	names := strings.Split(controllers, ",")
	mount := filepath.Join(mountpoint, strings.TrimPrefix(names[0], oci.CgroupNamePrefix))
	var err error
	if linked || !isPlain(mount) {
		mount, err = filepath.EvalSymlinks(mount)
	}
	if err != nil || filepath.Dir(mount) != mountpoint || !isType(mount, unix.CGROUP_SUPER_MAGIC) {
		return tree{}
	}
	known := v1Controllers()
	names = slices.DeleteFunc(names, func(name string) bool { return !slices.Contains(known, name) })
	if len(names) == 0 {
		return tree{}
	}
	return tree{mount: mount, names: names}
}

// isPlain reports whether something is there and is no symbolic link.
func isPlain(path string) bool {
	st, err := os.Lstat(path)
	return err == nil && st.Mode()&os.ModeSymlink == 0
}

func isType(path string, magic int64) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && st.Type == magic
}

// dirOf finds a cgroup that is named as /proc/self/cgroup names it. In a
// container that has no cgroup namespace such a name starts at the machine's
// root, while the mount shows only a part of the tree.
func (t tree) dirOf(cgroup string) (string, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", fmt.Errorf("look up the root of %s: %w", t.mount, err)
	}
	root := ""
	for line := range strings.Lines(string(data)) {
		// 36 35 98:0 /root /mountpoint ..., proc_pid_mountinfo(5); the last one lies on top.
		if f := strings.Fields(line); len(f) > 4 && f[4] == t.mount {
			root = f[3]
		}
	}
	rel, err := filepath.Rel(root, cgroup)
	if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
		return "", fmt.Errorf("mocker's own cgroup %s is outside of %s, which shows %s", cgroup, t.mount, root)
	}
	return filepath.Join(t.mount, rel), nil
}
