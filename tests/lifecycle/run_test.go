package lifecycle

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/drive"
)

func TestRunStatus(t *testing.T) {
	for _, test := range []struct {
		script string
		want   int
	}{
		{"true", 0}, {"exit 1", 1}, {"exit 42", 42}, {"exit 255", 255},
	} {
		b := newBox(t, drive.Sh(test.script))
		if r := b.run(); r.Code != test.want || r.Stdout+r.Stderr != "" {
			t.Errorf("%s: %v, want %d", test.script, r, test.want)
		}
		refused(t, "does not exist", "state", b.id)
	}
}

// TestRunSignalled: 128+n when a signal has ended the process.
func TestRunSignalled(t *testing.T) {
	b := newBox(t, drive.Sh("echo ready; exec sleep 100"))
	cmd := drive.Start(t, drive.Runtime(t), "run", "--bundle", b.bundle, b.id)
	drive.Eventually(t, "it runs", func() bool { return strings.Contains(cmd.Output(), "ready") })
	drive.OK(t, "kill", b.id, "KILL")
	if r := cmd.Wait(); r.Code != 128+9 {
		t.Errorf("%v", r)
	}
}

// TestRunStreams: stdin, stdout and stderr are the process's own.
func TestRunStreams(t *testing.T) {
	b := newBox(t, drive.Sh("read line; echo out $line; echo err $line >&2"))
	var out, stderr strings.Builder
	cmd := call(t, "run", "--bundle", b.bundle, b.id)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader("hello\n"), &out, &stderr
	if err := cmd.Run(); err != nil || out.String() != "out hello\n" || stderr.String() != "err hello\n" {
		t.Errorf("%v: %q, %q", err, out.String(), stderr.String())
	}
}

// TestRunForwards: signals to the runtime reach the process.
func TestRunForwards(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGQUIT} {
		t.Run(sig.String(), func(t *testing.T) {
			n := strconv.Itoa(int(sig))
			b := newBox(t, drive.Sh("trap 'echo got; exit 5' "+n+"; echo ready; while :; do sleep 0.05; done"))
			cmd := drive.Start(t, drive.Runtime(t), "run", "--bundle", b.bundle, b.id)
			drive.Eventually(t, "it runs", func() bool { return strings.Contains(cmd.Output(), "ready") })
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			if r := cmd.Wait(); r.Code != 5 || r.Stdout != "ready\ngot\n" {
				t.Errorf("%v", r)
			}
			refused(t, "does not exist", "state", b.id)
		})
	}
}

func TestRunKeep(t *testing.T) {
	drive.MockersOwn(t, "Debian's runc is older than --keep")
	b := newBox(t, drive.Sh("exit 3"))
	if r := b.run("--keep"); r.Code != 3 {
		t.Fatalf("%v", r)
	}
	if st := b.state(); st.Status != "stopped" || st.Pid != 0 {
		t.Errorf("%+v", st)
	}
	drive.OK(t, "delete", b.id)
}

func TestRunDetached(t *testing.T) {
	b := newBox(t, forever)
	pidFile := temp(t, "pid")
	if r := b.run("-d", "--pid-file", pidFile); r.Code != 0 || r.Took > 20*time.Second {
		t.Fatalf("%v", r)
	}
	st := b.state()
	if pid, err := os.ReadFile(pidFile); err != nil || st.Status != "running" || string(pid) != strconv.Itoa(st.Pid) {
		t.Errorf("%v, pid file %q, %+v", err, pid, st)
	}
}

// TestRunFails: what run could not start it has removed.
func TestRunFails(t *testing.T) {
	b := newBox(t, func(s *specs.Spec) { s.Process.Args = []string{"/etc/passwd"} })
	if r := b.run(); r.Code != 1 || !strings.Contains(r.Stderr, "permission denied") {
		t.Errorf("%v", r)
	}
	refused(t, "does not exist", "state", b.id)
}

// TestPreserveFDs: 0, 1, 2 and the caller's, and nothing else.
func TestPreserveFDs(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	var out strings.Builder
	b := newBox(t, drive.Sh("cat /proc/self/fd/3 /dev/fd/3; ls /proc/1/fd; echo back >&4"))
	cmd := call(t, "run", "--preserve-fds", "2", "--bundle", b.bundle, b.id)
	given, err := os.Open("/etc/hostname")
	if err != nil {
		t.Fatal(err)
	}
	defer given.Close()
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.ExtraFiles = []*os.File{given, write}
	err = cmd.Run()
	write.Close()
	host := file(t, "/etc/hostname") + "\n"
	if want := host + host + "0\n1\n2\n3\n4\n"; err != nil || out.String() != want {
		t.Errorf("%v: %q, want %q", err, out.String(), want)
	}
	buf := make([]byte, 16)
	if n, err := read.Read(buf); err != nil || string(buf[:n]) != "back\n" {
		t.Errorf("from fd 4: %q, %v", buf[:n], err)
	}
}

// TestOnlyStdio: without the flag the caller's other descriptors are closed.
func TestOnlyStdio(t *testing.T) {
	var out strings.Builder
	b := newBox(t, func(s *specs.Spec) { s.Process.Args = []string{"ls", "-l", "/proc/self/fd"} })
	cmd := call(t, "run", "--bundle", b.bundle, b.id)
	dir, err := os.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.ExtraFiles = []*os.File{dir, dir, dir}
	if err := cmd.Run(); err != nil {
		t.Fatal(err, out.String())
	}
	// ls has closed the directory when it looks at the links.
	var fds []string
	for line := range strings.Lines(out.String()) {
		if f := strings.Fields(line); len(f) >= 3 && f[len(f)-2] == "->" {
			fds = append(fds, f[len(f)-3])
			if f[len(f)-1] == "/" {
				t.Errorf("a directory of the host is open: %s", line)
			}
		}
	}
	if got := strings.Join(fds, " "); got != "0 1 2" {
		t.Errorf("descriptors %s", got)
	}
}
