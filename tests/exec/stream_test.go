package exec

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// TestStreams: stdin, stdout and stderr are the caller's own.
func TestStreams(t *testing.T) {
	b := running(t)
	cmd := exec.Command(drive.Runtime(t), b.args("cat; echo err >&2; exit 5")...)
	cmd.Stdin = strings.NewReader(strings.Repeat("0123456789", 20000))
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); cmd.ProcessState.ExitCode() != 5 || out.Len() != 200000 || errs.String() != "err\n" {
		t.Errorf("%v: %d bytes, %q", err, out.Len(), errs.String())
	}
	// What was a pipe belongs to the process's user, who can open it again.
	if got := b.prints("echo again >/dev/stdout", "--user", "1000"); got != "again\n" {
		t.Errorf("stdout opened again: %q", got)
	}
}

// TestSignals: what mocker gets is passed on to the program.
func TestSignals(t *testing.T) {
	b := running(t)
	cmd := drive.Start(t, drive.Runtime(t), b.args("trap 'echo usr1' USR1; trap 'echo term; exit 9' TERM; echo ready; while :; do sleep 0.05; done")...)
	for _, step := range []struct {
		shows string
		sig   os.Signal
	}{{"ready\n", syscall.SIGUSR1}, {"usr1\n", syscall.SIGTERM}} {
		drive.Eventually(t, "it prints "+step.shows, func() bool { return strings.Contains(cmd.Output(), step.shows) })
		if err := cmd.Process.Signal(step.sig); err != nil {
			t.Fatal(err)
		}
	}
	if r := cmd.Wait(); r.Code != 9 || r.Stdout != "ready\nusr1\nterm\n" {
		t.Errorf("%v", r)
	}
	// One that the program does not handle ends it, and only it.
	cmd = drive.Start(t, drive.Runtime(t), b.args("echo ready; exec sleep 1000")...)
	drive.Eventually(t, "it is ready", func() bool { return cmd.Output() == "ready\n" })
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if r := cmd.Wait(); r.Code != 130 {
		t.Errorf("SIGINT: %v", r)
	}
	b.prints("true")
}

// TestTerminal: --tty gives the process a terminal of the container's, with
// the size of the caller's, and Ctrl-C for its foreground.
func TestTerminal(t *testing.T) {
	b := running(t)
	term := drive.OnTerminal(t, drive.Runtime(t), "exec", "--tty", "--user", "1000", b.id, "sh", "-c",
		`tty; stty size; stat -c %u $(tty); echo controlling >/dev/tty; echo ready; read x; echo "got $x"; trap 'echo int; exit 8' INT; while :; do sleep 0.05; done`)
	shown := term.Expect("ready\r\n")
	if !strings.Contains(shown, "/dev/pts/0\r\n24 80\r\n1000\r\ncontrolling\r\n") {
		t.Errorf("terminal, size, owner, controlling terminal: %q", shown)
	}
	term.Type("hello\r")
	term.Expect("got hello\r\n")
	term.Type("\x03")
	term.Expect("int\r\n")
	if code := term.Wait(); code != 8 {
		t.Errorf("exit %d: %s", code, term.Shown())
	}
}

// TestTerminalOutput: nothing of a lot of output gets lost at the end.
func TestTerminalOutput(t *testing.T) {
	drive.MockersOwn(t, "runc needs a terminal of its own for --tty")
	b := running(t)
	r := b.exec("seq 1 50000; exit 3", "--tty")
	if r.Code != 3 || !strings.HasSuffix(r.Stdout, "49999\r\n50000\r\n") || strings.Count(r.Stdout, "\n") != 50000 {
		t.Errorf("exit %d, %d lines, ends in %q", r.Code, strings.Count(r.Stdout, "\n"), r.Stdout[max(0, len(r.Stdout)-40):])
	}
}

// TestNoTerminal: what config.json says of a terminal is about the first
// process.
func TestNoTerminal(t *testing.T) {
	b := running(t)
	drive.Edit(t, b.bundle, func(s *specs.Spec) { s.Process.Terminal = true })
	if r := b.exec("tty; exit 0"); r.Stdout != "not a tty\n" {
		t.Errorf("%v", r)
	}
}

// TestConsoleSocket: a detached process with a terminal, whose master goes to
// the socket.
func TestConsoleSocket(t *testing.T) {
	b := running(t)
	file := b.process(func(p *specs.Process) {
		script("stty size; tty; read line; echo read $line; exec sleep 1000")(p)
		p.Terminal, p.ConsoleSize = true, &specs.Box{Height: 41, Width: 123}
	})
	dir := t.TempDir()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	pidFile := filepath.Join(dir, "pid")
	call := drive.Start(t, drive.Runtime(t), b.args("", "--process", file, "--detach", "--pid-file", pidFile, "--console-socket", filepath.Join(dir, "s"))...)
	master := receive(t, l)
	defer master.Close()
	if r := call.Wait(); r.Code != 0 || r.Stdout+r.Stderr != "" {
		t.Fatalf("%v", r)
	}
	shows := func(want string) {
		t.Helper()
		buf := make([]byte, 4096)
		for seen := ""; !strings.Contains(seen, want); {
			if err := master.SetReadDeadline(time.Now().Add(drive.Patience(10 * time.Second))); err != nil {
				t.Fatal(err)
			}
			n, err := master.Read(buf)
			if err != nil {
				t.Fatalf("%v: the terminal shows %q, not %q", err, seen, want)
			}
			seen += string(buf[:n])
		}
	}
	size := "41 123\r\n"
	if os.Getenv("RUNTIME") != "" {
		size = "" // Debian's runc leaves it to the engine
	}
	shows(size + "/dev/pts/0\r\n")
	if _, err := master.WriteString("hello\r"); err != nil {
		t.Fatal(err)
	}
	shows("read hello\r\n")
	if pid, err := strconv.Atoi(read(t, pidFile)); err != nil {
		t.Error(err)
	} else {
		reap(pid)
	}
}

