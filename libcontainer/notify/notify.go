// Package notify passes on to the host's service manager that a container's
// program is ready (sd_notify(3)).
//
// The container gets a socket of its own, in a directory that is mounted into
// it. Of what it writes there only READY=1 reaches the manager: with the other
// words of the protocol it could pass for another service.
package notify

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/ready"
)

// Socket is the name of the socket in its directory.
const Socket = "notify.sock"

// barrierTimeout is how long a manager may take to say that it has read what
// it was told. One that does not know the word never does.
const barrierTimeout = 30 * time.Second

const readyWord = "READY=1"

// Relay is a socket that a container writes to.
type Relay struct {
	fd   int
	host string // the manager's
}

// Listen makes the socket in a directory. host is the manager's socket, which
// begins with @ if it has no file.
func Listen(dir, host string) (*Relay, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make the socket for readiness: %w", err)
	}
	// Not by its own path, which may be longer than an address can be.
	name := fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), Socket)
	err = unix.Bind(fd, &unix.SockaddrUnix{Name: name})
	if err == nil {
		err = os.Chmod(name, 0o777) // whoever the process is in the container
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("make the socket for readiness %s: %w", filepath.Join(dir, Socket), err)
	}
	return &Relay{fd: fd, host: host}, nil
}

// Close gives the socket back.
func (r *Relay) Close() { unix.Close(r.fd) }

// Wait waits until the container says that it is ready, or until the process
// of pidfd ends, and in the first case tells the manager: with mainPID as the
// process to watch.
func (r *Relay) Wait(pidfd, mainPID int) error {
	buf := make([]byte, 4096)
	for {
		fds := []unix.PollFd{{Fd: int32(r.fd), Events: unix.POLLIN}, {Fd: int32(pidfd), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("wait for readiness: %w", err)
		}
		if fds[0].Revents != 0 {
			n, _, err := unix.Recvfrom(r.fd, buf, unix.MSG_DONTWAIT)
			if err == nil && saysReady(string(buf[:n])) {
				return r.tell(mainPID)
			}
			continue
		}
		if fds[1].Revents != 0 {
			return nil
		}
	}
}

func saysReady(message string) bool {
	for line := range strings.Lines(message) {
		if strings.TrimSuffix(line, "\n") == readyWord {
			return true
		}
	}
	return false
}

// tell tells the manager, and waits until it has read it: it finds out whose
// message it is by the sender, which may be about to end.
func (r *Relay) tell(mainPID int) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("connect to NOTIFY_SOCKET %s: %w", r.host, err)
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: r.host}); err != nil {
		return fmt.Errorf("connect to NOTIFY_SOCKET %s: %w", r.host, err)
	}
	text := readyWord + "\nMAINPID=" + strconv.Itoa(mainPID) + "\n"
	if _, err := unix.Write(fd, []byte(text)); err != nil {
		return fmt.Errorf("write to NOTIFY_SOCKET %s: %w", r.host, err)
	}
	if err := barrier(fd); err != nil {
		return fmt.Errorf("write to NOTIFY_SOCKET %s: %w", r.host, err)
	}
	return nil
}

// barrier sends one end of a pipe, which the manager closes when it has read
// all that came before (sd_notify_barrier(3)).
func barrier(fd int) error {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	defer unix.Close(ends[0])
	err := unix.Sendmsg(fd, []byte("BARRIER=1"), unix.UnixRights(ends[1]), nil, 0)
	unix.Close(ends[1])
	if err != nil {
		return err
	}
	_, err = ready.Until(ends[0], 0, time.Now().Add(barrierTimeout))
	return err
}
