package mounts

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/drive"
)

func TestMain(m *testing.M) { drive.Main(m) }

var boxes atomic.Int32

// box is one container.
type box struct {
	testing.TB
	id, bundle string
}

// newBox makes a bundle with these mounts behind those that `spec` writes, and
// an id for it.
func newBox(t testing.TB, script string, list ...specs.Mount) *box {
	t.Helper()
	b := &box{TB: t, id: fmt.Sprintf("mounts-%d-%d", os.Getpid(), boxes.Add(1))}
	b.bundle = drive.Bundle(t, func(s *specs.Spec) {
		drive.Sh(script)(s)
		s.Mounts = append(s.Mounts, list...)
		caps := s.Process.Capabilities
		for _, set := range []*[]string{&caps.Bounding, &caps.Permitted, &caps.Effective} {
			*set = append(*set, "CAP_DAC_OVERRIDE", "CAP_SYS_ADMIN", "CAP_MKNOD")
		}
	})
	t.Cleanup(func() { drive.Run(t, "delete", "--force", b.id) })
	return b
}

// edit changes the box's config.json.
func (b *box) edit(change func(*specs.Spec)) *box {
	b.Helper()
	drive.Edit(b, b.bundle, change)
	return b
}

// path is a path of the container, on the host.
func (b *box) path(p string) string { return filepath.Join(b.bundle, "rootfs", p) }

func (b *box) run() drive.Result {
	b.Helper()
	return drive.Run(b, "run", "--bundle", b.bundle, b.id)
}

// prints runs the box and gives what it prints.
func (b *box) prints() string {
	b.Helper()
	r := b.run()
	if r.Code != 0 {
		b.Fatalf("%v", r)
	}
	return r.Stdout
}

// refused runs the box, which must fail with a text.
func (b *box) refused(want string) {
	b.Helper()
	r := b.run()
	if r.Code == 0 {
		b.Errorf("accepted: %v", r)
	}
	if !drive.Others() && r.Stderr != "mocker: "+strings.ReplaceAll(want, "$BUNDLE", b.bundle)+"\n" {
		b.Errorf("got  %swant mocker: %s", r.Stderr, want)
	}
}

func mount(typ, source, target string, options ...string) specs.Mount {
	return specs.Mount{Type: typ, Source: source, Destination: target, Options: options}
}

// info is a line of mountinfo.
type info struct {
	root, options, propagation, typ, source, super string
}

const mountinfo = "cat /proc/self/mountinfo"

// mountsOf takes mountinfo apart, by mount point; the last one lies on top.
func mountsOf(text string) map[string]info {
	table := map[string]info{}
	for line := range strings.Lines(text) {
		before, after, ok := strings.Cut(strings.TrimSpace(line), " - ")
		f, g := strings.Fields(before), strings.SplitN(after, " ", 3)
		if !ok || len(f) < 6 || len(g) < 3 {
			continue
		}
		var tags []string
		for _, tag := range f[6:] {
			name, _, _ := strings.Cut(tag, ":") // without the number
			tags = append(tags, name)
		}
		table[f[4]] = info{f[3], f[5], strings.Join(tags, ","), g[0], g[1], g[2]}
	}
	return table
}

// hostTmpfs is a new tmpfs on the host, in the mount namespace of the tests.
func hostTmpfs(t testing.TB, flags uintptr) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", flags, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(text), 0o644))
}

// hostIn runs a command of the host and gives what it prints.
func hostIn(t testing.TB, argv ...string) string {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v: %s", argv, err, out)
	}
	return strings.TrimSpace(string(out))
}
