package seccomp

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// state is what `state` says of a container.
func state(t testing.TB, id string) (st specs.State) {
	t.Helper()
	if err := json.Unmarshal([]byte(drive.OK(t, "state", id)), &st); err != nil {
		t.Fatal(err)
	}
	return st
}

// agent is a supervisor: it takes listeners at a socket, and answers the calls
// that are asked about.
type agent struct {
	t      testing.TB
	socket string
	answer func(*question) reply

	mu       sync.Mutex
	messages []specs.ContainerProcessState
	asked    []question
	fds      []int
	work     sync.WaitGroup
}

// question is struct seccomp_notif of the kernel.
type question struct {
	ID         uint64
	PID, Flags uint32
	Nr, Arch   uint32
	Pointer    uint64
	Args       [6]uint64
}

// reply is struct seccomp_notif_resp.
type reply struct {
	id    uint64
	value int64
	errno int32 // negative
	flags uint32
}

const (
	notifRecv = 0xc0502100 // SECCOMP_IOCTL_NOTIF_RECV
	notifSend = 0xc0182101 // SECCOMP_IOCTL_NOTIF_SEND

	goOn = 1 // SECCOMP_USER_NOTIF_FLAG_CONTINUE
)

// proceed lets a call be made.
func proceed(*question) reply { return reply{flags: goOn} }

// newAgent starts an agent. It ends with the test. A nil answer takes listeners
// and never answers.
func newAgent(t testing.TB, answer func(*question) reply) *agent {
	t.Helper()
	a := &agent{t: t, socket: filepath.Join(t.TempDir(), "agent"), answer: answer}
	listener := listen(t, a.socket, 16)
	go func() {
		for {
			conn, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil {
				return
			}
			a.take(conn)
			unix.Close(conn)
		}
	}()
	t.Cleanup(func() {
		_ = unix.Shutdown(listener, unix.SHUT_RDWR)
		unix.Close(listener)
		a.leave()
	})
	return a
}

func listen(t testing.TB, socket string, backlog int) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: socket}), unix.Listen(fd, backlog)); err != nil {
		t.Fatal(err)
	}
	return fd
}

// take takes one message, and answers for its listener.
func (a *agent) take(conn int) {
	data, oob := make([]byte, 1<<16), make([]byte, 100)
	n, oobn, _, _, err := unix.Recvmsg(conn, data, oob, unix.MSG_CMSG_CLOEXEC)
	var message specs.ContainerProcessState
	if err == nil {
		err = json.Unmarshal(data[:n], &message)
	}
	if err != nil {
		a.t.Errorf("agent: %q, %v", data[:n], err)
		return
	}
	controls, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(controls) != 1 {
		a.t.Errorf("agent: control messages %v, %v", controls, err)
		return
	}
	fds, err := unix.ParseUnixRights(&controls[0])
	if err != nil || len(fds) != 1 {
		a.t.Errorf("agent: fds %v, %v", fds, err)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.messages = append(a.messages, message)
	a.fds = append(a.fds, fds[0])
	if a.answer != nil {
		a.work.Add(1)
		go a.serve(fds[0])
	}
}

// serve answers until the last process under the filter is gone.
func (a *agent) serve(fd int) {
	defer a.work.Done()
	for {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(poll, 100)
		if errors.Is(err, unix.EINTR) || n == 0 {
			if a.left() {
				return
			}
			continue
		}
		var q question
		if poll[0].Revents&unix.POLLIN == 0 || control(fd, notifRecv, unsafe.Pointer(&q)) == unix.EBADF {
			return
		}
		if q.ID == 0 {
			continue // it was killed meanwhile
		}
		a.mu.Lock()
		a.asked = append(a.asked, q)
		a.mu.Unlock()
		r := a.answer(&q)
		r.id = q.ID
		if errno := control(fd, notifSend, unsafe.Pointer(&r)); errno != 0 && errno != unix.ENOENT {
			a.t.Errorf("agent: answer: %v", errno)
		}
	}
}

func control(fd int, request uintptr, arg unsafe.Pointer) unix.Errno {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(arg))
	return errno
}

func (a *agent) left() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.fds == nil
}

// leave closes all listeners.
func (a *agent) leave() {
	a.mu.Lock()
	fds := a.fds
	a.fds = nil
	a.mu.Unlock()
	a.work.Wait()
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// message is the last one that came.
func (a *agent) message() specs.ContainerProcessState {
	a.t.Helper()
	drive.Eventually(a.t, "the agent has got a listener", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return len(a.messages) > 0
	})
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.messages[len(a.messages)-1]
}

// pids are those that asked about a call.
func (a *agent) pids(nr uint32) (list []int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, q := range a.asked {
		if q.Nr == nr {
			list = append(list, int(q.PID))
		}
	}
	return list
}

// profile asks the agent about some calls.
func (a *agent) profile(calls ...string) edit {
	return profile(&specs.LinuxSeccomp{
		DefaultAction: specs.ActAllow, ListenerPath: a.socket, ListenerMetadata: "meta data",
		Syscalls: []specs.LinuxSyscall{rule(specs.ActNotify, calls...)},
	})
}

// pretend answers uname with a node name of the agent's, and mkdir with an
// errno that no mkdir has. It can be told apart by who asks on its behalf.
func pretend(t testing.TB) func(*question) reply {
	return func(q *question) reply {
		switch q.Nr {
		case unix.SYS_UNAME:
			name := unix.Utsname{}
			copy(name.Nodename[:], "agent")
			mem, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", q.PID), os.O_WRONLY, 0)
			if err == nil {
				err = binary.Write(&at{mem, int64(q.Args[0])}, binary.NativeEndian, &name)
				mem.Close()
			}
			if err != nil {
				t.Error(err)
			}
			return reply{}
		case unix.SYS_MKDIRAT, sysMkdir:
			return reply{errno: -int32(unix.ENOMEDIUM)}
		}
		return reply{flags: goOn}
	}
}

// at writes to a file from an offset on.
type at struct {
	f      *os.File
	offset int64
}

func (w *at) Write(b []byte) (int, error) {
	n, err := w.f.WriteAt(b, w.offset)
	w.offset += int64(n)
	return n, err
}
