package mounts

import (
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/coverage"
	"github.com/mocker-runtime/mocker/tests/drive"
)

func ids(container, host, size uint32) []specs.LinuxIDMapping {
	return []specs.LinuxIDMapping{{ContainerID: container, HostID: host, Size: size}}
}

// owned is a volume with files of several owners, and a mount below it. It is
// no tmpfs, whose ids only Linux 6.3 can map.
func owned(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	hostIn(t, "sh", "-c", "cd "+dir+" && mkdir sub below && mount -n --bind below sub && touch root user sub/user && chown 1000:1001 user sub/user && chmod 777 .")
	t.Cleanup(func() { _ = unix.Unmount(dir+"/sub", unix.MNT_DETACH) })
	return dir
}

// TestIDMap: whose the files of an id-mapped mount are, seen inside.
func TestIDMap(t *testing.T) {
	coverage.Shows(t, "mounts.uidMappings", "mounts.gidMappings")
	drive.MockersOwn(t, "since runc 1.2")
	volume := owned(t)
	both := append(ids(1000, 0, 1), ids(0, 7, 1)...)
	groups := append(ids(1001, 0, 1), ids(0, 8, 1)...)
	for _, c := range []struct {
		name       string
		options    []string
		uids, gids []specs.LinuxIDMapping
		want       string // owner of root, user and sub/user
	}{
		{"no map", []string{"rbind"}, nil, nil, "0:0 1000:1001 1000:1001"},
		{"maps alone", []string{"rbind"}, both, groups, "7:8 0:0 1000:1001"},
		{"idmap", []string{"rbind", "idmap"}, both, groups, "7:8 0:0 1000:1001"},
		{"ridmap", []string{"rbind", "ridmap"}, both, groups, "7:8 0:0 0:0"},
		{"one id, the rest is nobody's", []string{"rbind", "ridmap"}, ids(1000, 5, 1), ids(0, 0, 2000), "65534:0 5:1001 5:1001"},
		{"a range", []string{"rbind", "ridmap", "ro"}, ids(0, 100000, 65536), ids(0, 200000, 65536), "100000:200000 101000:201001 101000:201001"},
		{"crun's form", []string{"rbind", "idmap=uids=1000-0-1#0-7-1;gids=1001-0-1#0-8-1"}, nil, nil, "7:8 0:0 1000:1001"},
	} {
		m := mount("none", volume, "/mnt", c.options...)
		m.UIDMappings, m.GIDMappings = c.uids, c.gids
		got := strings.Join(strings.Fields(newBox(t, "cd /mnt; stat -c %u:%g root user sub/user", m).prints()), " ")
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestIDMapWrites: what is written has the owner that the map says, and who is
// in no map cannot write.
func TestIDMapWrites(t *testing.T) {
	drive.MockersOwn(t, "since runc 1.2")
	volume := owned(t)
	m := mount("none", volume, "/mnt", "bind", "idmap")
	// The owner of a directory must be in the map as well for anybody to write.
	m.UIDMappings, m.GIDMappings = append(ids(1000, 0, 1), ids(0, 7, 1)...), append(ids(1001, 0, 1), ids(0, 7, 1)...)
	if got := newBox(t, "echo x >/mnt/new && chmod 600 /mnt/new && stat -c %u:%g /mnt/new", m).prints(); got != "0:0\n" {
		t.Errorf("inside: %s", got)
	}
	if got := hostIn(t, "stat", "-c", "%u:%g", volume+"/new"); got != "1000:1001" {
		t.Errorf("outside: %s", got)
	}
	m.UIDMappings = append(ids(1000, 1, 1), ids(0, 7, 1)...)
	r := newBox(t, "echo x >/mnt/other", m).run()
	if r.Code == 0 || !strings.Contains(r.Stderr, "Value too large") {
		t.Errorf("root, who is not in the map: %v", r)
	}
}

// TestIDMapOfUserNamespace: in a container with a user namespace the files of
// a volume belong to the same users as on the host, or to those that a range
// names relative to it.
func TestIDMapOfUserNamespace(t *testing.T) {
	drive.MockersOwn(t, "since runc 1.2")
	volume := owned(t)
	for _, c := range []struct{ option, want string }{
		{"rbind", "65534:65534 65534:65534 65534:65534"},
		{"idmap", "0:0 1000:1001 65534:65534"},
		{"ridmap", "0:0 1000:1001 1000:1001"},
		{"idmap=uids=@1000-5-1#@0-7-1;gids=@0-0-2000", "7:0 5:1001 65534:65534"},
	} {
		b := newBox(t, "cd /tmp; stat -c %u:%g root user sub/user", mount("none", volume, "/tmp", "rbind", c.option))
		b.edit(func(s *specs.Spec) {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
			s.Linux.UIDMappings, s.Linux.GIDMappings = ids(0, 100000, 65534), ids(0, 200000, 65534)
		})
		if got := strings.Join(strings.Fields(b.prints()), " "); got != c.want {
			t.Errorf("%s: %s, want %s", c.option, got, c.want)
		}
	}
}

// TestIDMapRefused: maps that cannot be, and file systems that cannot.
func TestIDMapRefused(t *testing.T) {
	drive.MockersOwn(t, "since runc 1.2")
	before := drive.TakeSnapshot(t)
	for _, c := range []struct {
		source, want string
		uids         []specs.LinuxIDMapping
		options      []string
	}{
		{"/proc/sys", "rootfs: mounts[7].source: map the ids of /proc/sys: invalid argument (this kernel cannot map those of proc)", ids(0, 1, 1), []string{"bind", "idmap"}},
		{"/", "rootfs: mounts[7].source: map the ids of /: invalid argument (this kernel cannot map those of ext4, or of what is mounted below it)", ids(0, 1, 1), []string{"rbind", "ridmap"}},
		{t.TempDir(), `config.json: mounts[7].uidMappings[1]: "0 2 1": overlaps mounts[7].uidMappings[0]`, append(ids(0, 1, 1), ids(0, 2, 1)...), []string{"bind"}},
		{t.TempDir(), `config.json: mounts[7].uidMappings[0].containerID: 4294967295: a range of 1 from there ends beyond the last id`, ids(1<<32-1, 1, 1), []string{"bind"}},
	} {
		m := mount("none", c.source, "/mnt", c.options...)
		m.UIDMappings, m.GIDMappings = c.uids, ids(0, 1, 1)
		root := strings.Fields(hostIn(t, "stat", "-f", "-c", "%T", "/"))[0]
		if c.source == "/" && !strings.HasPrefix(root, "ext") {
			continue // the text is that of a root on ext4
		}
		newBox(t, "true", m).refused(c.want)
	}
	before.Unchanged(t)
}

// TestManyIDMaps: as many ranges as the kernel takes, and one more.
func TestManyIDMaps(t *testing.T) {
	drive.MockersOwn(t, "since runc 1.2")
	volume := owned(t)
	var list []specs.LinuxIDMapping
	for n := range uint32(340) {
		list = append(list, ids(n*2, 2000+n*2, 1)...)
	}
	m := mount("none", volume, "/mnt", "bind")
	m.UIDMappings, m.GIDMappings = list, list
	must(t, os.Chown(volume+"/root", 678, 678))
	if got := newBox(t, "stat -c %u:%g /mnt/root", m).prints(); got != "2678:2678\n" {
		t.Errorf("got %s", got)
	}
	m.UIDMappings = append(list, ids(10000, 60000, 1)...)
	newBox(t, "true", m).refused("config.json: mounts[7].uidMappings: 341: more than 340 ranges")
}
