package console

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/ready"
)

// After Close the output is drained until the terminal hangs up; if
// something outside of the container still has it open, until it has been
// silent for drainSilence, or for drainLimit if it never is.
const (
	drainSilence = 100 * time.Millisecond
	drainLimit   = 2 * time.Second
)

// Session connects the master of a container's terminal with mocker's own
// stdin and stdout until Close.
type Session struct {
	master, stdin, stdout int // descriptors of its own, -1 when closed

	term  int           // the terminal that is in raw mode; -1: none
	saved *unix.Termios // its settings before

	stop  [2]int    // a pipe: its write end is closed to stop the copying
	ended sync.Once // closes it
	winch chan os.Signal
	quit  chan struct{}
	wg    sync.WaitGroup

	mu   sync.Mutex // between the end of the master, or of stdout, and the size
	hung bool       // stdin was a terminal that has gone
}

// Attach puts stdin into raw mode, if it is a terminal, copies from it to
// the master and from the master to stdout, and gives the container's
// terminal the window size of its own whenever that changes. At the end of a
// stdin that is no terminal it types the end-of-file character. When a stdin
// that is one goes away, it closes its copy of the master: if that was the
// last, the container's terminal hangs up too.
//
// The container's side must be open: a terminal that nobody has open any
// more ends the session. The three files remain the caller's and are not
// used after Close; the master has become non-blocking.
func Attach(master, stdin, stdout *os.File) (*Session, error) {
	s := &Session{master: -1, stdin: -1, stdout: -1, term: -1, stop: [2]int{-1, -1}}
	for _, f := range []struct {
		from *os.File
		to   *int
	}{{master, &s.master}, {stdin, &s.stdin}, {stdout, &s.stdout}} {
		err := withFD(f.from, func(fd int) (err error) {
			*f.to, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
			return err
		})
		if err != nil {
			s.closeFDs()
			return nil, fmt.Errorf("attach to terminal: duplicate %s: %w", f.from.Name(), err)
		}
	}
	// A write to the master blocks until all of it has been read inside,
	// although poll has called it writable; Close could not stop that. The
	// flag belongs to the open file, but that one is mocker's alone, which
	// cannot be said of stdin and stdout.
	if err := unix.SetNonblock(s.master, true); err != nil {
		s.closeFDs()
		return nil, fmt.Errorf("attach to terminal: %w", err)
	}
	if err := unix.Pipe2(s.stop[:], unix.O_CLOEXEC); err != nil {
		s.closeFDs()
		return nil, fmt.Errorf("attach to terminal: %w", err)
	}
	// Before raw mode and the first byte, so that the program starts with
	// the right size.
	s.winch = make(chan os.Signal, 1)
	s.quit = make(chan struct{})
	signal.Notify(s.winch, unix.SIGWINCH)
	s.resize()
	if err := s.raw(); err != nil {
		signal.Stop(s.winch)
		s.closeFDs()
		return nil, fmt.Errorf("attach to terminal: %w", err)
	}
	s.wg.Go(s.watchSize)
	s.wg.Go(s.input)
	s.wg.Go(s.output)
	return s, nil
}

// Close ends the session after the process has ended: it waits for the
// output that is still in the terminal, and restores stdin's settings. It is
// to be called once, on every way out, also when a signal ends mocker.
func (s *Session) Close() error {
	signal.Stop(s.winch)
	close(s.quit)
	s.end()
	s.wg.Wait()
	var err error
	if s.term >= 0 {
		// Not TCSETSW: it would wait for a terminal that is stopped by ^S.
		err = unix.IoctlSetTermios(s.term, unix.TCSETS, s.saved)
		if err != nil {
			err = fmt.Errorf("restore terminal settings: %w", err)
		}
	}
	s.closeFDs()
	return err
}

// end stops the copying.
func (s *Session) end() {
	s.ended.Do(func() {
		_ = unix.Close(s.stop[1])
		s.stop[1] = -1
	})
}

// hangUp passes on that the user's terminal has gone.
func (s *Session) hangUp() {
	s.mu.Lock()
	s.hung = true
	s.mu.Unlock()
	s.end()
}

// letGo ends the output after a hang-up.
func (s *Session) letGo() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hung && s.master >= 0 {
		_ = unix.Close(s.master)
		s.master = -1
	}
}

func (s *Session) closeFDs() {
	for _, fd := range []*int{&s.master, &s.stdin, &s.stdout, &s.stop[0], &s.stop[1]} {
		if *fd >= 0 {
			_ = unix.Close(*fd)
			*fd = -1
		}
	}
}

