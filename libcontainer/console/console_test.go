package console

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openPty returns both sides of a new pty.
func openPty(t *testing.T) (master, slave *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	n, err1 := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	err2 := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	master = os.NewFile(uintptr(fd), "/dev/ptmx")
	name := fmt.Sprintf("/dev/pts/%d", n)
	sfd, err := unix.Open(name, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	slave = os.NewFile(uintptr(sfd), name)
	t.Cleanup(func() { _ = master.Close(); _ = slave.Close() })
	return master, slave
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close(); _ = w.Close() })
	return r, w
}

// inside runs a script as a container would: in the terminal, and nobody
// else has the slave open.
func inside(t *testing.T, slave *os.File, script string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sh", "-c", script)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = slave.Close()
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd
}

// expect reads until the text has come.
func expect(t *testing.T, f *os.File, text string) {
	t.Helper()
	var got []byte
	buf := make([]byte, 4096)
	for !strings.Contains(string(got), text) {
		if !poll(int(f.Fd()), unix.POLLIN, 5*time.Second) {
			t.Fatalf("waited for %q, got %q", text, got)
		}
		n, err := f.Read(buf)
		if err != nil {
			t.Fatalf("waited for %q, got %q: %v", text, got, err)
		}
		got = append(got, buf[:n]...)
	}
}

func closes(t *testing.T, limit time.Duration, do func() error) {
	t.Helper()
	begin := time.Now()
	if err := do(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if took := time.Since(begin); took > limit {
		t.Errorf("Close took %v, more than %v", took, limit)
	}
}

func TestSize(t *testing.T) {
	master, slave := openPty(t)
	if err := SetSize(master, 33, 101); err != nil {
		t.Fatal(err)
	}
	if rows, cols, err := Size(slave); rows != 33 || cols != 101 || err != nil {
		t.Errorf("got %dx%d, %v", rows, cols, err)
	}
	r, _ := pipe(t)
	if _, _, err := Size(r); !errors.Is(err, unix.ENOTTY) {
		t.Errorf("of a pipe: got %v", err)
	}
	if err := SetSize(r, 1, 1); !errors.Is(err, unix.ENOTTY) {
		t.Errorf("of a pipe: got %v", err)
	}
}
