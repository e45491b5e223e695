package state

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParseStat(t *testing.T) {
	tail := " 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 -1 123456"
	for in, want := range map[string]stat{
		"12 (sh) S" + tail:                {state: 'S', threads: 3, start: 123456},
		"12 (a) R 1 (b) Z" + tail:         {state: 'Z', threads: 3, start: 123456},
		"12 (x\ny) (z)) X" + tail:         {state: 'X', threads: 3, start: 123456},
		"12 (sh) S 1 2 3":                 {},
		"12 sh S" + tail:                  {},
		"":                                {},
		"12 (sh)":                         {},
		"12 (sh) S x" + tail:              {}, // one too many: -1 is no start time
		"12 (sh) S" + tail[:len(tail)-12]: {},
		"12 (sh) S" + tail + " 1 2 3 4 5 6 7 8 256":  {state: 'S', threads: 3, start: 123456, pending: 1 << 8},
		"12 (sh) S" + tail + " 1 2 3 4 5 6 7 8 none": {},
		"12 (sh) S" + tail + " 1 2 3\n":              {state: 'S', threads: 3, start: 123456},
	} {
		got, err := parseStat([]byte(in))
		if (err != nil) != (want == stat{}) || err == nil && got != want {
			t.Errorf("%q: got %+v, %v, want %+v", in, got, err, want)
		}
	}
}

func TestProc(t *testing.T) {
	cmd := exec.Command("sleep", "100")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p, err := ProcOf(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	self, err := Self()
	if err != nil || !self.Alive() {
		t.Errorf("this process %+v is not alive: %v", self, err)
	}
	if !p.Alive() {
		t.Errorf("%+v is not alive", p)
	}
	stranger := Proc{PID: p.PID, StartTime: p.StartTime + 1}
	if stranger.Alive() {
		t.Error("a recycled pid counts as alive")
	}
	if _, err := stranger.Pidfd(); !errors.Is(err, unix.ESRCH) {
		t.Errorf("pidfd of a recycled pid: got %v, want ESRCH", err)
	}
	fd, err := p.Pidfd()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil {
		t.Fatal(err)
	}
	// A pidfd is readable once the process is a zombie, still to be reaped.
	if _, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 5000); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", p.PID)); err != nil {
		t.Errorf("the zombie should still be there: %v", err)
	}
	if p.Alive() {
		t.Error("a zombie counts as alive")
	}
	_ = cmd.Wait()
	if p.Alive() {
		t.Error("a reaped process counts as alive")
	}
	if _, err := p.Pidfd(); !errors.Is(err, unix.ESRCH) {
		t.Errorf("pidfd of a reaped process: got %v, want ESRCH", err)
	}
	if (Proc{}).Alive() {
		t.Error("nobody is alive")
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 123456 99 1"))
	f.Fuzz(func(t *testing.T, data []byte) { _, _ = parseStat(data) })
}
