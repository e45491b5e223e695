package rights

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

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
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			defer w.Close()
			if err := Send("console socket", socket, []byte("/dev/ptmx"), r); err != nil {
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
			if _, err := w.WriteString("hello"); err != nil {
				t.Fatal(err)
			}
			if n, err := got.Read(data); string(data[:n]) != "hello" {
				t.Errorf("through what was received came %q, %v", data[:n], err)
			}
			if n, err := unix.Read(conn, data); n != 0 || err != nil {
				t.Errorf("more came: %q, %v", data[:n], err)
			}
		})
	}
	err := Send("console socket", filepath.Join(dir, "none"), []byte("x"), os.Stdin)
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
	if err := Send("agent", socket, much, os.Stdin); err != nil {
		t.Fatal(err)
	}
	if got := <-read; got != string(much) {
		t.Errorf("%d bytes came, want %d", len(got), len(much))
	}
}
