package mounts

import (
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// unified reports whether the machine has cgroup v2 alone.
func unified() bool {
	var st unix.Statfs_t
	return unix.Statfs("/sys/fs/cgroup", &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC
}

// withCgroups replaces the cgroup mount of the example by another, with a
// cgroup namespace or without.
func withCgroups(b *box, namespace bool, m specs.Mount) *box {
	return b.edit(func(s *specs.Spec) {
		s.Linux.CgroupsPath = "/" + b.id
		s.Linux.Resources = nil
		s.Mounts[len(s.Mounts)-1] = m
		var list []specs.LinuxNamespace
		for _, ns := range s.Linux.Namespaces {
			if ns.Type != specs.CgroupNamespace {
				list = append(list, ns)
			}
		}
		if namespace {
			list = append(list, specs.LinuxNamespace{Type: specs.CgroupNamespace})
		}
		s.Linux.Namespaces = list
	})
}

// TestCgroupV1: each hierarchy from the container's cgroup down, with a cgroup
// namespace, which makes that the root, or without.
func TestCgroupV1(t *testing.T) {
	if unified() {
		t.Skip("needs cgroup v1: this machine has v2 alone")
	}
	for _, c := range []struct {
		namespace bool
		options   []string
		want      string // attributes of the hierarchies
	}{
		{false, []string{"ro", "nosuid", "noexec", "nodev"}, "ro,nosuid,nodev,noexec,relatime"},
		{true, []string{"ro", "nosuid", "noexec", "nodev"}, "ro,nosuid,nodev,noexec,relatime"},
		{true, []string{"rw", "nosuid", "nodev", "noexec", "relatime"}, "rw,nosuid,nodev,noexec,relatime"}, // runc has all but rw anyway
		{false, nil, "rw,relatime"},
	} {
		script := mountinfo + "; cat /sys/fs/cgroup/pids/cgroup.procs; mkdir /sys/fs/cgroup/pids/new 2>/dev/null && rmdir /sys/fs/cgroup/pids/new && echo writable; true"
		b := withCgroups(newBox(t, script), c.namespace, mount("cgroup", "cgroup", "/sys/fs/cgroup", c.options...))
		out := b.prints()
		table := mountsOf(out)
		found := 0
		for point, m := range table {
			if m.typ != "cgroup" {
				continue
			}
			found++
			root := "/" + b.id
			if c.namespace {
				root = "/"
			}
			if m.options != c.want || !strings.HasSuffix(m.root, root) {
				t.Errorf("%v %q: %s is %+v", c.namespace, c.options, point, m)
			}
		}
		if found < 3 || table["/sys/fs/cgroup"].typ != "tmpfs" {
			t.Errorf("%v: %d hierarchies on %+v", c.namespace, found, table["/sys/fs/cgroup"])
		}
		if !strings.Contains(out, "\n1\n") && c.namespace { // itself, as its pid namespace has it
			t.Errorf("its cgroup is not the one that it sees:\n%s", out)
		}
		if got := strings.Contains(out, "writable"); got != strings.HasPrefix(c.want, "rw") {
			t.Errorf("%q: writable is %v", c.options, got)
		}
	}
}

// TestCgroup2OnHybrid: type cgroup2 is the one tree of v2, wherever it is.
func TestCgroup2OnHybrid(t *testing.T) {
	if _, err := os.Stat("/sys/fs/cgroup/unified/cgroup.controllers"); err != nil {
		t.Skip("needs a hybrid machine: /sys/fs/cgroup/unified is not there")
	}
	for _, namespace := range []bool{true, false} {
		b := withCgroups(newBox(t, mountinfo+"; cat /cg/cgroup.procs"), namespace, mount("cgroup2", "cgroup", "/cg", "ro", "nodev"))
		out := b.prints()
		m := mountsOf(out)["/cg"]
		if m.typ != "cgroup2" || m.options != "ro,nodev,relatime" {
			t.Errorf("namespace %v: %+v", namespace, m)
		}
		root := "/"
		if !namespace && !drive.Others() { // runc shows all of the host's
			root = "/" + b.id
		}
		if m.root != root {
			t.Errorf("namespace %v: it shows %s, want %s", namespace, m.root, root)
		}
	}
}

// pure runs a box where /sys/fs/cgroup is cgroup v2 alone. A bind mount makes
// it: a new mount of cgroup2 would change the options of the machine's.
func pure(b *box) drive.Result {
	b.Helper()
	script := `mount -n --bind /sys/fs/cgroup/unified /sys/fs/cgroup && exec "$@"`
	if unified() {
		script = `exec "$@"`
	}
	return drive.Exec(b, "unshare", "-m", "sh", "-c", script, "sh", drive.Runtime(b), "run", "--bundle", b.bundle, b.id)
}

// TestCgroupV2: the container's own in a namespace of its own, all of the
// host's without.
func TestCgroupV2(t *testing.T) {
	if _, err := os.Stat("/sys/fs/cgroup/unified/cgroup.controllers"); err != nil && !unified() {
		t.Skip("needs cgroup v2")
	}
	for _, typ := range []string{"cgroup", "cgroup2"} {
		for _, namespace := range []bool{true, false} {
			script := mountinfo + "; test -e /sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)/cgroup.procs && echo found; mkdir /sys/fs/cgroup/new 2>/dev/null && rmdir /sys/fs/cgroup/new && echo writable; true"
			for _, access := range []string{"ro", "rw"} {
				b := withCgroups(newBox(t, script), namespace, mount(typ, "cgroup", "/sys/fs/cgroup", access, "nosuid", "rprivate"))
				r := pure(b)
				if r.Code != 0 {
					t.Errorf("%v", r)
					continue
				}
				m := mountsOf(r.Stdout)["/sys/fs/cgroup"]
				if m.typ != "cgroup2" || m.options != access+",nosuid,relatime" || m.root != "/" || m.propagation != "" {
					t.Errorf("%s, namespace %v: %+v", typ, namespace, m)
				}
				if !strings.Contains(r.Stdout, "found") {
					t.Errorf("%s, namespace %v: its cgroup is not where /proc/self/cgroup says", typ, namespace)
				}
				if got := strings.Contains(r.Stdout, "writable"); got != (access == "rw") {
					t.Errorf("%s, namespace %v, %s: writable is %v", typ, namespace, access, got)
				}
			}
		}
	}
}

// TestCopyUpIsCharged: what a tmpfs starts with counts towards the limit of
// the container.
func TestCopyUpIsCharged(t *testing.T) {
	drive.MockersOwn(t, "runc copies at the host's cost")
	drive.NeedLimits(t, "memory")
	b := newBox(t, "true", mount("tmpfs", "tmpfs", "/data", "tmpcopyup"))
	hostIn(t, "sh", "-c", "mkdir "+b.path("data")+" && head -c 64M /dev/urandom >"+b.path("data/big"))
	b.edit(func(s *specs.Spec) {
		limit := int64(16 << 20)
		s.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &limit, Swap: &limit}
	})
	before := drive.TakeSnapshot(t)
	if r := b.run(); r.Code == 0 || !strings.Contains(r.Stderr, "tmpcopyup: copy big: the container's process was killed by signal 9") {
		t.Errorf("64 MiB in 16: %v", r)
	}
	before.Unchanged(t)
}
