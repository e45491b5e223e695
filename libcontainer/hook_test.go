package libcontainer

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestWhileAlive: who has no more hooks to run does not wait for the next look
// at the process, and its end is seen.
func TestWhileAlive(t *testing.T) {
	self, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(self)
	best := time.Hour
	for range 5 {
		begin := time.Now()
		ctx, cancel := whileAlive(self)
		cancel()
		if ctx.Err() == nil {
			t.Fatal("the context goes on")
		}
		best = min(best, time.Since(begin))
	}
	if best > 50*time.Millisecond {
		t.Errorf("it took %v to stop looking", best)
	}

	p, err := os.StartProcess("/proc/self/exe", []string{"test", "-test.run=^$"}, &os.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.PidfdOpen(p.Pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	ctx, cancel := whileAlive(fd)
	defer cancel()
	<-ctx.Done()
	if _, err := p.Wait(); err != nil {
		t.Fatal(err)
	}
}
