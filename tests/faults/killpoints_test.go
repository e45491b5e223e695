package faults

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// killer is a mocker that was built with killpoints (libcontainer/trace): it
// kills itself right before or after a step, a hook or the whole command.
type killer struct {
	path string
	list string // file that it writes the points into
}

func newKiller(t *testing.T) killer {
	t.Helper()
	drive.MockersOwn(t, "only mocker has such a build")
	drive.NeedRoot(t)
	dir := t.TempDir()
	// Where there is no compiler, the binary has to be brought along.
	path := os.Getenv("MOCKER_WITH_POINTS")
	if path == "" {
		path = filepath.Join(dir, "mocker")
		if err := drive.Build(path, "MORE_TAGS=killpoints"); err != nil {
			t.Fatal(err)
		}
	}
	return killer{path, filepath.Join(dir, "points")}
}

// run lets it die at a point; 0: at none. The points that it passed are told
// as "before step cgroup", the first one first.
func (k killer) run(t *testing.T, at int, args ...string) (points []string) {
	t.Helper()
	if err := os.WriteFile(k.list, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// env becomes what it starts.
	c := drive.Start(t, "env", append([]string{fmt.Sprintf("MOCKER_KILL=%d", at), "MOCKER_KILL_LIST=" + k.list, k.path}, args...)...)
	r := c.Wait()
	points = k.points(t)
	ws := c.ProcessState.Sys().(syscall.WaitStatus)
	switch killed := ws.Signaled() && ws.Signal() == syscall.SIGKILL; {
	case at == 0 && r.Code != 0:
		t.Fatalf("%s, to be killed nowhere: %v", args[0], r)
	case at != 0 && (!killed || len(points) != at):
		t.Fatalf("%s, to be killed at point %d: %v, after %q: %v", args[0], at, ws, points, r)
	}
	return points
}

// points reads the list. A start with startContainer hooks starts mocker anew,
// which counts from 1 again and passes the same points.
func (k killer) points(t *testing.T) (points []string) {
	t.Helper()
	data, err := os.ReadFile(k.list)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		n := 0
		if _, err := fmt.Sscanf(line, "%d ", &n); err != nil || n < 1 || n > len(points)+1 {
			t.Fatalf("point %q after %q (%v)", line, points, err)
		}
		point := strings.TrimSpace(strings.TrimPrefix(line, fmt.Sprintf("%d ", n)))
		if n > len(points) {
			points = append(points, point)
		} else if points[n-1] != point {
			t.Fatalf("point %d is %q, and %q before", n, point, points[n-1])
		}
	}
	return points
}

// deadly is a command that is killed at every point.
type deadly struct {
	prepare [][]string // what there has to be before it
	args    []string
	least   int // how many points it passes, as hooks, steps and the command have two each

	// after looks at what a command that was killed has left, besides what is
	// the same for all; over says whether it had come past the end of a step.
	after func(t *testing.T, over func(step string) bool)
}

// TestKilledAtEveryStep: wherever a command dies, the state is true, and
// delete --force leaves the machine as it was.
func TestKilledAtEveryStep(t *testing.T) {
	k := newKiller(t)
	bundle := "" // of each
	create := func() []string { return []string{"create", "--bundle", bundle, id} }
	started := func() [][]string { return [][]string{{"run", "--detach", "--bundle", bundle, id}} }
	for _, c := range []struct {
		name string
		make func() deadly
	}{
		{"create", func() deadly { return deadly{nil, create(), 66, nil} }},
		{"start", func() deadly { return deadly{[][]string{create()}, []string{"start", id}, 24, afterStart} }},
		{"exec", func() deadly { return deadly{started(), []string{"exec", id, "sleep", "0.05"}, 34, afterExec} }},
		{"exec detached", func() deadly {
			return deadly{started(), []string{"exec", "--detach", id, "sleep", "1000"}, 32, afterExecDetached}
		}},
		{"update", func() deadly { return deadly{started(), update(), 12, afterUpdate} }},
		{"delete", func() deadly { return deadly{[][]string{create()}, []string{"delete", id}, 22, nil} }},
		{"delete --force", func() deadly { return deadly{started(), []string{"delete", "--force", id}, 24, nil} }},
		{"run", func() deadly { return deadly{nil, []string{"run", "--bundle", bundle, id}, 110, nil} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			var before machine
			bundle, before = faultBundle(t)
			drive.Edit(t, bundle, everyHook)
			if c.name == "run" { // which waits for the end
				drive.Edit(t, bundle, func(s *specs.Spec) { s.Process.Args[1] = "0.05" })
			}
			k.everywhere(t, c.make(), before)
		})
	}
}

// everyHook adds those kinds of hooks that faultBundle has not.
func everyHook(s *specs.Spec) {
	h := []specs.Hook{{Path: "/bin/true"}}
	s.Hooks.CreateRuntime, s.Hooks.CreateContainer, s.Hooks.StartContainer, s.Hooks.Poststart = h, h, h, h
}

