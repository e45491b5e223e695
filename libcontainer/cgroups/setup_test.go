package cgroups

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mocker-runtime/mocker/libcontainer/config"
	oci "github.com/opencontainers/cgroups"
	devices "github.com/opencontainers/cgroups/devices/config"
	"golang.org/x/sys/unix"
)

// The tests run on the machine's own hierarchies, below a name that nobody
// else has, and once more where v2 is all that can be seen: in a mount
// namespace of its own, from a second start of the test binary, because the
// library looks at the mounts only once.
const viewEnv = "MOCKER_TEST_V2_VIEW"

func TestMain(m *testing.M) {
	if os.Getuid() != 0 {
		fmt.Fprintln(os.Stderr, "these tests make cgroups and need root")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func TestPureV2View(t *testing.T) {
	if os.Getenv(viewEnv) != "" || isType(mountpoint, unix.CGROUP2_SUPER_MAGIC) {
		return // this is it: the other tests of this run are the ones
	}
	if !isType(hybrid, unix.CGROUP2_SUPER_MAGIC) {
		t.Skip("the machine has no cgroup v2 tree at " + hybrid)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// A bind mount: a new mount of cgroup2 would change the host's options.
	args := []string{"-c", `mount --bind "$1" "$2" && exec "$0" -test.v -test.count=1`, exe, hybrid, mountpoint}
	cmd := exec.Command("sh", args...)
	cmd.Env = append(os.Environ(), viewEnv+"=1")
	cmd.SysProcAttr = &unix.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	t.Logf("%s", out)
}

var count atomic.Int32

// place is a cgroupsPath below a parent of this test's own, which stands for
// /mocker and must be gone at the end.
func place(t *testing.T) (parent, path string) {
	parent = fmt.Sprintf("mocker-test-%d-%d", os.Getpid(), count.Add(1))
	t.Cleanup(func() {
		left, _ := filepath.Glob(mountpoint + "/*/" + parent)
		if top := filepath.Join(mountpoint, parent); exists(top) {
			left = append(left, top)
		}
		for _, dir := range left {
			t.Errorf("left behind: %s", dir)
			_ = oci.RemovePath(dir)
		}
	})
	return parent, "/" + parent + "/c"
}

func open(t *testing.T, res *oci.Resources) *Cgroup {
	t.Helper()
	parent, path := place(t)
	c, err := Open(config.Cgroup{Path: path, Resources: res}, "c", false)
	if err != nil {
		t.Fatal(err)
	}
	c.parent = parent
	return c
}

func made(t *testing.T, res *oci.Resources) *Cgroup {
	t.Helper()
	c := open(t, res)
	if err := c.Make(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(c.KillAll(unix.SIGKILL), c.Destroy()); err != nil {
			t.Error(err)
		}
	})
	return c
}

// noLimits denies devices but three, as every container does, and asks for
// no controller that a v2 tree beside v1 hierarchies lacks.
func noLimits() *oci.Resources {
	rule := func(major, minor int64) *devices.Rule {
		return &devices.Rule{Type: devices.CharDevice, Major: major, Minor: minor, Permissions: "rwm", Allow: true}
	}
	return &oci.Resources{Devices: []*devices.Rule{
		{Type: devices.WildcardDevice, Major: devices.Wildcard, Minor: devices.Wildcard, Permissions: "rwm"},
		rule(1, 3), rule(1, 5), rule(5, 0),
	}}
}

// worker is a shell outside of the cgroup that runs its script once it is
// told to.
type worker struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   *bufio.Reader
	wait  func() // reaps it; once, from any goroutine
}

func start(t *testing.T, script string) *worker {
	t.Helper()
	w := &worker{cmd: exec.Command("sh", "-c", "read go; "+script)}
	w.cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	var err error
	if w.stdin, err = w.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	w.out = bufio.NewReader(out)
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.wait = sync.OnceFunc(func() { _ = w.cmd.Wait() })
	t.Cleanup(func() { _ = unix.Kill(-w.pid(), unix.SIGKILL); w.wait() })
	return w
}

func (w *worker) pid() int { return w.cmd.Process.Pid }

func (w *worker) run() string {
	_, _ = w.stdin.Write([]byte("\n"))
	line, _ := w.out.ReadString('\n')
	return strings.TrimSpace(line)
}

// Add attaches another process, by its pid as mocker sees it, to every directory.
// It opens all of the files first and then writes them one right after the
// other: each write waits for an RCU grace period unless another has just
// done so.
func (c *Cgroup) Add(pid int) error {
	var files []*os.File
	defer func() {
		for _, f := range files {
			_ = f.Close()
		}
	}()
	for _, dir := range c.dirs() {
		f, err := oci.OpenFile(dir, oci.CgroupProcesses, os.O_WRONLY)
		if err != nil {
			return fmt.Errorf("attach process %d: %w", pid, err)
		}
		files = append(files, f)
	}
	for _, f := range files {
		if err := attach(f, pid); err != nil {
			return fmt.Errorf("attach process %d to %s: %w", pid, filepath.Dir(f.Name()), err)
		}
	}
	return nil
}

func attach(f *os.File, pid int) error {
	var err error
	for range 10 {
		_, err = unix.Write(int(f.Fd()), strconv.AppendInt(nil, int64(pid), 10))
		// EINVAL is what a task gets that has not been scheduled for the
		// first time yet (TASK_NEW).
		if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EINTR) {
			break
		}
		time.Sleep(time.Millisecond)
	}
	return err
}
