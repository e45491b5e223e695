package inside

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const joinable = unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWNET

// TestHandOver joins a pid namespace and others, and goes on as a copy in it
// and in a new one besides.
func TestHandOver(t *testing.T) {
	needRoot(t)
	host := birth(t, joinable)
	in, err := New(Birth{CgroupFD: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Kill(); in.Close() })
	if err := in.Setns(host.Pidfd, "container", joinable); err != nil {
		t.Fatal(err)
	}
	before := in.PID
	if err := in.HandOver(unix.CLONE_NEWUTS); err != nil {
		t.Fatal(err)
	}
	pid, err := in.call1("getpid", "", unix.SYS_GETPID)
	if err != nil || pid != 2 {
		t.Fatalf("pid %d inside, %v; want 2", pid, err)
	}
	if in.PID == before || alive(before) {
		t.Fatalf("still process %d", in.PID)
	}
	for ns, same := range map[string]bool{"pid": true, "net": true, "mnt": true, "uts": false} {
		if (link(t, in.PID, ns) == link(t, host.PID, ns)) != same {
			t.Errorf("%s namespace of the container: got %v, want %v", ns, !same, same)
		}
	}
}

func link(t testing.TB, pid int, ns string) string {
	t.Helper()
	s, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, ns))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestJoinsUnderLoad is TestBirthsUnderLoad for joins: a pid namespace is
// joined thousands of times while the collector never rests, and its init can
// end afterwards, for which all of them must have been reaped.
func TestJoinsUnderLoad(t *testing.T) {
	needRoot(t)
	host := birth(t, joinable)
	fds := openFDs(t)
	var stop atomic.Bool
	var load, workers sync.WaitGroup
	load.Add(1)
	go func() {
		defer load.Done()
		for !stop.Load() {
			_ = make([]byte, 1<<14)
			runtime.GC()
		}
	}()
	var made atomic.Int64
	for range 2 {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for made.Add(1) <= int64(manyBirths()/2) && !t.Failed() {
				if err := joinOnce(host); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	workers.Wait()
	stop.Store(true)
	load.Wait()
	if now := openFDs(t); now != fds {
		t.Errorf("%d fds open before, %d after", fds, now)
	}
	start := time.Now()
	host.Kill()
	if d := time.Since(start); d > atOnce() {
		t.Errorf("the end of the namespace took %v", d)
	}
}

func joinOnce(host *Child) error {
	in, err := New(Birth{CgroupFD: -1})
	if err != nil {
		return err
	}
	defer in.Release()
	defer in.Close()
	defer in.Kill()
	if err := in.Setns(host.Pidfd, "container", joinable); err != nil {
		return err
	}
	if err := in.HandOver(0); err != nil {
		return err
	}
	pid, err := in.call1("getpid", "", unix.SYS_GETPID)
	if err != nil || pid < 2 {
		return fmt.Errorf("getpid: %d, %w", pid, err)
	}
	return nil
}
