package lifecycle

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/coverage"
	"github.com/mocker-runtime/mocker/tests/drive"
)

func terminal(s *specs.Spec) { s.Process.Terminal = true }

// pty is a pseudo terminal, of 33 rows and 99 columns.
func pty(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	number, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	resize(t, master, 33, 99)
	return master, slave
}

func resize(t *testing.T, master *os.File, rows, cols uint16) {
	t.Helper()
	if err := unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols}); err != nil {
		t.Fatal(err)
	}
}

func modes(t *testing.T, f *os.File) unix.Termios {
	t.Helper()
	m, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *m
}

// screen collects what comes out of a master.
type screen struct {
	t    *testing.T
	text chan string
	seen string
}

func watch(t *testing.T, master *os.File) *screen {
	t.Helper()
	s := &screen{t: t, text: make(chan string, 100)}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			if n > 0 {
				s.text <- string(buf[:n])
			}
			if err != nil {
				close(s.text)
				return
			}
		}
	}()
	return s
}

func (s *screen) expect(text string) {
	s.t.Helper()
	drive.Eventually(s.t, fmt.Sprintf("the terminal shows %q (it shows %q)", text, s.seen), func() bool {
		select {
		case more := <-s.text:
			s.seen += more
		default:
		}
		return strings.Contains(s.seen, text)
	})
}

// TestTerminal: a run on a terminal, from raw mode to the modes of before.
func TestTerminal(t *testing.T) {
	coverage.Shows(t, "process.terminal")
	b := newBox(t, terminal, drive.Sh(strings.Join([]string{
		"trap 'echo resized; stty size' WINCH",
		"trap 'echo interrupted' INT",
		"tty; stty size; ls -l /proc/self/fd/0 | sed 's/.*-> //'; echo ready",
		"while read line; do echo read $line; case $line in end) exit 6; esac; done",
		"while :; do read line && echo again $line; case $line in end) exit 6; esac; done",
	}, "\n")))
	master, slave := pty(t)
	before := modes(t, slave)
	cmd := call(t, "run", "--bundle", b.bundle, b.id)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := watch(t, master)
	s.expect("ready")
	if !strings.Contains(s.seen, "/dev/pts/0") || !strings.Contains(s.seen, "33 99") {
		t.Errorf("terminal and size: %q", s.seen)
	}
	if raw := modes(t, slave); raw.Lflag&(unix.ICANON|unix.ECHO|unix.ISIG) != 0 {
		t.Errorf("the caller's terminal is not raw: %#x", raw.Lflag)
	}
	type1 := func(keys string) {
		t.Helper()
		if _, err := master.WriteString(keys); err != nil {
			t.Fatal(err)
		}
	}
	type1("one\r")
	s.expect("read one")
	resize(t, master, 20, 70)
	type1("two\r") // ash runs traps between commands
	s.expect("20 70")
	type1("\x03")
	s.expect("interrupted")
	type1("end\r")
	if code := exitCode(t, cmd); code != 6 {
		t.Errorf("exit %d; the terminal shows %q", code, s.seen)
	}
	if after := modes(t, slave); after != before {
		t.Errorf("modes of the terminal before %+v and after %+v", before, after)
	}
}

// TestInterrupt: Ctrl-C ends a program that does not handle it.
func TestInterrupt(t *testing.T) {
	b := newBox(t, terminal, drive.Sh("echo ready; sleep 100; echo slept $?; exit 4"))
	master, slave := pty(t)
	cmd := call(t, "run", "--bundle", b.bundle, b.id)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := watch(t, master)
	s.expect("ready")
	drive.Eventually(t, "the sleep has begun", func() bool {
		return strings.Contains(drive.Exec(t, "cat", fmt.Sprintf("/proc/%d/task/%d/children", b.state().Pid, b.state().Pid)).Stdout, " ")
	})
	if _, err := master.WriteString("\x03"); err != nil {
		t.Fatal(err)
	}
	if code := exitCode(t, cmd); code != 130 && code != 4 {
		t.Errorf("exit %d; the terminal shows %q", code, s.seen)
	}
	refused(t, "does not exist", "state", b.id)
}

// TestConsoleSocket: create hands the master over, and the size of
// config.json is the terminal's.
func TestConsoleSocket(t *testing.T) {
	coverage.Shows(t, "process.terminal", "process.consoleSize")
	b := newBox(t, terminal, drive.Sh("stty size; tty; stat -c '%u %t:%T' /dev/console; read line; echo read $line; sleep 100"), func(s *specs.Spec) {
		s.Process.ConsoleSize = &specs.Box{Height: 41, Width: 123}
		s.Process.User.UID = 1000
	})
	for _, name := range []string{"s", strings.Repeat("long", 30)} { // the second is no address of a socket
		t.Run(name[:1], func(t *testing.T) {
			if name != "s" {
				drive.MockersOwn(t, "runc takes no path that is longer than an address")
			}
			dir := t.TempDir()
			address := filepath.Join(dir, name)
			if name != "s" {
				fd, err := unix.Open(dir, unix.O_PATH, 0)
				if err != nil {
					t.Fatal(err)
				}
				defer unix.Close(fd)
				name = name[:80]
				address = fmt.Sprintf("/proc/self/fd/%d/%s", fd, name)
			}
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: address, Net: "unix"})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = l.Close() }()
			b.create("--console-socket", filepath.Join(dir, name))
			master := receive(t, l)
			defer master.Close()
			b.start()
			s := watch(t, master)
			s.expect("41 123\r\n/dev/pts/0\r\n1000 88:0\r\n")
			if _, err := master.WriteString("hello\r"); err != nil {
				t.Fatal(err)
			}
			s.expect("read hello")
			drive.OK(t, "delete", "--force", b.id)
		})
	}
}

// receive takes the one descriptor that comes over a console socket.
func receive(t *testing.T, l *net.UnixListener) *os.File {
	t.Helper()
	conn, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	data, oob := make([]byte, 256), make([]byte, 256)
	n, oobn, _, _, err := conn.ReadMsgUnix(data, oob)
	if err != nil {
		t.Fatal(err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) != 1 {
		t.Fatalf("%v: %d messages", err, len(messages))
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		t.Fatalf("%v: descriptors %v", err, fds)
	}
	if name := string(data[:n]); !strings.HasPrefix(name, "/dev/") {
		t.Errorf("the message is %q, not the name of a terminal", name)
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fds[0]), "master")
}

func TestConsoleRefused(t *testing.T) {
	b := newBox(t, terminal)
	refused(t, "will detach without setting console socket", "create", "--bundle", b.bundle, b.id)
	refused(t, "will detach without setting console socket", "run", "-d", "--bundle", b.bundle, b.id)
	none := temp(t, "none")
	refused(t, none, "create", "--bundle", b.bundle, "--console-socket", none, b.id)
	refused(t, "cannot use console socket", "run", "--bundle", b.bundle, "--console-socket", none, b.id)
	drive.Edit(t, b.bundle, func(s *specs.Spec) { s.Process.Terminal = false })
	refused(t, "cannot use console socket", "create", "--bundle", b.bundle, "--console-socket", none, b.id)
	refused(t, "does not exist", "state", b.id)
}
