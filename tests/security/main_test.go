package security

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/drive"
)

func TestMain(m *testing.M) { drive.Main(m) }

// full is for the counts of issues and papers; without it they are such that
// the whole takes less than two minutes.
var full = flag.Bool("full", false, "a thousand exchanges, ten thousand execs, every descriptor")

// times is how often to do what is repeated: many times with -full.
func times(many, usual, few int) int {
	if *full {
		return many
	}
	return drive.Rounds(usual, few)
}

func lookPath(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	must(t, err)
	return path
}

// canary is a directory of the host that no container has any business with.
// It lies beside a bundle's rootfs, and knows how it looked.
type canary struct {
	dir    string
	before []string
	mounts string
}

func newCanary(t *testing.T, dir string) *canary {
	t.Helper()
	c := &canary{dir: dir}
	for _, d := range []string{"", "sub", "pts"} {
		must(t, os.Mkdir(filepath.Join(dir, d), 0o755))
	}
	for _, f := range []string{"secret", "console", "null", "ptmx", "fd", "sub/file"} {
		must(t, os.WriteFile(filepath.Join(dir, f), []byte("the host's\n"), 0o600))
	}
	c.before = c.look(t)
	c.mounts = mounts(t)
	return c
}

// look describes every file: name, mode, owner, time of the last change, and
// content.
func (c *canary) look(t *testing.T) []string {
	t.Helper()
	var list []string
	must(t, filepath.WalkDir(c.dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(p, &st); err != nil {
			return err
		}
		var content []byte
		if d.Type().IsRegular() {
			if content, err = os.ReadFile(p); err != nil {
				return err
			}
		}
		list = append(list, fmt.Sprintf("%s %o %d:%d dev %d inode %d changed %v %q", p, st.Mode, st.Uid, st.Gid, st.Dev, st.Ino, st.Ctim, content))
		return nil
	}))
	return list
}

// harm says what is different in the canary, or in the mounts of the host.
func (c *canary) harm(t *testing.T) string {
	t.Helper()
	now := c.look(t)
	if !slices.Equal(now, c.before) {
		return "was:\n" + strings.Join(c.before, "\n") + "\nis:\n" + strings.Join(now, "\n")
	}
	if m := mounts(t); m != c.mounts {
		return "mounts of the host were:\n" + c.mounts + "are:\n" + m
	}
	return ""
}

func (c *canary) unharmed(t *testing.T) {
	t.Helper()
	if harm := c.harm(t); harm != "" {
		harmed(t, "the host has been changed, %s", harm)
	}
}

func mounts(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("/proc/self/mountinfo")
	must(t, err)
	return string(data)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// box is a bundle with a canary beside its rootfs.
func box(t *testing.T, edit func(*specs.Spec)) (bundle, root string, c *canary) {
	t.Helper()
	bundle = drive.Bundle(t, edit)
	return bundle, filepath.Join(bundle, "rootfs"), newCanary(t, filepath.Join(bundle, "canary"))
}

// run runs a container to its end. Whatever comes of it, nothing stays.
func run(t *testing.T, bundle string) drive.Result {
	t.Helper()
	id := "security-" + filepath.Base(bundle) + fmt.Sprint(os.Getpid())
	r := drive.Run(t, "run", "--bundle", bundle, id)
	if r.Code != 0 {
		drive.Run(t, "delete", "--force", id) // other runtimes leave what failed
	}
	return r
}

// place puts a file in the way: what was there goes.
func place(t *testing.T, path string, put func(string) error) {
	t.Helper()
	must(t, os.RemoveAll(path))
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, put(path))
}

func link(target string) func(string) error {
	return func(path string) error { return os.Symlink(target, path) }
}

// withoutMount takes mounts out of a config.json.
func withoutMount(s *specs.Spec, destinations ...string) {
	s.Mounts = slices.DeleteFunc(s.Mounts, func(m specs.Mount) bool { return slices.Contains(destinations, m.Destination) })
}

func bind(source, destination string) specs.Mount {
	return specs.Mount{Type: "bind", Source: source, Destination: destination, Options: []string{"bind"}}
}

func tmpfs(destination string) specs.Mount {
	return specs.Mount{Type: "tmpfs", Source: "tmpfs", Destination: destination}
}

// allCaps gives the process the capabilities that an attack could have a use
// for. (All there are is more than root has on some machines.)
func allCaps(s *specs.Spec) {
	var all []string
	for _, name := range strings.Fields(`CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
		NET_BIND_SERVICE NET_ADMIN NET_RAW SYS_CHROOT SYS_PTRACE SYS_ADMIN MKNOD SETFCAP`) {
		all = append(all, "CAP_"+name)
	}
	s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: all, Effective: all, Permitted: all}
}

// buildHostile builds the attacker's program.
var buildHostile = sync.OnceValues(func() ([]byte, error) { return build("./hostile") })

// build gives the program made of a folder. Where there is no Go,
// MOCKER_PROGRAMS is the folder with what was built before.
func build(folder string) ([]byte, error) {
	name := filepath.Base(folder)
	if built := os.Getenv("MOCKER_PROGRAMS"); built != "" {
		return os.ReadFile(filepath.Join(built, name))
	}
	dir, err := os.MkdirTemp("", "built-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	bin := filepath.Join(dir, name)
	cmd := exec.Command("go", "build", "-o", bin, folder)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build %s: %w\n%s", folder, err, out)
	}
	return os.ReadFile(bin)
}

// hostile writes the attacker's program to a path.
func hostile(t *testing.T, path string) {
	t.Helper()
	data, err := buildHostile()
	must(t, err)
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, data, 0o755))
}

func sum(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	return fmt.Sprintf("%x", sha256.Sum256(data))
}
