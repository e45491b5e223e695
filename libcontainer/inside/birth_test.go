package inside

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const allNew = unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWNET

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: makes namespaces")
	}
}

func birth(t testing.TB, flags uintptr) *Child {
	t.Helper()
	in, err := New(Birth{Namespaces: flags, CgroupFD: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Kill(); in.Close() })
	return in
}

func TestCallsActInside(t *testing.T) {
	needRoot(t)
	in := birth(t, allNew)
	pid, err := in.call1("getpid", "", unix.SYS_GETPID)
	if err != nil || pid != 1 {
		t.Fatalf("getpid inside: %d, %v; want 1", pid, err)
	}
	host, _ := os.Hostname()
	if err := in.Sethostname("born"); err != nil {
		t.Fatal(err)
	}
	if now, _ := os.Hostname(); now != host {
		t.Fatalf("the host's name became %q", now)
	}
	uts, err := os.ReadFile(fmt.Sprintf("/proc/%d/root/proc/sys/kernel/hostname", in.PID))
	if err != nil {
		t.Fatal(err)
	}
	_ = uts // the file shows the reader's own namespace; uname inside is asked below
	p := in.NewProgram()
	buf := make([]byte, unsafeSizeofUtsname)
	res := p.Add("uname", "", unix.SYS_UNAME, buf)
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	_ = res
	if got := string(in.region.arena[65 : 65+4]); got != "born" {
		t.Fatalf("name inside %q, want born", got)
	}
}

const unsafeSizeofUtsname = 6 * 65

func TestFailureNamesCallAndObject(t *testing.T) {
	needRoot(t)
	in := birth(t, unix.CLONE_NEWNS)
	_, err := in.Openat2(unix.AT_FDCWD, "/no/such/file", unix.O_RDONLY, 0, 0)
	if !errors.Is(err, unix.ENOENT) || err.Error() != "open /no/such/file: no such file or directory" {
		t.Fatalf("got %v", err)
	}
	if _, err := in.Openat2(unix.AT_FDCWD, "/", unix.O_PATH, 0, 0); err != nil {
		t.Fatalf("after a failure: %v", err)
	}
}

func TestResultsAndEpilogue(t *testing.T) {
	needRoot(t)
	in := birth(t, unix.CLONE_NEWNS)
	p := in.NewProgram()
	how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_CLOEXEC}
	fd := p.Add("open", "/dev/null", unix.SYS_OPENAT2, unix.AT_FDCWD, "/dev/null", bytesOf(&how), unix.SizeofOpenHow)
	dup := p.Add("dup", "", unix.SYS_DUP, fd)
	p.Add("close", "99999", unix.SYS_CLOSE, 99999)
	p.Accept(unix.EBADF)
	p.Add("close", "", unix.SYS_CLOSE, fd)
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(p.Value(dup), &st); err != nil || st.Rdev != unix.Mkdev(1, 3) {
		t.Fatalf("the fd opened inside is not /dev/null here: %v", err)
	}
	if err := unix.Fstat(p.Value(fd), &st); !errors.Is(err, unix.EBADF) {
		t.Fatalf("the fd closed inside is open here: %v", err)
	}

	p = in.NewProgram()
	p.Add("close", "99999", unix.SYS_CLOSE, 99999)
	p.Add("never", "", unix.SYS_EXIT_GROUP, 1)
	p.Epilogue()
	p.Add("exit_group", "", unix.SYS_EXIT_GROUP, 42)
	if err := p.Post(); err != nil {
		t.Fatal(err)
	}
	if st, err := in.Wait(); err != nil || st.ExitStatus() != 42 {
		t.Fatalf("the epilogue left %v, %v; want exit status 42", st, err)
	}
	if f := in.region.failed; f.slot != 1 || unix.Errno(f.errno) != unix.EBADF {
		t.Fatalf("failure %+v, want slot 1, EBADF", f)
	}
}

// births is how many children the stress tests make: 10,000 in all with the
// joins of the same number that exec makes, unless told to be short.
func manyBirths() int {
	if testing.Short() {
		return 300
	}
	return 10000
}

// TestBirthsUnderLoad makes thousands of children while the collector never
// rests: a child that touched the runtime would hang or crash.
func TestBirthsUnderLoad(t *testing.T) {
	needRoot(t)
	var stop atomic.Bool
	var wg sync.WaitGroup
	wg.Add(1)
	go func() { // garbage, and stops of the world
		defer wg.Done()
		var keep [][]byte
		for !stop.Load() {
			keep = append(keep[:len(keep)%64], make([]byte, 1<<14))
			runtime.GC()
		}
	}()
	defer func() { stop.Store(true); wg.Wait() }()

	fds := openFDs(t)
	end := time.Now().Add(4 * time.Minute)
	made := 0
	var mu sync.Mutex
	var workers sync.WaitGroup
	for w := 0; w < 2; w++ {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for {
				mu.Lock()
				made++
				n := made
				mu.Unlock()
				if n > manyBirths() || t.Failed() {
					return
				}
				if time.Now().After(end) {
					t.Errorf("only %d births in 4 minutes", n)
					return
				}
				if err := liveAndDie(n); err != nil {
					t.Errorf("birth %d: %v", n, err)
					return
				}
			}
		}()
	}
	workers.Wait()
	if now := openFDs(t); now != fds {
		t.Errorf("%d fds open before, %d after", fds, now)
	}
}

func liveAndDie(n int) error {
	flags := uintptr(unix.CLONE_NEWNS | unix.CLONE_NEWPID)
	if n%10 == 0 {
		flags = allNew
	}
	in, err := New(Birth{Namespaces: flags, CgroupFD: -1})
	if err != nil {
		return err
	}
	defer in.Release()
	defer in.Close()
	defer in.Kill()
	for i := 0; i < 5; i++ {
		if pid, err := in.call1("getpid", "", unix.SYS_GETPID); err != nil || pid != 1 {
			return fmt.Errorf("getpid: %d, %w", pid, err)
		}
	}
	return nil
}

func openFDs(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// TestChildKilledAtAnyCall kills the child before, in and after calls: the
// parent must say so within a second.
func TestChildKilledAtAnyCall(t *testing.T) {
	needRoot(t)
	for n := 0; n < 40; n++ {
		in := birth(t, unix.CLONE_NEWPID|unix.CLONE_NEWNS)
		go func() {
			time.Sleep(time.Duration(n*53) * time.Microsecond)
			_ = unix.PidfdSendSignal(in.Pidfd, unix.SIGKILL, nil, 0)
		}()
		start := time.Now()
		var err error
		for err == nil && time.Since(start) < 5*time.Second {
			_, err = in.call1("getpid", "", unix.SYS_GETPID)
		}
		if err == nil || !strings.Contains(err.Error(), "killed by signal 9") {
			t.Fatalf("try %d: %v", n, err)
		}
		if d := time.Since(start); d > atOnce() {
			t.Fatalf("try %d: noticed after %v", n, d)
		}
		if _, again := in.call1("getpid", "", unix.SYS_GETPID); again == nil {
			t.Fatal("a call of a dead child succeeded")
		}
	}
}

// atOnce is within how long either side has to notice the end of the other; on
// a machine that is emulated nothing is that fast.
func atOnce() time.Duration {
	if testing.Short() {
		return 10 * time.Second
	}
	return time.Second
}
