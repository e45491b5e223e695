package entry

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const symbol = "github.com/mocker-runtime/mocker/libcontainer/entry.Start"

// build makes testdata/target with this package as its entry.
func build(t *testing.T, arch string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "target")
	cmd := exec.Command("go", "build", "-ldflags", "-E "+symbol, "-o", path, "./testdata/target")
	cmd.Env = append(os.Environ(), "GOARCH="+arch, "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build for %s: %v\n%s", arch, err, out)
	}
	return path
}

// What runs before the runtime calls nothing of it.
func TestCode(t *testing.T) {
	callTo := regexp.MustCompile(`\b(?:CALL|BL) ([^\s]+)`)
	allowed := regexp.MustCompile(`^(syscall\.RawSyscall6|internal/runtime/syscall(/linux)?\.Syscall6|github\.com/mocker-runtime/mocker/libcontainer/(entry\.[a-zA-Z(*).]+|nofile\.(Withhold|prlimit)))(\.abi0)?\(SB\)$`)
	for _, arch := range []string{"amd64", "arm64"} {
		t.Run(arch, func(t *testing.T) {
			dump, err := exec.Command("go", "tool", "objdump", "-s", `libcontainer/(entry\.|nofile\.(Withhold|prlimit))`, build(t, arch)).Output()
			if err != nil {
				t.Fatal(err)
			}
			calls := callTo.FindAllSubmatch(dump, -1)
			for _, m := range calls {
				if !allowed.Match(m[1]) {
					t.Errorf("it calls %s", m[1])
				}
			}
			if len(calls) < 20 || !bytes.Contains(dump, []byte("TEXT "+symbol)) {
				t.Errorf("found %d calls in the disassembly, want 20 or more:\n%s", len(calls), dump)
			}
		})
	}
}

// said is what the target says of its start.
type said struct{ mark, comm, renamed, args string }

func run(t *testing.T, path string, env []string, args ...string) said {
	t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Env = env
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	f := strings.SplitN(string(out), "|", 4)
	if err != nil || len(f) != 4 {
		t.Fatalf("%s %v: %q, %v", path, args, out, err)
	}
	return said{f[0], f[1], f[2], f[3]}
}

func TestSealed(t *testing.T) {
	path := build(t, "")
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	end := fmt.Sprintf(":%d:%d:%s", st.Dev, st.Ino, path)
	for _, args := range []string{"create x", "--root /x run x", "exec x true", "kill run 9"} {
		got := run(t, path, []string{"A=b", "C="}, strings.Fields(args)...)
		if !strings.HasPrefix(got.mark, Overlay+":") || !strings.HasSuffix(got.mark, end) || got.comm != "target" || got.renamed != "true" || got.args != args {
			t.Errorf("%s: got %+v, want a mark that ends in %s", args, got, end)
		}
	}
}

// What is not plain is left alone.
func TestLeftAlone(t *testing.T) {
	path := build(t, "")
	many := make([]string, maxEnviron+1)
	for i := range many {
		many[i] = fmt.Sprintf("V%d=", i)
	}
	for name, c := range map[string]struct {
		env  []string
		args string
	}{
		"another verb":       {nil, "state x"},
		"a longer word":      {nil, "creates x"},
		"the last word":      {nil, "state run"},
		"no verb":            {nil, ""},
		"a long environment": {many, "run x"},
		"a mark":             {[]string{"A=b", Mark + "=some/thing"}, "run x"},
	} {
		got := run(t, path, c.env, strings.Fields(c.args)...)
		if strings.HasPrefix(got.mark, Overlay) || got.args != c.args {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	fits := run(t, path, many[1:], "run", "x")
	if !strings.HasPrefix(fits.mark, Overlay) {
		t.Errorf("as many variables as fit: got %+v", fits)
	}
	readonly := filepath.Join(t.TempDir(), "ro")
	cmd := exec.Command("unshare", "-m", "sh", "-ec", `mkdir "$1"; mount -t tmpfs tmpfs "$1"; cp "$0" "$1/target"; mount -o remount,ro "$1"; exec "$1/target" run x`, path, readonly)
	if out, err := cmd.CombinedOutput(); err != nil || !strings.HasPrefix(string(out), "|target|false|") {
		t.Errorf("on a read-only file system: %s, %v", out, err)
	}
}

// The limit of descriptors is withheld from the runtime, which cannot look into
// cgroups then, and is given back; but a stdin that was closed is opened. (What
// can be raised Go raises, to the hard limit or one less.)
func TestNofile(t *testing.T) {
	path := build(t, "")
	for limits, want := range map[string]string{
		"ulimit -Sn 64; ulimit -Hn 512": "64 512 511 512 /dev/null\n",
		"ulimit -n 300":                 "300 300 300 300 /dev/null\n",
		"ulimit -n 300; exec <&-":       "300 300 300 300 /dev/null\n",
		"ulimit -Sn 3; ulimit -Hn 100":  "3 100 99 100 /dev/null\n",
		"ulimit -Sn 2; ulimit -Hn 64":   "2 64 63 64 /dev/null\n",
		"exec 3</ 4</ 5</; ulimit -n 6": "6 6 6 6 /dev/null\n",
	} {
		// A shell sets the limits, for os/exec would restore Go's own record.
		out, err := exec.Command("sh", "-c", limits+`; exec "$0" nofile`, path).CombinedOutput()
		if err != nil || string(out) != want {
			t.Errorf("%s: got %q, %v, want %q", limits, out, err, want)
		}
	}
	seen := filepath.Join(t.TempDir(), "seen")
	if out, err := exec.Command("strace", "-f", "-o", seen, path, "nofile").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	calls, err := os.ReadFile(seen)
	if err != nil || bytes.Contains(calls, []byte("/proc/self/mountinfo")) || !bytes.Contains(calls, []byte("EMFILE")) {
		t.Errorf("the runtime looks into cgroups all the same, %v:\n%s", err, calls)
	}
}
