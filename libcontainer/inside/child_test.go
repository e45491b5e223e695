package inside

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestChildCode disassembles fork and loop: what runs between clone3 and
// execve may call nothing but the two raw system call functions, on every
// architecture that mocker is built for. A call of the runtime (a bounds
// check, a stack check, a write barrier) would crash in the child.
func TestChildCode(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64"} {
		t.Run(arch, func(t *testing.T) {
			bin := t.TempDir() + "/inside.test"
			build := exec.Command("go", "test", "-c", "-o", bin, ".")
			build.Env = append(os.Environ(), "GOARCH="+arch, "CGO_ENABLED=0")
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("build for %s: %v\n%s", arch, err, out)
			}
			dump, err := exec.Command("go", "tool", "objdump", "-s", `libcontainer/inside\.(fork|loop)$`, bin).Output()
			if err != nil {
				t.Fatal(err)
			}
			checkCalls(t, dump)
		})
	}
}

func checkCalls(t *testing.T, dump []byte) {
	t.Helper()
	callTo := regexp.MustCompile(`\b(?:CALL|BL) ([^\s]+)`)
	jumpTo := regexp.MustCompile(`\b(?:J[A-Z]+|B) ([a-z][^\s]*\(SB\))`)
	allowed := regexp.MustCompile(`^(syscall\.RawSyscall6?|internal/runtime/syscall(/linux)?\.Syscall6|github\.com/mocker-runtime/mocker/libcontainer/inside\.loop)(\.abi0)?\(SB\)$`)
	calls := 0
	for _, m := range append(callTo.FindAllSubmatch(dump, -1), jumpTo.FindAllSubmatch(dump, -1)...) {
		calls++
		if !allowed.Match(m[1]) {
			t.Errorf("the child's code calls %s", m[1])
		}
	}
	if calls < 8 {
		t.Errorf("found %d calls in the disassembly, want 8 or more:\n%s", calls, dump)
	}
	if n := bytes.Count(dump, []byte("TEXT ")); n != 2 {
		t.Errorf("disassembled %d functions, want fork and loop", n)
	}
}

// TestMain lets the test binary be the parent that is killed.
func TestMain(m *testing.M) {
	if mode := os.Getenv("INSIDE_TEST_PARENT"); mode != "" {
		doomedParent(mode)
	}
	os.Exit(m.Run())
}

// doomedParent has a child, says its pid, and makes calls until it is killed.
func doomedParent(mode string) {
	in, err := New(Birth{Namespaces: unix.CLONE_NEWPID | unix.CLONE_NEWNS, CgroupFD: -1})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	if mode == "no-pdeathsig" {
		if err := in.do("prctl", "PR_SET_PDEATHSIG", unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, 0); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	fmt.Println(in.PID)
	for {
		if mode == "idle" {
			time.Sleep(time.Hour)
		}
		if _, err := in.call1("getpid", "", unix.SYS_GETPID); err != nil {
			os.Exit(1)
		}
	}
}

// TestParentKilledAtAnyCall kills the parent: its child must be gone within a
// second, with PR_SET_PDEATHSIG and, where a change of ids has cleared it,
// without.
func TestParentKilledAtAnyCall(t *testing.T) {
	needRoot(t)
	for _, mode := range []string{"busy", "idle", "no-pdeathsig"} {
		for n := 0; n < 10; n++ {
			child := killParent(t, mode, time.Duration(n)*170*time.Microsecond)
			start := time.Now()
			for alive(child) {
				if time.Since(start) > atOnce() {
					t.Fatalf("%s: child %d lives a second after its parent", mode, child)
				}
				time.Sleep(time.Millisecond)
			}
		}
	}
}

func killParent(t *testing.T, mode string, after time.Duration) (child int) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "INSIDE_TEST_PARENT="+mode)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	child, err = strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatalf("the parent says %q", line)
	}
	time.Sleep(after)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	return child
}

func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	return f[0] != "Z" && f[0] != "X"
}
