package ready

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func pipe(t *testing.T) (r, w int) {
	t.Helper()
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(ends[0]); unix.Close(ends[1]) })
	return ends[0], ends[1]
}

func TestUntil(t *testing.T) {
	r, w := pipe(t)
	// A time that has passed is no time at all, and not all time.
	for _, before := range []time.Duration{0, time.Nanosecond, time.Millisecond, time.Hour} {
		if is, err := Until(r, unix.POLLIN, time.Now().Add(-before)); is || err != nil {
			t.Errorf("%v ago: %t, %v", before, is, err)
		}
	}
	begin := time.Now()
	if is, err := Until(r, unix.POLLIN, begin.Add(20*time.Millisecond+time.Microsecond)); is || err != nil || time.Since(begin) < 20*time.Millisecond {
		t.Errorf("%t, %v after %v", is, err, time.Since(begin))
	}
	go func() {
		time.Sleep(10 * time.Millisecond)
		_, _ = unix.Write(w, []byte("x"))
	}()
	if is, err := Until(r, unix.POLLIN, time.Now().Add(1000*time.Hour)); !is || err != nil {
		t.Errorf("something to read: %t, %v", is, err)
	}
	if !Within(r, unix.POLLIN, 0) || Within(r, unix.POLLPRI, 0) {
		t.Error("what is there already, and nothing else, is ready at once")
	}
	unix.Close(w)
	if !Within(r, 0, time.Hour) {
		t.Error("the end of the other side need not be asked for")
	}
	if is, err := Until(-2, unix.POLLIN, time.Now()); is || err != nil && !errors.Is(err, unix.EBADF) {
		t.Errorf("no descriptor: %t, %v", is, err)
	}
}

// TestSignals: a wait that a signal interrupts goes on, for what is left.
func TestSignals(t *testing.T) {
	r, _ := pipe(t)
	stop := make(chan struct{})
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				_ = unix.Kill(unix.Getpid(), unix.SIGURG)
			}
		}
	}()
	defer close(stop)
	begin := time.Now()
	if is, err := Until(r, unix.POLLIN, begin.Add(50*time.Millisecond)); is || err != nil || time.Since(begin) < 50*time.Millisecond {
		t.Errorf("%t, %v after %v", is, err, time.Since(begin))
	}
}
