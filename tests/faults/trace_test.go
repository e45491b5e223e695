package faults

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// victim is who a traced command is killed as.
type victim string

const (
	nobody victim = "nobody"
	mocker victim = "mocker" // the process that was started
	inside victim = "inside" // the process in the container that it gives birth to
)

// traced is how a traced command ended.
type traced struct {
	drive.Result
	Stops  map[victim]int // how often each was stopped: before and after every system call
	Killed bool
}

// trace runs mocker and kills a victim with SIGKILL at its n-th stop: before
// a system call, or after it and before anything else. Everybody else goes on
// as if nobody had ever looked.
func trace(t *testing.T, who victim, n int, args ...string) traced {
	t.Helper()
	out := make(chan any)
	go offMain(func() { out <- follow(drive.Mocker(t), who, n, args) })
	switch res := (<-out).(type) {
	case traced:
		return res
	default:
		t.Fatalf("trace mocker %s: %v", strings.Join(args, " "), res)
		return traced{}
	}
}

// offMain runs a function on a thread of its own that ends with it, and with
// that lets go of whatever it traces (ptrace(2)). The main thread never ends.
func offMain(do func()) {
	runtime.LockOSThread()
	if unix.Gettid() == os.Getpid() {
		done := make(chan bool)
		go func() { offMain(do); close(done) }()
		<-done
		runtime.UnlockOSThread()
		return
	}
	do()
}

// tracer follows the threads of one command and the process in the container.
// Hooks are not traced.
type tracer struct {
	who  victim
	n    int
	root int // pid of the command
	in   int // pid of the process in the container, as it is here
	res  traced
}

func follow(path string, who victim, n int, args []string) any {
	stdout, err1 := nameless()
	stderr, err2 := nameless()
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	defer stdout.Close()
	defer stderr.Close()
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr = &unix.SysProcAttr{Ptrace: true}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	tr := &tracer{who: who, n: n, root: cmd.Process.Pid, res: traced{Stops: map[victim]int{}}}
	if err := tr.run(); err != nil {
		return err
	}
	tr.res.Took = time.Since(begin)
	if err := cmd.Process.Release(); err != nil {
		return err
	}
	if tr.res.Stdout, err1 = whole(stdout); err1 != nil {
		return err1
	}
	if tr.res.Stderr, err2 = whole(stderr); err2 != nil {
		return err2
	}
	return tr.res
}

func nameless() (*os.File, error) {
	f, err := os.CreateTemp("", "faults-output-")
	if err == nil {
		err = os.Remove(f.Name())
	}
	return f, err
}

func whole(f *os.File) (string, error) {
	data, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<20))
	return string(data), err
}

// run goes from stop to stop until the command has ended. WNOTHREAD: nobody
// else's children are waited for.
func (tr *tracer) run() error {
	ready := false
	for {
		var ws unix.WaitStatus
		tid, err := unix.Wait4(-1, &ws, unix.WALL|unix.WNOTHREAD, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("wait: %w", err)
		}
		if !ws.Stopped() {
			if tid == tr.root {
				tr.res.Code = ws.ExitStatus()
				if ws.Signaled() {
					tr.res.Code = 128 + int(ws.Signal())
				}
				return nil
			}
			continue
		}
		if !ready {
			ready = true
			err := unix.PtraceSetOptions(tid, unix.PTRACE_O_TRACESYSGOOD|unix.PTRACE_O_TRACECLONE|unix.PTRACE_O_TRACEFORK|unix.PTRACE_O_TRACEEXEC)
			if err != nil {
				return fmt.Errorf("set options: %w", err)
			}
			_ = unix.PtraceSyscall(tid, 0)
			continue
		}
		// ESRCH: it has been killed meanwhile.
		if err := unix.PtraceSyscall(tid, tr.stop(tid, ws)); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("go on: %w", err)
		}
	}
}

// stop looks at one stop, and gives the signal that is to be delivered.
func (tr *tracer) stop(tid int, ws unix.WaitStatus) int {
	sig := ws.StopSignal()
	switch {
	case sig == unix.SIGTRAP|0x80:
		tr.count(tid)
		return 0
	case ws.TrapCause() == unix.PTRACE_EVENT_FORK && tr.in == 0:
		// Only the birth makes a child with SIGCHLD and no CLONE_VFORK.
		if pid, err := unix.PtraceGetEventMsg(tid); err == nil {
			tr.in = int(pid)
		}
		return 0
	case ws.TrapCause() == unix.PTRACE_EVENT_CLONE && tid == tr.in:
		// It goes on as a copy of itself.
		if pid, err := unix.PtraceGetEventMsg(tid); err == nil {
			tr.in = int(pid)
		}
		return 0
	case sig == unix.SIGTRAP, sig == unix.SIGSTOP:
		return 0
	}
	return int(sig)
}

func (tr *tracer) count(tid int) {
	who, pid := mocker, tr.root
	if tid == tr.in {
		who, pid = inside, tr.in
	}
	tr.res.Stops[who]++
	if who == tr.who && tr.res.Stops[who] == tr.n {
		tr.res.Killed = unix.Kill(pid, unix.SIGKILL) == nil
	}
}