// receive takes the one descriptor that comes over a console socket.
func receive(t *testing.T, l *net.UnixListener) *os.File {
	t.Helper()
	if err := l.SetDeadline(time.Now().Add(drive.Patience(10 * time.Second))); err != nil {
		t.Fatal(err)
	}
	conn, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	data, oob := make([]byte, 256), make([]byte, 256)
	_, n, _, _, err := conn.ReadMsgUnix(data, oob)
	if err != nil {
		t.Fatal(err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) != 1 {
		t.Fatalf("%v: %d messages", err, len(messages))
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		t.Fatalf("%v: descriptors %v", err, fds)
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fds[0]), "master")
}

// TestDetached: exec returns at once, and the process lives on, ends with its
// container and leaves nothing.
func TestDetached(t *testing.T) {
	before := drive.TakeSnapshot(t)
	b := running(t)
	pid := b.detached()
	drive.Eventually(t, "the process sleeps", func() bool { return read(t, fmt.Sprintf("/proc/%d/cmdline", pid)) == "sleep\x001000\x00" })
	drive.OK(t, "kill", b.id, "KILL")
	if _, err := unix.Wait4(pid, nil, 0, nil); err != nil {
		t.Fatal(err)
	}
	if r := b.exec("true"); r.Code != 255 || !strings.Contains(r.Stderr, "cannot exec in a stopped container") {
		t.Errorf("after the end: %v", r)
	}
	drive.OK(t, "delete", b.id)
	before.Unchanged(t)
}

// TestPidFile: where it cannot be written, the process does not stay.
func TestPidFile(t *testing.T) {
	b := running(t)
	r := b.exec("echo $$ >/came; exec sleep 1000", "--detach", "--pid-file", filepath.Join(t.TempDir(), "none", "pid"))
	if r.Code != 255 || !strings.Contains(r.Stderr, "no such file or directory") {
		t.Errorf("%v", r)
	}
	if got := b.prints("ps -o args | grep -c '^sleep'"); got != "1\n" {
		t.Errorf("%s processes sleep", strings.TrimSpace(got))
	}
}

// TestMany: twenty processes at once, and their container ends in the middle:
// each has run, was killed, or came too late and says so.
func TestMany(t *testing.T) {
	before := drive.TakeSnapshot(t)
	b := running(t)
	var wg sync.WaitGroup
	results := make([]drive.Result, 20)
	var calls []*drive.Cmd
	for i := range results {
		call := drive.Start(t, drive.Runtime(t), b.args("echo in; exec sleep 0.2")...)
		calls = append(calls, call)
		wg.Add(1)
		go func() {
			defer wg.Done()
			results[i] = call.Wait()
		}()
		if i == 14 {
			drive.Eventually(t, "the fifth is in", func() bool { return calls[4].Output() == "in\n" })
			drive.OK(t, "kill", b.id, "KILL")
		}
	}
	wg.Wait()
	count := map[string]int{}
	for _, r := range results {
		switch {
		case r.Code == 0 && r.Stdout == "in\n" && r.Stderr == "":
			count["ran"]++
		case r.Code == 137 && r.Stderr == "":
			count["killed"]++
		case r.Code == 255 && strings.Contains(r.Stderr, "cannot exec in a stopped container"):
			count["too late"]++
		default:
			if os.Getenv("RUNTIME") == "" {
				t.Errorf("%v", r)
			}
		}
	}
	t.Log(count)
	drive.OK(t, "delete", b.id)
	before.Unchanged(t)
}

// TestDeleted: delete --force while others join again and again: it succeeds
// and nothing is left.
func TestDeleted(t *testing.T) {
	drive.MockersOwn(t, "runc's delete loses this race")
	before := drive.TakeSnapshot(t)
	for range 5 {
		b := running(t, func(s *specs.Spec) { // whose processes do not end with the first one
			s.Linux.Namespaces = s.Linux.Namespaces[1:]
			if s.Linux.Namespaces[0].Type == specs.PIDNamespace {
				t.Fatal("the pid namespace is not the first one")
			}
		})
		var wg sync.WaitGroup
		var stop sync.Once
		done := make(chan struct{})
		for range 3 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for {
					select {
					case <-done:
						return
					default:
						_ = exec.Command(drive.Runtime(t), b.args("exec sleep 1000", "--detach")...).Run()
					}
				}
			}()
		}
		time.Sleep(100 * time.Millisecond)
		r := drive.Run(t, "delete", "--force", b.id)
		stop.Do(func() { close(done) })
		wg.Wait()
		if r.Code != 0 {
			t.Errorf("delete: %v", r)
			drive.Run(t, "delete", "--force", b.id)
		}
		for pid := 1; pid > 0; { // what was left to the test; nobody waits for a command now
			pid, _ = unix.Wait4(-1, nil, unix.WNOHANG, nil)
		}
	}
	before.Unchanged(t)
}
