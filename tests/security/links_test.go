package security

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// linkAttack is an image whose links lead out of it to where mocker is going
// to make, mount or remove something.
type linkAttack struct {
	name     string
	at       string // path in the rootfs
	target   string // of the link there; the canary is ../canary seen from the rootfs
	edit     func(*specs.Spec)
	careless func(root string) error // what a runtime that works with strings would do
	want     string                  // in the container's output; "": it may also be refused
}

func linkAttacks(t *testing.T) []linkAttack {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, []byte("bound\n"), 0o644))
	must(t, os.Chmod(filepath.Dir(filepath.Dir(file)), 0o755))
	mount := func(list ...specs.Mount) func(*specs.Spec) {
		return func(s *specs.Spec) { s.Mounts = append(s.Mounts, list...) }
	}
	terminal := func(s *specs.Spec) {
		s.Process.Terminal = true
		withoutMount(s, "/dev", "/dev/shm", "/dev/mqueue")
	}
	return []linkAttack{
		{"CVE-2019-18837 file to mount on", "etc", "../canary", mount(bind(file, "/etc/x")), create("etc/x"), "end"},
		{"CVE-2024-45310 directory to mount on", "etc", "../canary", mount(tmpfs("/etc/x/y")), mkdir("etc/x/y"), "end"},
		{"CVE-2024-45310 deeper", "a/b", "../../canary/sub", mount(tmpfs("/a/b/y")), mkdir("a/b/y"), "end"},
		{"CVE-2021-30465 mount over a link", "vol", "../canary", mount(tmpfs("/vol")), mountOn("vol"), "end"},
		{"CVE-2023-27561 proc", "proc", "../canary", nil, mountOn("proc"), ""},
		{"CVE-2023-28642 proc within the image", "proc", "tmp/x", nil, nil, ""},
		{"CVE-2025-54867 sys", "sys", "../canary", nil, mountOn("sys"), ""},
		{"CVE-2026-41579 dev without a mount", "dev", "../canary",
			func(s *specs.Spec) { withoutMount(s, "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue") },
			func(root string) error { return replaceLink(filepath.Join(root, "dev/ptmx")) }, ""},
		{"CVE-2026-41579 dev with a mount", "dev", "../canary", nil, mountOn("dev"), ""},
		{"CVE-2025-31133 null within dev", "dev/null", "../../canary/secret",
			func(s *specs.Spec) {
				withoutMount(s, "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue")
				s.Linux.MaskedPaths = []string{"/etc/passwd"}
			},
			func(root string) error { return os.WriteFile(filepath.Join(root, "dev/null"), []byte("x"), 0o600) }, ""},
		{"CVE-2026-88265 owner of null", "dev/null", "../../canary/secret",
			func(s *specs.Spec) {
				withoutMount(s, "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue")
				s.Process.User = specs.User{UID: 1000, GID: 1000}
			},
			func(root string) error { return os.Chown(filepath.Join(root, "dev/null"), 1000, 1000) }, ""},
		{"CVE-2026-88264 console that is not there", "dev/console", "../../canary/new", terminal, create("dev/console"), ""},
		{"CVE-2025-52565 console", "dev/console", "../../canary/console", terminal, mountOn("dev/console"), ""},
		{"CVE-2026-88264 console and a read-only root", "dev/console", "../../canary/new",
			func(s *specs.Spec) { terminal(s); s.Root.Readonly = true }, create("dev/console"), ""},
		{"CVE-2025-52565 pts", "dev/pts", "../../canary/pts", terminal, mountOn("dev/pts"), ""},
		{"working directory", "work", "../canary", func(s *specs.Spec) { s.Process.Cwd = "/work/new" }, mkdir("work/new"), "end"},
		{"device", "etc", "../canary", func(s *specs.Spec) {
			s.Linux.Devices = append(s.Linux.Devices, specs.LinuxDevice{Path: "/etc/x", Type: "p"})
		}, create("etc/x"), "end"},
		{"dots in a destination", "etc", "../canary", mount(tmpfs("/tmp/../../../etc/x")), mkdir("etc/x"), "end"},
		{"masked path", "etc", "../canary", func(s *specs.Spec) { s.Linux.MaskedPaths = []string{"/etc/secret"} }, mountOn("etc/secret"), "end"},
		{"read-only path", "etc", "../canary", func(s *specs.Spec) { s.Linux.ReadonlyPaths = []string{"/etc"} }, mountOn("etc"), "end"},
	}
}

// TestLinksLeadNowhere: no link of an image leads out of it. The canary is
// where a path that is put together as a string ends.
func TestLinksLeadNowhere(t *testing.T) {
	for _, a := range linkAttacks(t) {
		for _, w := range everyWay {
			t.Run(a.name+"/"+w.name, func(t *testing.T) { a.by(t, w) })
		}
		if a.careless != nil {
			t.Run(a.name+"/careless", a.indeed)
		}
	}
}

func (a linkAttack) by(t *testing.T, w way) {
	if cve, _, _ := strings.Cut(a.name, " "); strings.HasPrefix(cve, "CVE") {
		attack(t, w.name, cve)
	}
	bundle, root, c := w.box(t, func(s *specs.Spec) {
		s.Process.Args = []string{"sh", "-c", "stat -f -c %t /proc; cat /etc/secret; echo end"}
		if a.edit != nil {
			a.edit(s)
		}
	})
	place(t, filepath.Join(root, a.at), link(a.target))
	w.own(t, bundle)
	c.before = c.look(t)
	w.mountRoot(t, root, c)
	r := w.run(t, bundle)
	t.Logf("exit %d: %s", r.Code, strings.TrimSpace(r.Stderr))
	c.unharmed(t)
	if strings.Contains(r.Stdout, "the host's") {
		harmed(t, "it has read the canary: %v", r)
	}
	switch {
	case drive.Others() && r.Code != 0 && r.Stderr != "": // it may refuse what mocker can do
	case !strings.Contains(r.Stdout, a.want):
		t.Errorf("got no %q: %v", a.want, r)
	case r.Code == 0 && !strings.HasPrefix(r.Stdout, "9fa0"):
		harmed(t, "/proc is no procfs: %v", r)
	case r.Code != 0 && r.Stderr == "":
		t.Errorf("refused without a word: %v", r)
	}
}

// indeed is the same on something weak, or the above would mean nothing.
func (a linkAttack) indeed(t *testing.T) {
	_, root, c := box(t, nil)
	place(t, filepath.Join(root, a.at), link(a.target))
	if err := a.careless(root); err != nil {
		t.Fatalf("careless: %v", err)
	}
	if c.harm(t) == "" {
		t.Error("a careless runtime has done no harm either")
	}
	for _, p := range []string{a.at, "etc/secret"} {
		_ = unix.Unmount(filepath.Join(root, p), unix.MNT_DETACH)
	}
}

func create(p string) func(string) error {
	return func(root string) error { return os.WriteFile(filepath.Join(root, p), nil, 0o644) }
}

func mkdir(p string) func(string) error {
	return func(root string) error { return os.MkdirAll(filepath.Join(root, p), 0o755) }
}

func mountOn(p string) func(string) error {
	return func(root string) error {
		target, source := filepath.Join(root, p), root+"/bin"
		if st, err := os.Stat(target); err == nil && !st.IsDir() {
			source += "/busybox"
		}
		return unix.Mount(source, target, "", unix.MS_BIND, "")
	}
}

func replaceLink(path string) error {
	if err := os.Remove(path); err != nil {
		return err
	}
	return os.Symlink("pts/ptmx", path)
}
