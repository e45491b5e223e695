// Package rights passes open files to other programs over AF_UNIX sockets
// (SCM_RIGHTS, unix(7)): terminals to engines, listeners of seccomp filters to
// agents. It acts on the host's side, and knows nothing of what it passes.
package rights

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// timeout bounds the wait for whoever listens on a socket.
const timeout = 10 * time.Second

// maxSocketPath is the length of sun_path without its final NUL, unix(7).
const maxSocketPath = 107

// Send passes a file to the listener on an AF_UNIX stream socket: one message
// with the data, at least one byte, and the file's descriptor. what says what
// the socket is, for errors.
func Send(what, socket string, data []byte, file *os.File) error {
	fd, err := connect(socket)
	if err != nil {
		return fmt.Errorf("connect to %s %s: %w", what, socket, err)
	}
	defer unix.Close(fd)
	return withFD(file, func(own int) error {
		sent := 0
		err := retry(func() (err error) {
			sent, err = unix.SendmsgN(fd, data, unix.UnixRights(own), nil, unix.MSG_NOSIGNAL)
			return err
		})
		for err == nil && sent < len(data) { // the socket's buffer was full
			data = data[sent:]
			err = retry(func() (err error) {
				sent, err = unix.SendmsgN(fd, data, nil, nil, unix.MSG_NOSIGNAL)
				return err
			})
		}
		if errors.Is(err, unix.EAGAIN) {
			err = fmt.Errorf("nobody has read it within %v", timeout)
		}
		if err != nil {
			return fmt.Errorf("send %s to %s %s: %w", file.Name(), what, socket, err)
		}
		return nil
	})
}

// connect reaches a socket whose path is too long for its address through a
// descriptor of its directory, as engines do.
func connect(socket string) (fd int, err error) {
	path := socket
	if len(path) > maxSocketPath {
		dir, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return -1, err
		}
		defer unix.Close(dir)
		path = "/proc/self/fd/" + strconv.Itoa(dir) + "/" + filepath.Base(path)
		if len(path) > maxSocketPath {
			return -1, unix.ENAMETOOLONG
		}
	}
	if fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return -1, err
	}
	limit := unix.NsecToTimeval(timeout.Nanoseconds())
	if err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit); err == nil {
		err = retry(func() error { return unix.Connect(fd, &unix.SockaddrUnix{Name: path}) })
	}
	if errors.Is(err, unix.EAGAIN) {
		err = fmt.Errorf("nobody has accepted it within %v", timeout)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// withFD lends the descriptor of a file. (*os.File).Fd would make it
// blocking, for everybody who shares it.
func withFD(f *os.File, do func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return fmt.Errorf("use %s: %w", f.Name(), err)
	}
	var inner error
	if err := conn.Control(func(fd uintptr) { inner = do(int(fd)) }); err != nil {
		return fmt.Errorf("use %s: %w", f.Name(), err)
	}
	return inner
}

func retry(do func() error) error {
	for {
		if err := do(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
