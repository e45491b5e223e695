package mounts

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// TestOverlay: layers of the host, relative to the bundle or not, whatever
// their names.
func TestOverlay(t *testing.T) {
	drive.MockersOwn(t, "runc takes relative directories from the rootfs")
	top := hostTmpfs(t, 0) // an overlay cannot have its upper layer on another overlay
	layer := func(name, file string) string {
		dir := filepath.Join(top, name)
		must(t, os.MkdirAll(dir, 0o755))
		if file != "" {
			write(t, dir+"/"+file, file)
		}
		return dir
	}
	a, b, work := layer("a", "one"), layer("b", "two"), layer("work", "")
	upper := layer("upper", "")
	odd := layer(`o,d:d\`, "odd")
	escaped := strings.NewReplacer(`\`, `\\`, ":", `\:`, ",", `\,`).Replace(odd)
	for _, c := range []struct {
		name    string
		options []string
		want    string
	}{
		{"lower", []string{"lowerdir=" + a + ":" + b}, "one two"},
		{"in one", []string{"lowerdir=" + a + ",upperdir=" + upper + ",workdir=" + work}, "new one"},
		{"ro", []string{"lowerdir=" + a, "upperdir=" + upper, "workdir=" + work, "ro"}, "new one"},
		{"odd names", []string{"lowerdir=" + escaped + ":" + a}, "odd one"},
		{"relative", []string{"lowerdir=relative:" + a}, "one rel"},
		{"lowerdir+", []string{"lowerdir+=" + a, "lowerdir+=relative"}, "one rel"},
		{"relative upper", []string{"lowerdir=" + a, "upperdir=up", "workdir=wk", "index=off"}, "new one"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "lowerdir+" {
				drive.NeedKernel(t, 6, 7)
			}
			script := "cd /mnt; echo x >new 2>/dev/null; set -- *; echo $*"
			if !strings.Contains(strings.Join(c.options, ""), "upper") {
				script = "cd /mnt; (: >new) 2>/dev/null && echo writable; echo *"
			}
			box := newBox(t, script, mount("overlay", "overlay", "/mnt", c.options...))
			must(t, os.Mkdir(box.bundle+"/relative", 0o755))
			write(t, box.bundle+"/relative/rel", "")
			// The bundle may lie on an overlay, which cannot hold an upper layer.
			for _, d := range []string{"up", "wk"} {
				must(t, os.Symlink(layer(box.id+d, ""), filepath.Join(box.bundle, d)))
			}
			got, want := strings.Fields(box.prints()), strings.Fields(c.want)
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%q: %q, want %q", c.options, got, want)
			}
		})
	}
}

// TestLongOptions: more than the 255 bytes that fsconfig(2) takes for one
// option, and more than the page that mount(2) takes for all of them.
func TestLongOptions(t *testing.T) {
	top := hostTmpfs(t, 0)
	dir := func(name string) string {
		d := filepath.Join(top, name)
		must(t, os.MkdirAll(d, 0o755))
		return d
	}
	long := strings.Repeat("x", 200) + "/" + strings.Repeat("y", 200)
	lowers := func(count int, name string) string {
		var list []string
		for n := range count {
			d := dir(fmt.Sprintf("%s%d", name, n))
			write(t, fmt.Sprintf("%s/%03d", d, n), "")
			list = append(list, d)
		}
		return strings.Join(list, ":")
	}
	some, many, deep := lowers(10, "some-layer-"), lowers(150, "one-of-many-layers-"), lowers(5, long)
	for _, c := range []struct {
		name, want string
		options    []string
		own        string
	}{
		{"a list of layers", "10", []string{"lowerdir=" + some}, ""},
		{"a list longer than a page", "150", []string{"lowerdir=" + many}, "mount(2) takes a page"},
		{"long names of layers", "5", []string{"lowerdir=" + deep}, ""},
		{"long names of all", "5", []string{"lowerdir=" + deep, "upperdir=" + dir("up"+long), "workdir=" + dir("work"+long)}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.own != "" {
				drive.MockersOwn(t, c.own)
				drive.NeedKernel(t, 6, 7) // which takes one layer at a time
			}
			b := newBox(t, "ls /mnt | wc -l; "+mountinfo, mount("overlay", "over", "/mnt", append(c.options, "nosuid", "noatime")...))
			got := b.prints()
			if first, _, _ := strings.Cut(got, "\n"); first != c.want {
				t.Errorf("%s files, want %s", first, c.want)
			}
			table := mountsOf(got)
			if m := table["/mnt"]; m.typ != "overlay" || m.source != "over" || m.options != "rw,nosuid,noatime" || m.propagation != "" {
				t.Errorf("%+v", m)
			}
			for point, m := range table {
				if strings.Contains(m.super, "size=4k,mode=700") {
					t.Errorf("what it was made on is still there, on %s", point)
				}
			}
		})
	}
	newBox(t, "true", mount("tmpfs", "tmpfs", "/mnt", "mpol="+strings.Repeat("x", 4100))).
		refused("rootfs: mounts[7] (tmpfs on /mnt): options of 4105 bytes: this kernel takes 4095 for a file system, 255 for one of its options")
	before := len(mountsOf(hostIn(t, "cat", "/proc/self/mountinfo")))
	newBox(t, "true", mount("tmpfs", "tmpfs", "/mnt", "mpol="+strings.Repeat("x", 300))).
		refused("rootfs: mounts[7] (tmpfs on /mnt): mount tmpfs: invalid argument")
	if now := len(mountsOf(hostIn(t, "cat", "/proc/self/mountinfo"))); now != before {
		t.Errorf("%d mounts on the host, before %d", now, before)
	}
}

// TestTmpfsMode: a tmpfs gets the mode of what it covers, unless it is given
// one.
func TestTmpfsMode(t *testing.T) {
	for _, c := range []struct {
		mode    os.FileMode // of the directory; 0: there is none
		options []string
		want    string
	}{
		{0o711, nil, "711"},
		{0o755 | os.ModeSticky, nil, "1755"},
		{0o711, []string{"mode=1777"}, "1777"},
		{0, nil, "1777"},
		{0, []string{"mode=700"}, "700"},
	} {
		b := newBox(t, "stat -c %a /mnt/t", mount("tmpfs", "tmpfs", "/mnt/t", c.options...))
		if c.mode != 0 {
			must(t, os.MkdirAll(b.path("mnt/t"), 0o755))
			must(t, os.Chmod(b.path("mnt/t"), c.mode))
		}
		if got := strings.TrimSpace(b.prints()); got != c.want && !(drive.Others() && c.options != nil) {
			t.Errorf("%v %q: %s, want %s", c.mode, c.options, got, c.want)
		}
	}
}

// TestRemount changes what an entry before has mounted.
func TestRemount(t *testing.T) {
	drive.MockersOwn(t, "runc drops attributes that are not named again, and changes no file system")
	source := hostTmpfs(t, 0)
	for _, c := range []struct {
		want, super string
		list        []specs.Mount
	}{
		{"ro,nosuid,nodev,relatime", "rw", []specs.Mount{mount("none", source, "/mnt", "bind", "nosuid"), mount("none", "", "/mnt", "bind", "remount", "ro", "nodev")}},
		{"rw,relatime", "rw", []specs.Mount{mount("none", source, "/mnt", "bind", "ro"), mount("none", source, "/mnt", "bind", "remount", "rw")}},
		{"ro,relatime", "rw", []specs.Mount{mount("none", source, "/mnt", "bind"), mount("tmpfs", "", "/mnt", "remount", "ro")}},
		{"ro,relatime", "rw,size=1024k", []specs.Mount{mount("tmpfs", "tmpfs", "/mnt", "size=64k"), mount("tmpfs", "tmpfs", "/mnt", "remount", "size=1m", "ro")}},
		{"rw,nosuid,relatime", "rw,size=64k", []specs.Mount{mount("tmpfs", "tmpfs", "/mnt", "size=64k", "ro", "nosuid"), mount("", "", "/mnt", "remount", "rw")}},
		{"rw,noexec,relatime", "rw", []specs.Mount{mount("proc", "proc", "/mnt"), mount("proc", "proc", "/mnt", "remount", "noexec", "hidepid=2")}},
		{"ro,relatime", "ro", []specs.Mount{mount("proc", "proc", "/mnt"), mount("proc", "proc", "/mnt", "remount", "ro")}},
	} {
		got := mountsOf(newBox(t, mountinfo, c.list...).prints())["/mnt"]
		if got.options != c.want || !strings.HasPrefix(got.super, c.super) {
			t.Errorf("%v: %+v", c.list[1].Options, got)
		}
	}
	newBox(t, "true", mount("none", "", "/tmp", "bind", "remount", "ro")).
		refused("rootfs: mounts[7].destination: remount: nothing is mounted on /tmp")
	newBox(t, "true", mount("none", "", "/none", "bind", "remount", "ro")).
		refused("rootfs: mounts[7].destination: open none: no such file or directory")
	newBox(t, "true", mount("tmpfs", "tmpfs", "/mnt", "size=8k"), mount("tmpfs", "", "/mnt", "remount", "size=lots")).
		refused("rootfs: mounts[8] (tmpfs on /mnt): fsconfig size=lots: invalid argument (tmpfs: Bad value for 'size')")
}

// TestCopyUp: a tmpfs that starts with what it covers, down to the names that
// are the same file.
func TestCopyUp(t *testing.T) {
	drive.MockersOwn(t, "runc 1.1 cannot copy a FIFO")
	script := `cd /data; stat -c '%n %a %u:%g %h %s' file twin sub sub/file fifo link; cat sub/file link; readlink link; stat -c %Y file
		stat -f -c %T .; test file -ef twin && echo same; stat -c %b sparse; getfattr -d file 2>/dev/null; echo more >>file && echo writable; stat -c %a .`
	b := newBox(t, script, mount("tmpfs", "tmpfs", "/data", "tmpcopyup", "size=1m"))
	b.edit(func(s *specs.Spec) { s.Root.Readonly = true })
	hostIn(t, "sh", "-c", `mkdir -p `+b.path("data/sub")+` && cd `+b.path("data")+` && chmod 1751 . && echo one >file && chmod 4640 file && chown 5:6 file && ln file twin &&
		echo two >sub/file && ln -s sub/file link && mkfifo fifo && chmod 711 sub && chown 7:8 sub && truncate -s 1T sparse && chown 5:6 file && chmod 4640 file && touch -d @1000000000 file`)
	want := `file 4640 5:6 2 4
twin 4640 5:6 2 4
sub 711 7:8 2 60
sub/file 644 0:0 1 4
fifo 644 0:0 1 0
link 777 0:0 1 8
two
two
sub/file
1000000000
tmpfs
same
0
writable
1751
`
	if got := b.prints(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := hostIn(t, "cat", b.path("data/file")); got != "one" {
		t.Errorf("the image has changed: %q", got)
	}
	newBox(t, "true", mount("tmpfs", "tmpfs", "/bin", "tmpcopyup", "size=64k")).
		refused("rootfs: mounts[7] (tmpfs on /bin): tmpcopyup: copy busybox: sendfile: no space left on device")
}

// TestDefaultLinks: /dev/core only where there is something behind it.
func TestDefaultLinks(t *testing.T) {
	want := "/proc/kcore\n"
	if _, err := os.Stat("/proc/kcore"); err != nil {
		want = "none\n"
	}
	if got := newBox(t, "readlink /dev/core || echo none").prints(); got != want {
		t.Errorf("/dev/core: %s, want %s", got, want)
	}
}
