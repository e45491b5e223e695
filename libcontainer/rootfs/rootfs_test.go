package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
	"github.com/mocker-runtime/mocker/libcontainer/inside"
)

// newRoot makes a root in a mount namespace of its own. Canary lies beside
// it on the host: nothing that happens in the root may change it.
func newRoot(t *testing.T, cfg *config.Config) (root *Root, dir, canary string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: makes mount namespaces")
	}
	base := t.TempDir()
	dir, canary = filepath.Join(base, "rootfs"), filepath.Join(base, "canary")
	for _, d := range []string{dir, canary} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	in, err := inside.New(inside.Birth{Namespaces: unix.CLONE_NEWNS | unix.CLONE_NEWPID, CgroupFD: -1})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Rootfs.Path = dir
	cfg.Namespaces = []config.Namespace{{Flag: unix.CLONE_NEWNS}, {Flag: unix.CLONE_NEWPID}}
	root, err = New(in, cfg, Host{Unprivileged: func() bool { return false }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close(); in.Kill(); in.Close() })
	return root, dir, canary
}

// TestPlaceStaysInRoot makes what is missing on the way to a path, through
// every kind of link, and never outside of the root.
func TestPlaceStaysInRoot(t *testing.T) {
	links := map[string]string{
		"abs":       "/target",               // to what does not exist
		"rel":       "target2",               //
		"up":        "../../../../canary",    // climbs
		"updir":     "../canary",             //
		"chain":     "abs/deeper",            //
		"loop":      "loop",                  //
		"dev":       "../canary",             // CVE-2026-41579
		"magic":     "/proc/self/root",       //
		"var/run":   "/run",                  // of an image without /run
		"long/a/b":  "../../../../../target", // from a directory
		"fine/link": "there",
	}
	for _, c := range []struct {
		path string
		dir  bool
		want string // path below the root that exists afterwards, or an error
		err  error
	}{
		{"/plain/dir", true, "plain/dir", nil},
		{"/plain/file", false, "plain/file", nil},
		{"/abs/x", true, "target/x", nil},
		{"/abs", true, "target", nil},
		{"/abs", false, "target", nil},
		{"/rel/x/y", true, "target2/x/y", nil},
		{"/up/x", true, "canary/x", nil},
		{"/updir/x", false, "canary/x", nil},
		{"/chain/x", true, "target/deeper/x", nil},
		{"/dev/null", false, "canary/null", nil},
		{"/loop/x", true, "", unix.ELOOP},
		{"/magic/x", true, "proc/self/root/x", nil}, // no procfs is mounted there
		{"/var/run/x", true, "run/x", nil},
		{"/long/a/b/x", true, "target/x", nil},
		{"/fine/link/x", true, "fine/there/x", nil},
		{"/fine/there", true, "fine/there", nil},
		{"/", true, ".", nil},
	} {
		t.Run(fmt.Sprintf("%s,dir=%v", c.path, c.dir), func(t *testing.T) {
			root, dir, canary := newRoot(t, &config.Config{})
			for name, target := range links {
				p := filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink(target, p); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.MkdirAll(filepath.Join(dir, "fine/there"), 0o755); err != nil {
				t.Fatal(err)
			}
			fd, err := root.place(c.path, c.dir)
			if !errors.Is(err, c.err) {
				t.Fatalf("place: %v, want %v", err, c.err)
			}
			if err == nil {
				unix.Close(fd)
				if st, err := os.Lstat(filepath.Join(dir, c.want)); err != nil || st.IsDir() != c.dir {
					t.Errorf("not made where it belongs: %v", err)
				}
			}
			if list, _ := os.ReadDir(canary); len(list) != 0 {
				t.Errorf("made on the host: %v", list)
			}
		})
	}
}

func TestPlaceOfTheWrongKind(t *testing.T) {
	root, dir, _ := newRoot(t, &config.Config{})
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := root.place("/file", true); !errors.Is(err, unix.ENOTDIR) || !strings.Contains(err.Error(), "/file") {
		t.Errorf("a directory on a file: %v", err)
	}
	if _, err := root.place("/", false); !errors.Is(err, unix.ENOTDIR) { // the kernel's word for both
		t.Errorf("a file on a directory: %v", err)
	}
	if _, err := root.place("/file/x", true); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("below a file: %v", err)
	}
}

