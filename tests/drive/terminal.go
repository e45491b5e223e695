package drive

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Terminal is a program on a terminal of its own, with somebody at the keys.
type Terminal struct {
	t      testing.TB
	cmd    *exec.Cmd
	master *os.File
	done   chan struct{} // closed when all output has been read

	mu   sync.Mutex
	seen strings.Builder
	read int // how much of it Expect has passed
}

// OpenTerminal makes a terminal of 24 rows and 80 columns. Both ends are the
// caller's to close.
func OpenTerminal(t testing.TB) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	// Not by master.Fd(): reads that block could not be ended by HangUp.
	raw, err := master.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var number uint32
	var failed error
	err = raw.Control(func(fd uintptr) {
		number, failed = unix.IoctlGetUint32(int(fd), unix.TIOCGPTN)
		failed = errors.Join(failed,
			unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0),
			unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}))
	})
	if err = errors.Join(err, failed); err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return master, slave
}

// OnTerminal starts a program on a new terminal of 24 rows and 80 columns, as
// the leader of its session. It is killed at the end of the test.
func OnTerminal(t testing.TB, path string, args ...string) *Terminal {
	t.Helper()
	master, slave := OpenTerminal(t)
	defer slave.Close()
	term := &Terminal{t: t, cmd: exec.Command(path, args...), master: master, done: make(chan struct{})}
	term.cmd.Stdin, term.cmd.Stdout, term.cmd.Stderr = slave, slave, slave
	term.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := term.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go term.watch()
	t.Cleanup(func() {
		_ = term.cmd.Process.Kill()
		master.Close()
	})
	return term
}

// watch collects what the terminal shows, until nobody has it open any more.
func (term *Terminal) watch() {
	defer close(term.done)
	buf := make([]byte, 4096)
	for {
		n, err := term.master.Read(buf)
		term.mu.Lock()
		term.seen.Write(buf[:n])
		term.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// Type presses keys.
func (term *Terminal) Type(keys string) {
	term.t.Helper()
	if _, err := term.master.WriteString(keys); err != nil {
		term.t.Fatal(err)
	}
}

// Expect waits until the terminal shows the text, after what an earlier
// Expect has found, and gives what was shown up to and with it.
func (term *Terminal) Expect(text string) string {
	term.t.Helper()
	for end := time.Now().Add(Patience(10 * time.Second)); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		term.mu.Lock()
		rest := term.seen.String()[term.read:]
		i := strings.Index(rest, text)
		if i >= 0 {
			term.read += i + len(text)
		}
		term.mu.Unlock()
		if i >= 0 {
			return rest[:i+len(text)]
		}
	}
	term.t.Fatalf("the terminal does not show %q but\n%s", text, term.Shown())
	return ""
}

// Shown is everything that the terminal has shown.
func (term *Terminal) Shown() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.seen.String()
}

// Wait waits for the end of the program and for its last output, and gives
// its exit status, 128+n if signal n ended it.
func (term *Terminal) Wait() int {
	term.t.Helper()
	ended := make(chan struct{})
	go func() { _ = term.cmd.Wait(); <-term.done; close(ended) }()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		term.t.Fatalf("it does not end; the terminal shows\n%s", term.Shown())
	}
	status, ok := term.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return term.cmd.ProcessState.ExitCode()
}

// HangUp takes the terminal away, as a closed window does.
func (term *Terminal) HangUp() {
	term.t.Helper()
	if err := term.master.Close(); err != nil {
		term.t.Fatal(err)
	}
}
