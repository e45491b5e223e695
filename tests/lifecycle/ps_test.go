package lifecycle

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// TestPS: the processes of the container and no other, by the host's pids.
func TestPS(t *testing.T) {
	views(t, func(t *testing.T, run func(args ...string) drive.Result) {
		b := newBox(t, drive.Sh("sleep 1000 & sleep 1001 & exec sleep 1002"))
		defer func() { run("delete", "--force", b.id) }()
		pids := func() (list []int) {
			t.Helper()
			r := run("ps", "--format", "json", b.id)
			if err := json.Unmarshal([]byte(r.Stdout), &list); err != nil || r.Stderr != "" || !strings.HasSuffix(r.Stdout, "\n") {
				t.Fatalf("ps --format json: %v: %v", err, r)
			}
			return list
		}
		for _, step := range [][]string{{"create", "--bundle", b.bundle, b.id}, {"start", b.id}} {
			if r := run(step...); r.Code != 0 {
				t.Fatal(r)
			}
		}
		drive.Eventually(t, "three processes", func() bool { return len(pids()) == 3 })
		list := pids()
		if !slices.IsSorted(list) {
			t.Errorf("not sorted: %v", list)
		}
		for _, args := range [][]string{{}, {"-ef"}, {"aux"}, {"-o", "pid,args", "-A"}} {
			r := run(append([]string{"ps", b.id}, args...)...)
			lines := strings.Split(strings.TrimSpace(r.Stdout), "\n")
			if r.Code != 0 || len(lines) != 4 || !slices.Contains(strings.Fields(lines[0]), "PID") {
				t.Errorf("ps %v: %v", args, r)
				continue
			}
			for _, pid := range list {
				if !slices.Contains(strings.Fields(r.Stdout), strconv.Itoa(pid)) {
					t.Errorf("ps %v does not show %d: %s", args, pid, r.Stdout)
				}
			}
		}
		if r := run("pause", b.id); r.Code != 0 || !slices.Equal(pids(), list) {
			t.Errorf("paused: %v, want %v", pids(), list)
		}
		if r := run("kill", b.id, "KILL"); r.Code != 0 {
			t.Error(r)
		}
		drive.Eventually(t, "none is left", func() bool { return run("ps", "-f", "json", b.id).Stdout == "null\n" })
		if r := run("ps", b.id); r.Code != 0 || strings.Count(r.Stdout, "\n") != 1 {
			t.Errorf("stopped: %v", r)
		}
	})
}
