package errors

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/drive"
)

func TestMain(m *testing.M) { drive.Main(m) }

// place is where one row is carried out.
type place struct {
	testing.TB
	runtime string
	dir     string // empty, for everybody to read
	id      string // of the container, not taken
	temp    string // directory for temporary files
	pid     int    // $PID in the texts, if a row sets it

	bundle string // made when it is first asked for
}

// newPlace makes a place for a row with a runtime; what is created there as
// $ID or $ID-2 goes with the test.
func newPlace(t testing.TB, runtime string, n int) *place {
	t.Helper()
	p := &place{TB: t, runtime: runtime, dir: t.TempDir(), temp: t.TempDir(), id: fmt.Sprintf("errors-%d-%d", os.Getpid(), n)}
	for _, dir := range []string{filepath.Dir(p.dir), p.dir} {
		if err := os.Chmod(dir, 0o755); err != nil { // for rows that are not root
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		p.call(call{args: []string{"delete", "--force", p.id}})
		p.call(call{args: []string{"delete", "--force", p.id + "-2"}})
	})
	return p
}

// spec changes the config.json of the place's bundle.
func (p *place) spec(edit func(*specs.Spec)) {
	p.Helper()
	if p.bundle == "" {
		p.bundle = drive.Bundle(p, nil)
	}
	drive.Edit(p, p.bundle, edit)
}

// text replaces config.json by something else.
func (p *place) text(config string) {
	p.spec(func(*specs.Spec) {})
	p.write(filepath.Join(p.bundle, "config.json"), config, 0o644)
}

func (p *place) write(path, text string, mode os.FileMode) {
	p.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		p.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		p.Fatal(err)
	}
}

// inRoot is the host's path of one in the container.
func (p *place) inRoot(path string) string {
	p.spec(func(*specs.Spec) {})
	return filepath.Join(p.bundle, "rootfs", path)
}

// ok runs a command of the runtime that must succeed.
func (p *place) ok(args ...string) {
	p.Helper()
	if got := p.call(call{args: args}); got.code != 0 {
		p.Fatalf("%v: exit %d: %s", args, got.code, got.stderr)
	}
}

// host runs a command of the machine that must succeed.
func (p *place) host(args ...string) {
	p.Helper()
	if r := drive.Exec(p, args[0], args[1:]...); r.Code != 0 {
		p.Fatalf("%v: %v", args, r)
	}
}

// expand puts the place's own names into a text; shrink takes them out.
func (p *place) expand(text string) string {
	return strings.NewReplacer("$BUNDLE", p.bundle, "$DIR", p.dir, "$ID", p.id, "$PID", fmt.Sprint(p.pid)).Replace(text)
}

func (p *place) shrink(text string) string {
	names := []string{p.dir, "$DIR", p.id, "$ID"}
	if p.bundle != "" {
		names = append(names, p.bundle, "$BUNDLE")
	}
	if p.pid != 0 {
		names = append(names, fmt.Sprint(p.pid), "$PID")
	}
	runtime := "runc"
	if p.runtime == drive.Mocker(p) {
		runtime = "$MOCKER"
	}
	text = strings.NewReplacer(append(names, filepath.Dir(p.dir), "$DIR/..", p.runtime, runtime)...).Replace(text)
	return anyProcess.ReplaceAllString(text, "process N ")
}

// anyProcess is a process that has another number each time.
var anyProcess = regexp.MustCompile(`process \d+ `)

// five are the namespaces of the example spec without the sixth, that of
// cgroups, which it has on cgroup v2.
func five(s *specs.Spec) []specs.LinuxNamespace { return s.Linux.Namespaces[:5] }

// machine is the machine as it concerns this place: cgroups, keyrings and
// temporary files are all that the test has in common with everybody else.
// Under -short it is nothing: TestBadInput looks once, before and after all.
func (p *place) machine() []string {
	p.Helper()
	if testing.Short() {
		return nil
	}
	snapshot := slices.DeleteFunc(drive.TakeSnapshot(p), func(line string) bool {
		kind, _, _ := strings.Cut(line, " ")
		common := kind == "cgroup" || kind == "key" || kind == "temporary"
		return common && !strings.Contains(line, p.id)
	})
	for _, file := range tree(p, p.temp) {
		snapshot = append(snapshot, "temporary "+file)
	}
	return snapshot
}

func tree(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// unchanged fails the test unless the machine is as it was. What the kernel
// takes its time for, such as the end of a namespace, is waited for.
func (p *place) unchanged(before []string) {
	p.Helper()
	var more, less []string
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		p.reap()
		now := p.machine()
		without := func(list, other []string) []string {
			return slices.DeleteFunc(slices.Clone(list), func(line string) bool { return slices.Contains(other, line) })
		}
		more, less = without(now, before), without(before, now)
		// The kernel collects keyrings when it finds the time.
		less = slices.DeleteFunc(less, func(line string) bool { return strings.HasPrefix(line, "key ") })
		if len(more)+len(less) == 0 {
			return
		}
	}
	p.Errorf("the machine has changed:\n+ %s\n- %s", strings.Join(more, "\n+ "), strings.Join(less, "\n- "))
}

// reap takes the exit status of what containers have left to the test, which
// is their reaper: until then they hold on to their keyrings. No command runs
// meanwhile whose status somebody waits for.
func (p *place) reap() {
	for {
		if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 && !errors.Is(err, syscall.EINTR) {
			return
		}
	}
}

// call is one command line of the runtime.
type call struct {
	args []string // with $BUNDLE, $DIR, $ID
	as   uint32   // user; 0 is root
	hide string   // directory of the host that is empty for this call, with a space between several
}

type answer struct {
	stdout, stderr string
	code           int
}

// call carries out a command line. Its output goes to a file, which a
// container may inherit without anybody waiting for it.
func (p *place) call(c call) answer {
	p.Helper()
	argv := []string{p.runtime}
	for _, arg := range c.args {
		argv = append(argv, p.expand(arg))
	}
	if c.hide != "" {
		// What hides them must not need what is hidden afterwards.
		script := `for d in $1; do mount -n --bind "$2" "$d" || exit 99; done; shift 2; exec "$@"`
		argv = append([]string{"unshare", "-m", "sh", "-c", script, "sh", c.hide, p.TempDir()}, argv...)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "TMPDIR="+p.temp)
	if c.as != 0 {
		cmd.Path = p.readable()
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: c.as, Gid: c.as}}
	}
	stdout, stderr := p.output(), p.output()
	defer stdout.Close()
	defer stderr.Close()
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := cmd.Start(); err != nil {
		p.Fatal(err)
	}
	timer := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		p.Fatal(err)
	}
	return answer{content(p, stdout), content(p, stderr), cmd.ProcessState.ExitCode()}
}

func (p *place) output() *os.File {
	p.Helper()
	f, err := os.CreateTemp(p.TempDir(), "output")
	if err != nil {
		p.Fatal(err)
	}
	return f
}

func content(t testing.TB, f *os.File) string {
	t.Helper()
	data, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.TrimSuffix(data, []byte("\n")))
}

// readable is a copy of the runtime that every user can execute.
func (p *place) readable() string {
	path, err := exec.LookPath(p.runtime)
	if err != nil {
		p.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		p.Fatal(err)
	}
	dir := p.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		p.Fatal(err)
	}
	p.write(filepath.Join(dir, "runtime"), string(data), 0o755)
	return filepath.Join(dir, "runtime")
}
