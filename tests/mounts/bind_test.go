package mounts

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/coverage"
	"github.com/mocker-runtime/mocker/tests/drive"
)

// TestSources binds everything that a file can be.
func TestSources(t *testing.T) {
	coverage.Shows(t, "mounts.source")
	dir := t.TempDir()
	write(t, dir+"/file", "text")
	must(t, os.Mkdir(dir+"/sub", 0o755))
	write(t, dir+"/sub/in", "deep")
	must(t, os.Symlink("file", dir+"/link"))
	must(t, os.Symlink(dir+"/sub", dir+"/linkdir"))
	must(t, unix.Mkfifo(dir+"/fifo", 0o600))
	must(t, unix.Mknod(dir+"/null", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	socket, err := net.Listen("unix", dir+"/socket")
	must(t, err)
	defer socket.Close()
	for _, c := range []struct{ source, script, want string }{
		{"file", "cat /mnt", "text"},
		{"sub", "cat /mnt/in", "deep"},
		{"link", "cat /mnt; stat -c ' %F' /mnt", "text regular file\n"},
		{"linkdir", "cat /mnt/in", "deep"},
		{"fifo", "stat -c %F /mnt", "fifo\n"},
		{"null", "echo x >/mnt; stat -c %F,%t:%T /mnt", "character special file,1:3\n"},
		{"socket", "stat -c %F /mnt", "socket\n"},
		{".", "cat /mnt/sub/in", "deep"},
	} {
		if got := newBox(t, c.script, mount("", filepath.Join(dir, c.source), "/mnt", "bind")).prints(); got != c.want {
			t.Errorf("%s: %q, want %q", c.source, got, c.want)
		}
	}
}

// TestRelativeSource is taken from the bundle.
func TestRelativeSource(t *testing.T) {
	b := newBox(t, "cat /a/x /b", mount("bind", "data", "/a", "rbind"), mount("none", "./data/x", "/b", "bind"))
	must(t, os.Mkdir(b.bundle+"/data", 0o755))
	write(t, b.bundle+"/data/x", "here\n")
	if got := b.prints(); got != "here\nhere\n" {
		t.Errorf("got %q", got)
	}
}

// TestHostRoot: the whole host, and a part of it with what is mounted there.
func TestHostRoot(t *testing.T) {
	source := hostTmpfs(t, 0)
	must(t, os.Mkdir(source+"/sub", 0o755))
	write(t, source+"/sub/below", "")
	must(t, unix.Mount("tmpfs", source+"/sub", "tmpfs", 0, ""))
	write(t, source+"/sub/above", "")
	for _, c := range []struct{ option, want string }{{"bind", "below"}, {"rbind", "above"}} {
		if got := newBox(t, "ls /mnt/sub", mount("none", source, "/mnt", c.option)).prints(); got != c.want+"\n" {
			t.Errorf("%s shows %q", c.option, got)
		}
	}
	if got := newBox(t, "ls /mnt"+source+"/sub", mount("none", "/", "/mnt", "rbind", "ro")).prints(); got != "above\n" {
		t.Errorf("rbind of / shows %q", got)
	}
}

// TestTargets: what is missing is made, links are followed within the image,
// and a read-only root is no obstacle.
func TestTargets(t *testing.T) {
	coverage.Shows(t, "mounts.destination")
	source := t.TempDir()
	write(t, source+"/file", "text\n")
	file, dir := source+"/file", source
	for _, c := range []struct {
		target, script string
		dir            bool
	}{
		{"/mnt/a/b/c", "cat /mnt/a/b/c", false},
		{"/mnt/a/b", "cat /mnt/a/b/file", true},
		{"/existing", "cat /existing", false},
		{"/inside/x", "cat /real/x", false},
		{"/inside", "cat /real/file", true},
		{"/dangling/x", "cat /dangling/x; cat /not/yet/x >/dev/null", false},
		{"/dangling", "cat /not/yet/file", true},
		{"/outside/x", "cat /outside/x; cat /canary/x >/dev/null", false},
		{"/outside", "cat /canary/file", true},
		{"/a/../mnt//./x/", "cat /mnt/x/file", true},
		{"relative", "cat /relative/file", true},
	} {
		for _, readonly := range []bool{false, true} {
			what, m := file, mount("none", file, c.target, "bind")
			if c.dir {
				what, m.Source = dir, dir
			}
			b := newBox(t, c.script+"; (: >/new) 2>/dev/null && echo writable; true", m).edit(func(s *specs.Spec) { s.Root.Readonly = readonly })
			write(t, b.path("existing"), "")
			must(t, os.Mkdir(b.path("real"), 0o755))
			must(t, os.Symlink("/real", b.path("inside")))
			must(t, os.Symlink("not/yet", b.path("dangling")))
			must(t, os.Symlink("../canary", b.path("outside")))
			must(t, os.Mkdir(b.bundle+"/canary", 0o755))
			want := "text\nwritable\n"
			if readonly {
				want = "text\n"
			}
			if got := b.prints(); got != want {
				t.Errorf("%s on %s, readonly %v: %q, want %q", what, c.target, readonly, got, want)
			}
			if list, err := os.ReadDir(b.bundle + "/canary"); err != nil || len(list) > 0 {
				t.Errorf("%s: something was made outside: %v, %v", c.target, list, err)
			}
		}
	}
}

// TestOrder: mounts are done in their order; a later one lies on top of an
// earlier one, and may go into it.
func TestOrder(t *testing.T) {
	one, two, three := t.TempDir(), t.TempDir(), t.TempDir()
	write(t, one+"/x", "one")
	write(t, two+"/x", "two")
	write(t, three+"/x", "three")
	must(t, os.Mkdir(one+"/sub", 0o755))
	a, b := mount("none", one, "/mnt", "bind"), mount("none", two, "/mnt/sub", "bind")
	for _, c := range []struct {
		script, want string
		list         []specs.Mount
	}{
		{"cat /mnt/x /mnt/sub/x", "onetwo", []specs.Mount{a, b}},
		{"cat /mnt/x; ls /mnt/sub", "one", []specs.Mount{b, a}},
		{"cat /mnt/x", "three", []specs.Mount{a, mount("none", three, "/mnt", "bind")}},
		{"cat /mnt/x /mnt/sub/x", "onetwo", []specs.Mount{mount("none", one, "/mnt", "bind", "ro"), b}},
		{"cat /mnt/sub/x", "two", []specs.Mount{mount("tmpfs", "tmpfs", "/mnt", "ro"), b}},
		{"cat /mnt/sub/x /mnt/x", "twothree", []specs.Mount{mount("tmpfs", "tmpfs", "/mnt"), b, mount("none", three+"/x", "/mnt/x", "bind")}},
	} {
		if got := newBox(t, c.script, c.list...).prints(); got != c.want {
			t.Errorf("%s: %q, want %q", c.script, got, c.want)
		}
	}
}

// TestRefusedMounts: what cannot be, with what is wrong.
func TestRefusedMounts(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/file", "")
	must(t, os.Mkdir(dir+"/empty", 0o755))
	must(t, os.Symlink("nowhere", dir+"/dangling"))
	for _, c := range []struct {
		want string
		list []specs.Mount
	}{
		{"rootfs: mounts[7].source: open_tree /no/where: no such file or directory", []specs.Mount{mount("none", "/no/where", "/mnt", "bind")}},
		{"rootfs: mounts[7].source: open_tree " + dir + "/dangling: no such file or directory", []specs.Mount{mount("none", dir+"/dangling", "/mnt", "bind")}},
		{"rootfs: mounts[7].source: open_tree " + dir + "/file/x: not a directory", []specs.Mount{mount("none", dir+"/file/x", "/mnt", "bind")}},
		{"rootfs: mounts[7].destination: mount a file on the directory /tmp: not a directory", []specs.Mount{mount("none", dir+"/file", "/tmp", "bind")}},
		{"rootfs: mounts[7].destination: mount a directory on the file /bin/busybox: not a directory", []specs.Mount{mount("none", dir, "/bin/busybox", "bind")}},
		{"rootfs: mounts[7].destination: mount a directory on the file /bin/busybox: not a directory", []specs.Mount{mount("tmpfs", "tmpfs", "/bin/busybox")}},
		{"rootfs: mounts[7].destination: open bin/busybox/x: not a directory", []specs.Mount{mount("tmpfs", "tmpfs", "/bin/busybox/x")}},
		{"rootfs: mounts[7].destination: open loop/x: too many levels of symbolic links", []specs.Mount{mount("tmpfs", "tmpfs", "/loop/x")}},
		{"rootfs: mounts[8].destination: make /mnt/new: mkdir new: read-only file system",
			[]specs.Mount{mount("none", dir, "/mnt", "bind", "ro"), mount("tmpfs", "tmpfs", "/mnt/new")}},
		{"rootfs: mounts[8].destination: make /mnt/new: open new: read-only file system",
			[]specs.Mount{mount("none", dir, "/mnt", "bind", "ro"), mount("none", dir+"/file", "/mnt/new", "bind")}},
		{`rootfs: mounts[7].destination: filesystem "proc" must be mounted on ordinary directory, which /plink is not`, []specs.Mount{mount("proc", "proc", "/plink")}},
		{`rootfs: mounts[7].destination: filesystem "sysfs" must be mounted on ordinary directory, which /plink is not`, []specs.Mount{mount("sysfs", "sysfs", "/plink")}},
	} {
		b := newBox(t, "true", c.list...)
		must(t, os.Symlink("loop", b.path("loop")))
		must(t, os.Symlink("tmp", b.path("plink")))
		before := drive.TakeSnapshot(t)
		b.refused(c.want)
		before.Unchanged(t)
	}
}

// TestMayMiss: with nofail a source that does not exist is left out.
func TestMayMiss(t *testing.T) {
	drive.MockersOwn(t, "of mount(8) alone")
	script := "ls -d /mnt/a 2>/dev/null; grep -c ' /mnt/' /proc/self/mountinfo; true"
	got := newBox(t, script, mount("none", "/no/where", "/mnt/a", "bind", "nofail"), mount("ext4", "/no/device", "/mnt/b", "nofail")).prints()
	if got != "0\n" {
		t.Errorf("got %q", got)
	}
	newBox(t, "true", mount("none", "/etc/passwd/x", "/mnt/a", "bind", "nofail")).
		refused("rootfs: mounts[7].source: open_tree /etc/passwd/x: not a directory")
}

// TestManyMounts: there is no limit to run into.
func TestManyMounts(t *testing.T) {
	var list []specs.Mount
	dir := t.TempDir()
	for n := range 300 {
		list = append(list, mount("none", dir, fmt.Sprintf("/mnt/%d", n), "bind", "ro"))
	}
	if got := newBox(t, "grep -c ' /mnt/' /proc/self/mountinfo", list...).prints(); got != "300\n" {
		t.Errorf("%s mounts", strings.TrimSpace(got))
	}
}