// raw is cfmakeraw(3). The container's terminal does all of the editing,
// signals and new lines.
func (s *Session) raw() error {
	t, err := unix.IoctlGetTermios(s.stdin, unix.TCGETS)
	if err != nil {
		return nil //nolint:nilerr // it is no terminal, then there is nothing to set
	}
	saved := *t
	t.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	t.Oflag &^= unix.OPOST
	t.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	t.Cflag &^= unix.CSIZE | unix.PARENB
	t.Cflag |= unix.CS8
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(s.stdin, unix.TCSETS, t); err != nil {
		return fmt.Errorf("set terminal to raw mode: %w", err)
	}
	s.term, s.saved = s.stdin, &saved
	return nil
}

// resize copies the window size of stdin, else of stdout. Where neither is a
// terminal the container's keeps what config.json gave it.
func (s *Session) resize() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, fd := range []int{s.stdin, s.stdout} {
		ws, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
		if err == nil {
			// An error means that the container's terminal is gone, which
			// the copying finds out.
			_ = unix.IoctlSetWinsize(s.master, unix.TIOCSWINSZ, ws)
			return
		}
	}
}

func (s *Session) watchSize() {
	for {
		select {
		case <-s.winch:
			s.resize()
		case <-s.quit:
			return
		}
	}
}

// input copies stdin to the master until either ends or the session stops.
func (s *Session) input() {
	buf := make([]byte, 32<<10)
	begun := false // a line that still has no end
	for {
		if !s.ready(s.stdin, unix.POLLIN) {
			return
		}
		n, err := unix.Read(s.stdin, buf)
		switch {
		case temporary(err):
		case err != nil || n == 0:
			if s.term >= 0 {
				s.hangUp()
			} else if err == nil {
				s.typeEOF(begun)
			}
			return
		default:
			begun = buf[n-1] != '\n'
			if !s.write(s.master, buf[:n]) {
				return
			}
		}
	}
}

// typeEOF is what a user does at the end of the input. A pipe's end would
// otherwise never show inside, and a shell that reads from it never end.
func (s *Session) typeEOF(begun bool) {
	t, err := unix.IoctlGetTermios(s.master, unix.TCGETS)
	if err != nil || t.Cc[unix.VEOF] == 0 {
		return
	}
	eof := []byte{t.Cc[unix.VEOF]}
	if begun {
		eof = append(eof, eof[0]) // the first one only hands the line over
	}
	s.write(s.master, eof)
}

// output copies the master to stdout. EIO is how a pty says that nobody has
// its other side open any more. If stdout is gone it goes on without it: the
// container must not block on a terminal that nobody empties.
func (s *Session) output() {
	defer s.letGo()
	buf := make([]byte, 32<<10)
	for draining := false; !draining; {
		draining = !s.ready(s.master, unix.POLLIN)
		if !draining && !s.pass(buf) {
			return
		}
	}
	end := time.Now().Add(drainLimit)
	for time.Now().Before(end) {
		if !ready.Within(s.master, unix.POLLIN, drainSilence) || !s.pass(buf) {
			return
		}
	}
}

// pass copies what is there once, and reports whether there may be more.
func (s *Session) pass(buf []byte) bool {
	n, err := unix.Read(s.master, buf)
	if temporary(err) {
		return true
	}
	if err != nil || n == 0 {
		return false
	}
	if s.stdout >= 0 && !s.show(buf[:n]) {
		s.mu.Lock()
		_ = unix.Close(s.stdout)
		s.stdout = -1
		s.mu.Unlock()
	}
	return true
}

// write types data into the terminal and reports whether it could. It gives
// up when the session stops: a program that does not read leaves its
// terminal full.
func (s *Session) write(fd int, data []byte) bool {
	for len(data) > 0 {
		if !s.ready(fd, unix.POLLOUT) {
			return false
		}
		n, err := unix.Write(fd, data)
		if err != nil && !temporary(err) {
			return false
		}
		data = data[max(n, 0):]
	}
	return true
}

// show writes to stdout. It waits without a bound while the session lives,
// as the program itself would, and for drainLimit after that. The pieces are
// so small that a pipe which poll calls writable takes them (PIPE_BUF).
func (s *Session) show(data []byte) bool {
	for len(data) > 0 {
		if !s.ready(s.stdout, unix.POLLOUT) && !ready.Within(s.stdout, unix.POLLOUT, drainLimit) {
			return false
		}
		n, err := unix.Write(s.stdout, data[:min(len(data), 4096)])
		if err != nil && !temporary(err) {
			return false
		}
		data = data[max(n, 0):]
	}
	return true
}

// ready waits until fd can be read or written, or has failed, and reports
// false when the session stops instead.
func (s *Session) ready(fd int, events int16) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: events}, {Fd: int32(s.stop[0])}}
	for {
		_, err := unix.Poll(fds, -1)
		if err == nil {
			return fds[1].Revents == 0
		}
		if !errors.Is(err, unix.EINTR) {
			return false
		}
	}
}

// temporary errors come from descriptors that someone else has made
// non-blocking, and from signals.
func temporary(err error) bool {
	return errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR)
}