// TestMountStaysInside mounts on paths that lead elsewhere through links, and
// looks at the host's mount table.
func TestMountStaysInside(t *testing.T) {
	before := mountTable(t)
	root, dir, canary := newRoot(t, &config.Config{Mounts: []config.Mount{
		{Index: 0, Destination: "/link/tmp", Type: "tmpfs", Data: []string{"mode=700"}},
		{Index: 1, Destination: "/ro", Type: "tmpfs", Set: unix.MOUNT_ATTR_RDONLY, Data: []string{"ro"}},
		{Index: 2, Destination: "/ro/sub", Type: "tmpfs"},
		{Index: 3, Destination: "/bound", Type: "bind", Source: "/etc/hostname", Set: unix.MOUNT_ATTR_RDONLY},
	}})
	if err := os.Symlink("../canary", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := root.Mount(); err != nil {
		t.Fatal(err)
	}
	if err := root.Finish(); err != nil {
		t.Fatal(err)
	}
	if now := mountTable(t); now != before {
		t.Errorf("the host's mounts changed:\n%s\nbefore:\n%s", now, before)
	}
	if list, _ := os.ReadDir(canary); len(list) != 0 {
		t.Errorf("made on the host: %v", list)
	}
	for path, want := range map[string]error{"/canary/tmp/x": nil, "/ro/x": unix.EROFS, "/ro/sub/x": nil} {
		parent, name, err := root.parent(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := root.touch(parent, name); !errors.Is(err, want) {
			t.Errorf("make %s: %v, want %v", path, err, want)
		}
		unix.Close(parent)
	}
	if _, err := root.in.Openat2(root.fd, "bound", unix.O_WRONLY, 0, inRoot); !errors.Is(err, unix.EROFS) {
		t.Errorf("write to a read-only bind: %v", err)
	}
}

func mountTable(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestMountErrors names the mount, and what the kernel has to say.
func TestMountErrors(t *testing.T) {
	for _, c := range []struct {
		m    config.Mount
		want string
	}{
		{config.Mount{Index: 4, Destination: "/x", Type: "tmpfs", Data: []string{"size=lots"}},
			"mounts[4] (tmpfs on /x): fsconfig size=lots: invalid argument (tmpfs: Bad value for 'size')"},
		{config.Mount{Index: 0, Destination: "/x", Type: "nofs"}, "mounts[0] (nofs on /x): fsopen nofs: no such device (this kernel has no file system \"nofs\")"},
		{config.Mount{Index: 1, Destination: "/x", Type: "bind", Source: "/no/where"},
			"mounts[1].source: open_tree /no/where: no such file or directory"},
		{config.Mount{Index: 2, Destination: "/x", Type: "tmpfs", Data: []string{"key=" + strings.Repeat("v", 4092)}},
			"mounts[2] (tmpfs on /x): options of 4096 bytes: this kernel takes 4095 for a file system, 255 for one of its options"},
	} {
		root, _, _ := newRoot(t, &config.Config{Mounts: []config.Mount{c.m}})
		if err := root.Mount(); err == nil || err.Error() != c.want {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
	}
}

// TestMaskCopesWithAFakeNull: the image's /dev/null may be anything
// (CVE-2025-31133); masks are the host's null device, which must not change.
func TestMaskCopesWithAFakeNull(t *testing.T) {
	root, dir, _ := newRoot(t, &config.Config{
		Masked:      []string{"/secret", "/other", "/secrets", "/more", "/missing"},
		ReadonlySub: []string{"/fixed", "/missing"},
	})
	for _, d := range []string{"dev", "secrets", "more", "fixed"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{"secret", "other", "secrets/key", "more/key"} {
		if err := os.WriteFile(filepath.Join(dir, f), []byte("secret"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/secret", filepath.Join(dir, "dev/null")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(root.Readonly(), root.Mask()); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"secret", "other"} {
		fd, err := root.open(f, unix.O_RDONLY)
		if err != nil {
			t.Fatal(err)
		}
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil || st.Rdev != unix.Mkdev(1, 3) {
			t.Errorf("%s is not masked by the null device (mode %#o, rdev %#x)", f, st.Mode, st.Rdev)
		}
		// The inode is the host's: nothing about it must be changeable here.
		if err := unix.Fchmod(fd, st.Mode&0o7777); !errors.Is(err, unix.EROFS) {
			t.Errorf("chmod %s: %v, want %v", f, err, unix.EROFS)
		}
		unix.Close(fd)
	}
	for _, f := range []string{"secrets/key", "more/key"} {
		if _, err := root.open(f, unix.O_PATH); !errors.Is(err, unix.ENOENT) {
			t.Errorf("%s: %v, want it hidden", f, err)
		}
	}
	if _, err := root.in.Openat2(root.fd, "fixed/x", unix.O_CREAT|unix.O_WRONLY, 0o600, inRoot); !errors.Is(err, unix.EROFS) {
		t.Errorf("write below a read-only path: %v", err)
	}
}

func TestDevicesDoNotFollowLinks(t *testing.T) {
	root, dir, canary := newRoot(t, &config.Config{Devices: []config.Device{
		{Path: "/dev/null", Mode: unix.S_IFCHR | 0o666, Major: 1, Minor: 3},
		{Path: "/dev/null", Mode: unix.S_IFCHR | 0o666, Major: 1, Minor: 3},
		{Path: "/dev/deep/fifo", Mode: unix.S_IFIFO | 0o600, UID: 5, GID: 6},
	}})
	if err := os.Symlink("../canary", filepath.Join(dir, "dev")); err != nil {
		t.Fatal(err)
	}
	if err := root.Devices(); err != nil {
		t.Fatal(err)
	}
	if list, _ := os.ReadDir(canary); len(list) != 0 {
		t.Errorf("made on the host: %v", list)
	}
	var st unix.Stat_t
	if err := unix.Lstat(filepath.Join(dir, "canary/deep/fifo"), &st); err != nil || st.Mode != unix.S_IFIFO|0o600 || st.Uid != 5 || st.Gid != 6 {
		t.Errorf("fifo: %v, %+v", err, st)
	}
	if target, err := os.Readlink(filepath.Join(dir, "canary/ptmx")); err != nil || target != "pts/ptmx" {
		t.Errorf("ptmx: %q, %v", target, err)
	}
}

func TestDeviceInTheWay(t *testing.T) {
	root, dir, _ := newRoot(t, &config.Config{Devices: []config.Device{{Path: "/dev/null", Mode: unix.S_IFCHR | 0o666, Major: 1, Minor: 3}}})
	if err := os.MkdirAll(filepath.Join(dir, "dev"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "dev/null"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := root.Devices(); !errors.Is(err, unix.EEXIST) || !strings.Contains(err.Error(), "/dev/null") {
		t.Errorf("got %v", err)
	}
}

// TestProcIsPrivate: a write goes to a procfs, or nowhere.
func TestProcIsPrivate(t *testing.T) {
	root, _, _ := newRoot(t, &config.Config{})
	proc, err := root.Proc()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"self/attr/exec", "../etc/passwd", "/etc/passwd", "self"} {
		if err := proc.Write(p, "x"); err == nil {
			t.Errorf("wrote to %s", p)
		}
	}
}

// TestCopyUp: a tmpfs begins with what it covers, of whatever kind, and no
// link is followed on the way.
func TestCopyUp(t *testing.T) {
	root, dir, canary := newRoot(t, &config.Config{Mounts: []config.Mount{
		{Index: 0, Destination: "/data", Type: "tmpfs", CopyUp: true},
		{Index: 1, Destination: "/bare", Type: "tmpfs"},
		{Index: 2, Destination: "/given", Type: "tmpfs", Data: []string{"mode=700"}},
	}})
	data := filepath.Join(dir, "data")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(data, "sub/deep"), 0o755))
	must(os.WriteFile(filepath.Join(canary, "secret"), []byte("secret"), 0o600))
	must(os.WriteFile(filepath.Join(data, "sub/file"), []byte("content"), 0o600))
	must(os.Chown(filepath.Join(data, "sub/file"), 5, 6))
	must(os.Chmod(filepath.Join(data, "sub/file"), 0o640|os.ModeSetuid))
	must(os.Symlink("../../canary", filepath.Join(data, "out")))
	must(os.Symlink("/", filepath.Join(data, "sub/root")))
	must(unix.Mkfifo(filepath.Join(data, "fifo"), 0o600))
	must(os.Chmod(data, 0o751))
	must(os.Mkdir(filepath.Join(dir, "bare"), 0o711))
	must(os.Mkdir(filepath.Join(dir, "given"), 0o711))
	must(root.Mount())

	for path, want := range map[string]uint32{
		"data": unix.S_IFDIR | 0o751, "data/sub/file": unix.S_IFREG | unix.S_ISUID | 0o640, "data/fifo": unix.S_IFIFO | 0o600,
		"data/sub/deep": unix.S_IFDIR | 0o755, "bare": unix.S_IFDIR | 0o711, "given": unix.S_IFDIR | 0o700,
	} {
		fd, err := root.open(path, unix.O_PATH)
		must(err)
		var st unix.Stat_t
		must(unix.Fstat(fd, &st))
		var fs unix.Statfs_t
		must(unix.Fstatfs(fd, &fs))
		unix.Close(fd)
		if st.Mode != want || fs.Type != unix.TMPFS_MAGIC {
			t.Errorf("%s: mode %#o on %#x, want %#o on a tmpfs", path, st.Mode, fs.Type, want)
		}
		if path == "data/sub/file" && (st.Uid != 5 || st.Gid != 6 || st.Size != 7) {
			t.Errorf("%s: %+v", path, st)
		}
	}
	fd, err := root.in.Openat2(root.fd, "data/out", unix.O_PATH|unix.O_NOFOLLOW, 0, inRoot)
	must(err)
	defer unix.Close(fd)
	if target, err := root.in.Readlink(fd, "out"); err != nil || target != "../../canary" {
		t.Errorf("link: %q, %v", target, err)
	}
}
