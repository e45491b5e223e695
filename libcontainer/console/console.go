// Package console is the host's side of a container's terminal: it gives it a
// size, and connects the master of the pty with the terminal that mocker itself
// has been started from (run).
//
// It makes no pty and knows nothing of the container's side: the slave, its
// place as /dev/console and the controlling terminal belong to rootfs and
// process. It writes nothing but what comes out of the terminal.
package console

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

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
