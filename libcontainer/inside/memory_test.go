//go:build !race

// The race detector's runtime reaches for memory of its own from the loop;
// what is left of a child is a property of the binary that ships, without it.

package inside

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestBornWithLittle: of its parent's memory a child gets the code, the region
// and some pages of its stack, from its first moment on; the next one as well,
// whatever goroutine it is born from.
func TestBornWithLittle(t *testing.T) {
	needRoot(t)
	for range 3 {
		done := make(chan struct{})
		go func() { // on a stack that is elsewhere
			defer close(done)
			in, err := New(Birth{Namespaces: unix.CLONE_NEWPID, CgroupFD: -1})
			if err != nil {
				t.Error(err)
				return
			}
			maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", in.PID))
			in.Kill()
			in.Close()
			if n := strings.Count(string(maps), " rw-p "); err != nil || n != 1 {
				t.Errorf("a child was born with these mappings, one private writable wanted (%v):\n%s", err, maps)
			}
		}()
		<-done
	}
}

// TestDropMemory runs calls after everything else is unmapped, and looks at
// what is left.
func TestDropMemory(t *testing.T) {
	needRoot(t)
	in := birth(t, unix.CLONE_NEWPID)
	p := in.NewProgram()
	if err := p.DropMemory(); err != nil {
		t.Fatal(err)
	}
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	if pid, err := in.call1("getpid", "", unix.SYS_GETPID); err != nil || pid != 1 {
		t.Fatalf("getpid with no memory: %d, %v", pid, err)
	}
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", in.PID))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(maps)), "\n")
	writable := 0
	for _, l := range lines {
		if strings.Contains(l, " rw-p ") {
			writable++
		}
	}
	if writable != 1 || len(lines) > 4 {
		t.Errorf("mappings left, one private writable wanted:\n%s", maps)
	}
	rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", in.PID))
	if err != nil {
		t.Fatal(err)
	}
	var dirty int
	for _, l := range strings.Split(string(rollup), "\n") {
		_, _ = fmt.Sscanf(l, "Private_Dirty: %d", &dirty)
		if dirty > 0 {
			break
		}
	}
	if dirty > 64 {
		t.Errorf("%d KiB private memory, want at most 64\n%s", dirty, rollup)
	}
}
