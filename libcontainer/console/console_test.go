package console

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/ready"
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
		if !ready.Within(int(f.Fd()), unix.POLLIN, 5*time.Second) {
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
	if testing.Short() {
		limit *= 10 // a machine that is emulated
	}
	begin := time.Now()
	if err := do(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if took := time.Since(begin); took > limit {
		t.Errorf("Close took %v, more than %v", took, limit)
	}
}

func TestSend(t *testing.T) {
	dir := t.TempDir()
	for name, socket := range map[string]string{
		"short": filepath.Join(dir, "s"),
		"long":  filepath.Join(dir, strings.Repeat("d", 100), "s"),
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.MkdirAll(filepath.Dir(socket), 0o700); err != nil {
				t.Fatal(err)
			}
			listener := listen(t, socket)
			master, slave := openPty(t)
			if err := Send(socket, master); err != nil {
				t.Fatal(err)
			}
			conn, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(conn)
			data, oob := make([]byte, 100), make([]byte, 100)
			n, oobn, _, _, err := unix.Recvmsg(conn, data, oob, unix.MSG_CMSG_CLOEXEC)
			if err != nil || string(data[:n]) != "/dev/ptmx" {
				t.Errorf("data: got %q, %v", data[:n], err)
			}
			msgs, err := unix.ParseSocketControlMessage(oob[:oobn])
			if err != nil || len(msgs) != 1 {
				t.Fatalf("control messages: %v, %v", msgs, err)
			}
			fds, err := unix.ParseUnixRights(&msgs[0])
			if err != nil || len(fds) != 1 {
				t.Fatalf("descriptors: %v, %v", fds, err)
			}
			got := os.NewFile(uintptr(fds[0]), "received")
			defer got.Close()
			if _, err := slave.WriteString("hello"); err != nil {
				t.Fatal(err)
			}
			expect(t, got, "hello")
			if n, err := unix.Read(conn, data); n != 0 || err != nil {
				t.Errorf("more came: %q, %v", data[:n], err)
			}
		})
	}
	master, _ := openPty(t)
	err := Send(filepath.Join(dir, "none"), master)
	if want := "connect to console socket " + dir + "/none: no such file or directory"; err == nil || err.Error() != want {
		t.Errorf("no listener: got %v, want %s", err, want)
	}
}

func listen(t *testing.T, socket string) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	dir, err := os.Open(filepath.Dir(socket))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	name := fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(socket))
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: name}), unix.Listen(fd, 1)); err != nil {
		t.Fatal(err)
	}
	return fd
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

// TestSendMuch: more than a socket holds comes as a whole, with one file.
func TestSendMuch(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	listener := listen(t, socket)
	much := []byte(strings.Repeat("0123456789", 1<<17))
	read := make(chan string)
	go func() {
		conn, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
		if err != nil {
			read <- err.Error()
			return
		}
		f := os.NewFile(uintptr(conn), "connection")
		defer f.Close()
		var got strings.Builder
		_, _ = f.WriteTo(&got)
		read <- got.String()
	}()
	if err := Pass("agent", socket, string(much), 0); err != nil {
		t.Fatal(err)
	}
	if got := <-read; got != string(much) {
		t.Errorf("%d bytes came, want %d", len(got), len(much))
	}
}
