package lifecycle

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// counting prints a number every few milliseconds, and one line on TERM, from
// the time on that the file /counts is there.
var counting = drive.Sh("trap 'echo got TERM; exit 3' TERM; >/counts; i=0; while :; do i=$((i+1)); echo $i; sleep 0.005; done")

// views are the ways to call the runtime on this machine: as it is, and where
// cgroup v2 alone can be seen.
func views(t *testing.T, test func(t *testing.T, run func(args ...string) drive.Result)) {
	t.Helper()
	t.Run("as it is", func(t *testing.T) {
		test(t, func(args ...string) drive.Result { return drive.Run(t, args...) })
	})
	if !unified() {
		t.Run("v2", func(t *testing.T) {
			drive.MockersOwn(t, "runc finds no devices controller below the v2 tree of a hybrid machine")
			test(t, func(args ...string) drive.Result { return inPureView(t, args...) })
		})
	}
}

// TestPause follows a container through pause and resume.
func TestPause(t *testing.T) {
	views(t, func(t *testing.T, run func(args ...string) drive.Result) {
		b := newBox(t, counting)
		ok := func(args ...string) {
			t.Helper()
			if r := run(append(args, b.id)...); r.Code != 0 || r.Stdout+r.Stderr != "" {
				t.Fatalf("%v: %v", args, r)
			}
		}
		refuses := func(want string, args ...string) {
			t.Helper()
			if r := run(append(args, b.id)...); r.Code != 1 || !strings.Contains(r.Stderr, want) {
				t.Errorf("%v: %v\nwant %q", args, r, want)
			}
		}
		status := func(want string) {
			t.Helper()
			var st state
			r := run("state", b.id)
			if err := json.Unmarshal([]byte(r.Stdout), &st); err != nil || st.Status != want || (st.Pid == 0) != (want == "stopped") {
				t.Errorf("%v, want %s", r, want)
			}
			if list := run("list").Stdout; !strings.Contains(list, " "+want+" ") {
				t.Errorf("list: %s\nwant %s", list, want)
			}
		}
		defer func() { run("delete", "--force", b.id) }()
		r := run("create", "--bundle", b.bundle, b.id)
		if r.Code != 0 {
			t.Fatal(r)
		}
		refuses("container not paused", "resume")
		ok("pause")
		status("paused")
		refuses("cannot start a container in the paused state", "start")
		ok("resume")
		status("created")
		ok("start")
		drive.Eventually(t, "it counts", func() bool { _, err := os.Stat(filepath.Join(b.bundle, "rootfs/counts")); return err == nil })
		ok("pause")
		status("paused")
		if r := run("pause", b.id); r.Code != 1 {
			t.Errorf("paused twice: %v", r)
		}
		refuses("that is not stopped: paused", "delete")
		if r := run("kill", b.id, "TERM"); r.Code != 0 { // waits
			t.Error(r)
		}
		time.Sleep(50 * time.Millisecond)
		status("paused")
		ok("resume")
		drive.Eventually(t, "it has got the signal", func() bool { return strings.Contains(run("state", b.id).Stdout, `"stopped"`) })
		refuses("container not paused", "resume")
		refuses("container not running", "pause")
		ok("delete")
	})
}

// TestPausedStandsStill: nothing is printed while it is paused.
func TestPausedStandsStill(t *testing.T) {
	b := newBox(t, counting).create().start()
	drive.Eventually(t, "it counts", func() bool { return len(b.printed()) > 20 })
	drive.OK(t, "pause", b.id)
	before := b.printed()
	time.Sleep(100 * time.Millisecond)
	if now := b.printed(); now != before {
		t.Errorf("it went on: %q", strings.TrimPrefix(now, before))
	}
	drive.OK(t, "resume", b.id)
	drive.Eventually(t, "it counts on", func() bool { return len(b.printed()) > len(before) })
}

// TestPausedEnds: KILL ends a paused container, and so does delete --force.
func TestPausedEnds(t *testing.T) {
	views(t, func(t *testing.T, run func(args ...string) drive.Result) {
		for _, how := range []string{"kill", "kill --all", "delete --force"} {
			for _, started := range []bool{true, false} {
				b := newBox(t, counting)
				steps := [][]string{{"create", "--bundle", b.bundle, b.id}, {"start", b.id}, {"pause", b.id}, append(strings.Fields(how), b.id)}
				if !started {
					steps = append(steps[:1:1], steps[2:]...)
				}
				if how != "delete --force" {
					steps[len(steps)-1] = append(steps[len(steps)-1], "KILL")
				}
				for _, step := range steps {
					if r := run(step...); r.Code != 0 || r.Took > 2*time.Second {
						t.Fatalf("%s, started %v: %v after %v: %v", how, started, step, r.Took, r)
					}
				}
				drive.Eventually(t, "it has ended", func() bool {
					r := run("state", b.id)
					return r.Code == 1 || strings.Contains(r.Stdout, `"stopped"`)
				})
				if r := run("delete", "--force", b.id); r.Code != 0 {
					t.Error(r)
				}
				nothingLeft(b)
			}
		}
	})
}
