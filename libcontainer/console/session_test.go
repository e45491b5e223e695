package console

import (
	"bytes"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A user's terminal: raw while attached, keys and sizes go in, output comes
// out, and afterwards it is as before.
func TestAttachTerminal(t *testing.T) {
	user, tty := openPty(t)
	master, slave := openPty(t)
	if err := SetSize(user, 40, 120); err != nil {
		t.Fatal(err)
	}
	before, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	cmd := inside(t, slave, `trap "echo int" INT; while [ "$x" != quit ]; do read x && echo "got $x" && stty size; done; echo end`)
	s, err := Attach(master, tty, tty)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil || raw.Lflag&(unix.ICANON|unix.ECHO|unix.ISIG) != 0 || raw.Oflag&unix.OPOST != 0 {
		t.Errorf("not raw: %+v, %v", raw, err)
	}
	if _, err := user.WriteString("abc\r"); err != nil { // Enter; the inner terminal makes \n of it
		t.Fatal(err)
	}
	expect(t, user, "got abc\r\n40 120\r\n")
	if _, err := user.WriteString("\x03"); err != nil { // Ctrl-C must not reach this test
		t.Fatal(err)
	}
	expect(t, user, "int\r\n")
	if err := SetSize(user, 50, 90); err != nil {
		t.Fatal(err)
	}
	// The kernel tells the foreground group of the user's terminal; this
	// test has none there.
	if err := unix.Kill(os.Getpid(), unix.SIGWINCH); err != nil {
		t.Fatal(err)
	}
	awaitSize(t, master, 50, 90)
	if _, err := user.WriteString("quit\r"); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	closes(t, time.Second, s.Close)
	expect(t, user, "end\r\n")
	after, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil || *after != *before {
		t.Errorf("settings afterwards: got %+v, want %+v, %v", after, before, err)
	}
	if _, err := master.Stat(); err != nil {
		t.Errorf("the caller's file has been closed: %v", err)
	}
}

func awaitSize(t *testing.T, master *os.File, rows, cols uint16) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		r, c, err := Size(master)
		if r == rows && c == cols {
			return
		}
		if err != nil || time.Now().After(end) {
			t.Fatalf("window size inside: %dx%d, %v", r, c, err)
		}
	}
}

// Input from a pipe: all of it arrives, then its end, and all of the output
// comes back.
func TestAttachPipes(t *testing.T) {
	for _, input := range []string{"", "one\ntwo\n", "one\nunfinished", strings.Repeat("0123456789abcdef\n", 8000)} {
		master, slave := openPty(t)
		stdin, feed := pipe(t)
		out, stdout := pipe(t)
		cmd := inside(t, slave, "stty -echo; echo ready; cat; echo end")
		s, err := Attach(master, stdin, stdout)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, out, "ready\r\n") // before that its terminal would echo
		all := make(chan string)
		go func() {
			data, _ := io.ReadAll(out)
			all <- string(data)
		}()
		go func() {
			_, _ = feed.WriteString(input)
			_ = feed.Close()
		}()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
		closes(t, time.Second, s.Close)
		_ = stdout.Close()
		want := strings.ReplaceAll(input, "\n", "\r\n") + "end\r\n"
		if got := <-all; got != want {
			t.Errorf("input of %d bytes: got %d bytes, want %d: %.60q", len(input), len(got), len(want), got)
		}
	}
}

// What the program has written before its end comes out in full.
func TestCloseDrains(t *testing.T) {
	master, slave := openPty(t)
	stdin, _ := pipe(t)
	out, stdout := pipe(t)
	cmd := inside(t, slave, "i=0; while [ $i -lt 20000 ]; do echo $i; i=$((i+1)); done")
	s, err := Attach(master, stdin, stdout)
	if err != nil {
		t.Fatal(err)
	}
	all := make(chan []byte)
	go func() {
		time.Sleep(20 * time.Millisecond) // a slow reader: the program gets far ahead
		data, _ := io.ReadAll(out)
		all <- data
	}()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	closes(t, time.Second, s.Close)
	_ = stdout.Close()
	got := <-all
	if n := bytes.Count(got, []byte("\r\n")); n != 20000 || !bytes.HasSuffix(got, []byte("\r\n19999\r\n")) {
		t.Errorf("got %d lines of 20000, the last is %q", n, got[max(0, len(got)-20):])
	}
}

// Nothing that the other sides do or leave undone keeps Close from its end.
func TestCloseReturns(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		limit  time.Duration
		setUp  func(t *testing.T, feed, out *os.File)
	}{
		"idle": {"sleep 100", time.Second, func(*testing.T, *os.File, *os.File) {}},
		"program does not read": {"stty raw -echo; sleep 100", time.Second, func(t *testing.T, feed, _ *os.File) {
			time.Sleep(50 * time.Millisecond)
			_, _ = feed.Write(make([]byte, 60000))
		}},
		"endless output": {"while :; do echo x; done", drainLimit + time.Second, func(_ *testing.T, _, out *os.File) {
			go func() { _, _ = io.Copy(io.Discard, out) }()
		}},
		"nobody reads": {"while :; do echo x; done", 2*drainLimit + time.Second, func(*testing.T, *os.File, *os.File) {
			time.Sleep(50 * time.Millisecond)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			master, slave := openPty(t)
			stdin, feed := pipe(t)
			out, stdout := pipe(t)
			inside(t, slave, c.script)
			s, err := Attach(master, stdin, stdout)
			if err != nil {
				t.Fatal(err)
			}
			c.setUp(t, feed, out)
			closes(t, c.limit, s.Close)
		})
	}
}

// A container does not block because nobody looks any more.
func TestStdoutGone(t *testing.T) {
	master, slave := openPty(t)
	stdin, _ := pipe(t)
	out, stdout := pipe(t)
	_ = out.Close()
	cmd := inside(t, slave, "i=0; while [ $i -lt 20000 ]; do echo $i; i=$((i+1)); done")
	s, err := Attach(master, stdin, stdout)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	closes(t, time.Second, s.Close)
}

func TestNoLeaks(t *testing.T) {
	session := func() {
		user, tty := openPty(t)
		master, slave := openPty(t)
		s, err := Attach(master, tty, tty)
		if err != nil {
			t.Fatal(err)
		}
		closes(t, time.Second, s.Close)
		for _, f := range []*os.File{user, tty, master, slave} {
			_ = f.Close()
		}
	}
	session() // starts what package signal keeps for good
	fds, routines := openFDs(t), runtime.NumGoroutine()
	for range 3 {
		session()
	}
	// One that has said that it is done may still be on its way out.
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > routines && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if n := runtime.NumGoroutine(); n > routines {
		t.Errorf("%d goroutines, %d before", n, routines)
	}
	if n := openFDs(t); n > fds {
		t.Errorf("%d descriptors, %d before", n, fds)
	}
}

func openFDs(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestAttachRefuses(t *testing.T) {
	master, _ := openPty(t)
	gone, _ := pipe(t)
	_ = gone.Close()
	if _, err := Attach(master, gone, gone); err == nil || !strings.Contains(err.Error(), "attach to terminal: duplicate") {
		t.Errorf("closed stdin: got %v", err)
	}
}