// everywhere kills a command at each of its points, under -short at a few.
func (k killer) everywhere(t *testing.T, c deadly, before machine) {
	t.Helper()
	prepare := func() {
		for _, args := range c.prepare {
			drive.OK(t, args...)
		}
	}
	cleaned := func() {
		stop := reapWhile(t) // what an exec has left
		before.cleaned(t)
		stop()
	}
	prepare()
	points := k.run(t, 0, c.args...)
	cleaned()
	if len(points) < c.least {
		t.Fatalf("it passes %d points, fewer than %d: %q", len(points), c.least, points)
	}
	t.Logf("%d points", len(points))
	step := len(points) / drive.Rounds(len(points), 3)
	for n := 1 + step/2; n <= len(points); n += step {
		prepare()
		passed := k.run(t, n, c.args...)
		if !slices.Equal(passed, points[:n]) {
			t.Errorf("it passed %q, and %q when it was not killed", passed, points[:n])
		}
		truthful(t)
		if c.after != nil {
			c.after(t, func(step string) bool { return slices.Contains(passed, "after step "+step) })
		}
		cleaned()
		if t.Failed() {
			t.Fatalf("killed at point %d of %d: %s", n, len(points), points[n-1])
		}
	}
}

// afterStart: it runs, or waits for another start.
func afterStart(t *testing.T, over func(string) bool) {
	t.Helper()
	if !over("open gate") {
		if state := drive.OK(t, "state", id); !strings.Contains(state, `"created"`) {
			t.Errorf("it does not wait: %s", state)
		}
		drive.OK(t, "start", id)
	}
	if state := drive.OK(t, "state", id); !strings.Contains(state, `"running"`) {
		t.Errorf("it does not run: %s", state)
	}
}

// afterExec: the container runs on, and takes others. What waited for its
// program ends with mocker; a program that had begun goes on to its own end, as
// with runc.
func afterExec(t *testing.T, _ func(string) bool) {
	t.Helper()
	runsOn(t, 1)
}

// afterExecDetached is afterExec with a program that does not end by itself:
// it is the container's, and goes with it.
func afterExecDetached(t *testing.T, over func(string) bool) {
	t.Helper()
	if over("become program") {
		runsOn(t, 2)
	} else {
		runsOn(t, 1)
	}
}

// runsOn waits until there are so many processes in a running container, and
// nothing else of mocker's, and runs one more there.
func runsOn(t *testing.T, want int) {
	t.Helper()
	var names []string
	drive.Eventually(t, fmt.Sprintf("%d processes are in the container", want), func() bool {
		var pids []int
		if err := json.Unmarshal([]byte(drive.OK(t, "ps", "--format", "json", id)), &pids); err != nil {
			t.Fatal(err)
		}
		names = nil
		for _, pid := range pids {
			comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
			names = append(names, strings.TrimSpace(string(comm)))
		}
		return slices.Equal(names, slices.Repeat([]string{"sleep"}, want))
	})
	if state := drive.OK(t, "state", id); !strings.Contains(state, `"running"`) {
		t.Errorf("it does not run: %s", state)
	}
	drive.OK(t, "exec", id, "true")
}

func update() []string { return []string{"update", "--pids-limit", "50", id} }

// afterUpdate: the container runs on with the old limits or the new ones, and
// the update can be repeated.
func afterUpdate(t *testing.T, over func(string) bool) {
	t.Helper()
	limit := func() string {
		var st struct{ Pid int }
		if err := json.Unmarshal([]byte(drive.OK(t, "state", id)), &st); err != nil || st.Pid == 0 {
			t.Fatalf("state: %+v, %v", st, err)
		}
		text, err := os.ReadFile(filepath.Join(drive.Cgroup(t, st.Pid, "pids"), "pids.max"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(text))
	}
	want := "64"
	if over("set limits") {
		want = "50"
	}
	if got := limit(); got != want {
		t.Errorf("%s pids are allowed, not %s", got, want)
	}
	drive.OK(t, update()...)
	if got := limit(); got != "50" {
		t.Errorf("after another update %s pids are allowed", got)
	}
	runsOn(t, 1)
}

// TestShipsWithoutKillpoints: no environment makes a mocker that ships kill
// itself.
func TestShipsWithoutKillpoints(t *testing.T) {
	bundle, before := faultBundle(t)
	t.Setenv("MOCKER_KILL", "1")
	list := filepath.Join(t.TempDir(), "points")
	t.Setenv("MOCKER_KILL_LIST", list)
	drive.OK(t, "create", "--bundle", bundle, id)
	drive.OK(t, "start", id)
	before.cleaned(t)
	if _, err := os.Stat(list); err == nil {
		t.Error("it has written a list of points")
	}
	data, err := os.ReadFile(drive.Mocker(t))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(data, []byte("LISTEN_FDS")) {
		t.Fatal("no name of a variable is in the binary: the test does not see them")
	}
	if bytes.Contains(data, []byte("MOCKER_KILL")) {
		t.Error("MOCKER_KILL is in the binary")
	}
}
