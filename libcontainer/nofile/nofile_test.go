package nofile_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/mocker-runtime/mocker/libcontainer/nofile"
)

// The second start of the test binary prints what it saw and ends.
func TestMain(m *testing.M) {
	if os.Getenv("MOCKER_TEST_NOFILE") != "" {
		var now syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &now); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		soft, hard := nofile.Original()
		fmt.Println(soft, hard, now.Cur > soft)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestOriginalIsTheLimitBeforeGoRaisedIt(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, limit := range []struct{ soft, hard string }{
		{"64", "512"},
		{"1000", "1001"}, // Go leaves this one alone: soft is hard-1
		{"300", "300"},
	} {
		t.Run(limit.soft+":"+limit.hard, func(t *testing.T) {
			// A shell sets the limits, for os/exec would restore Go's own record.
			cmd := exec.Command("sh", "-c", `ulimit -Sn "$1"; ulimit -Hn "$2"; exec "$0"`, exe, limit.soft, limit.hard)
			cmd.Env = append(os.Environ(), "MOCKER_TEST_NOFILE=1")
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			raised := limit.soft == "64" // else there is nothing to raise, and nothing to see
			want := fmt.Sprintf("%s %s %v", limit.soft, limit.hard, raised)
			if got := strings.TrimSpace(string(out)); got != want {
				t.Errorf("soft, hard, raised by Go since: got %q, want %q", got, want)
			}
		})
	}
}
