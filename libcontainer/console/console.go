// Package console is the host's side of a container's terminal: it passes
// the master of the pty on (create --console-socket) or connects it with the
// terminal that mocker itself has been started from (run).
//
// It makes no pty and knows nothing of the container's side: the slave, its
// place as /dev/console and the controlling terminal belong to rootfs and
// process. It writes nothing but what comes out of the terminal.
package console

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// sendTimeout bounds the wait for whoever listens on a socket.
const sendTimeout = 10 * time.Second

// maxSocketPath is the length of sun_path without its final NUL, unix(7).
const maxSocketPath = 107

// Send passes the master of a pty to the listener on a console socket, with
// the name of the file.
func Send(socket string, master *os.File) error {
	return withFD(master, func(pty int) error { return Pass("console socket", socket, master.Name(), pty) })
}

// Pass passes a descriptor to the listener on an AF_UNIX stream socket: one
// message that carries it (SCM_RIGHTS) and, as its data, a text and nothing
// else. what is the socket in errors.
func Pass(what, socket, text string, fd int) error {
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("connect to %s %s: %w", what, socket, err)
	}
	defer unix.Close(s)
	limit := unix.NsecToTimeval(sendTimeout.Nanoseconds())
	if err = unix.SetsockoptTimeval(s, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit); err == nil {
		err = connect(s, socket)
	}
	if errors.Is(err, unix.EAGAIN) {
		err = fmt.Errorf("nobody has accepted it within %v", sendTimeout)
	}
	if err != nil {
		return fmt.Errorf("connect to %s %s: %w", what, socket, err)
	}
	err = send(s, []byte(text), unix.UnixRights(fd))
	if errors.Is(err, unix.EAGAIN) {
		err = fmt.Errorf("nobody has read it within %v", sendTimeout)
	}
	if err != nil {
		return fmt.Errorf("send a descriptor to %s %s: %w", what, socket, err)
	}
	return nil
}

// send sends all of a text, and descriptors with its beginning.
func send(s int, text, rights []byte) error {
	for sent := 0; sent < len(text); rights = nil {
		err := retry(func() error {
			n, err := unix.SendmsgN(s, text[sent:], rights, nil, unix.MSG_NOSIGNAL)
			sent += max(n, 0)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// connect reaches a socket whose path is too long for its address through a
// descriptor of its directory, as engines do.
func connect(fd int, socket string) error {
	path := socket
	if len(path) > maxSocketPath {
		dir, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(dir)
		path = "/proc/self/fd/" + strconv.Itoa(dir) + "/" + filepath.Base(path)
		if len(path) > maxSocketPath {
			return unix.ENAMETOOLONG
		}
	}
	return retry(func() error { return unix.Connect(fd, &unix.SockaddrUnix{Name: path}) })
}

// IsTerminal reports whether a file is a terminal.
func IsTerminal(f *os.File) bool {
	_, _, err := Size(f)
	return err == nil
}

// Size is the window size of a terminal in characters.
func Size(f *os.File) (rows, cols uint16, err error) {
	err = withFD(f, func(fd int) error {
		ws, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
		if err != nil {
			return fmt.Errorf("get window size of %s: %w", f.Name(), err)
		}
		rows, cols = ws.Row, ws.Col
		return nil
	})
	return rows, cols, err
}

// SetSize sets the window size of a terminal in characters. On a master it
// makes the kernel send SIGWINCH to what runs in the terminal, if the size
// is another one than before.
func SetSize(f *os.File, rows, cols uint16) error {
	return withFD(f, func(fd int) error {
		if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols}); err != nil {
			return fmt.Errorf("set window size of %s to %dx%d: %w", f.Name(), rows, cols, err)
		}
		return nil
	})
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
