package engines

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// metrics: the shim reads them from the cgroup in which it finds the
// container's process, so they are those of the container alone.
func (c containerd) metrics(t *testing.T) {
	c.background([]string{"--memory-limit", "67108864"}, "box", "sh", "-c", "sleep 1000 & exec sleep 1000")
	drive.Eventually(t, "both processes are counted, and the limit is told", func() bool {
		got := strings.Join(strings.Fields(c.ok("task", "metrics", "box")), " ")
		limit := c.ok("task", "metrics", "--format", "json", "box")
		return strings.Contains(got, "pids.current 2 ") && strings.Contains(limit, "67108864")
	})
	c.remove("box")
	c.gone()
}

// outOfMemory: the shim waits for the kernel's word in the container's cgroup.
func (c containerd) outOfMemory(t *testing.T) {
	line := c.line("events")
	events := drive.Start(t, line[0], line[1:]...)
	defer func() {
		_ = events.Process.Kill()
		events.Wait()
	}()
	// Until the client has subscribed, events pass it by.
	drive.Eventually(t, "events are told", func() bool {
		c.ok("image", "label", ctrImage, "test=heard")
		return strings.Contains(events.Output(), "/images/update")
	})
	// Not in the foreground: a client that deletes the task at once may end the
	// shim before it has told of the exit.
	c.background([]string{"--memory-limit", "8388608"}, "hungry", "sh", "-c", "x=aaaaaaaa; while :; do x=$x$x; done")
	want := []string{"/tasks/create", "/tasks/start", "/tasks/oom", "/tasks/exit"}
	var got []string
	for end := time.Now().Add(drive.Patience(20 * time.Second)); len(got) < len(want) && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		got = nil
		for event := range strings.Lines(events.Output()) {
			i := slices.IndexFunc(want, func(topic string) bool { return strings.Contains(event, " "+topic+" ") })
			if i >= 0 && strings.Contains(event, `"hungry"`) {
				got = append(got, want[i])
			}
		}
		// The end can be told before its reason.
		slices.SortFunc(got, func(a, b string) int { return slices.Index(want, a) - slices.Index(want, b) })
		got = slices.Compact(got)
	}
	if !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
	c.stopped("hungry", 137)
	c.ok("container", "rm", "hungry")
	c.gone()
}

// checkpoint: mocker has none yet, and says so; runc needs criu, which is not
// here. The container lives on.
func (c containerd) checkpoint(t *testing.T) {
	c.background(nil, "box", "sleep", "1000")
	r := execLine(t, c.line("task", "checkpoint", "--image-path", filepath.Join(t.TempDir(), "image"), "box"))
	want := "criu"
	if c.runtime == drive.Runtime(t) && !drive.Others() {
		want = `"checkpoint" is not built yet`
	}
	if r.Code != 1 || !strings.Contains(r.Stderr, want) {
		t.Errorf("task checkpoint: %v, want exit 1 and %s", r, want)
	}
	if _, status := c.task("box"); status != "RUNNING" {
		t.Errorf("task ls: %s", status)
	}
	c.remove("box")
	c.gone()
}

// execTerminal: one more process with a terminal of its own.
func (c containerd) execTerminal(t *testing.T) {
	c.background(nil, "box", "sleep", "1000")
	script := strings.Replace(atTerminal.cmd[2], "ls -l /dev/console | cut -c1\n", "\n", 1) // the container has no console
	cmd := inTerminal(t, c.line("task", "exec", "--tty", "--exec-id", "tty", "box", "sh", "-c", script+"; exec sleep 1000"))
	terminal := drive.Start(t, cmd[0], cmd[1:]...)
	want := foreground{code: 137, stdout: strings.Replace(atTerminal.stdout, "\nc\n", "\n", 1)}
	drive.Eventually(t, "the process has its terminal", func() bool {
		return len(strings.ReplaceAll(terminal.Output(), "\r", "")) >= len(want.stdout)
	})
	c.ok("task", "kill", "--exec-id", "tty", "--signal", "KILL", "box")
	want.check(t, terminal.Wait())
	c.remove("box")
	c.gone()
}

// restarted: the daemon goes and comes back. One container lives through it,
// another one ends while nobody but its shim looks.
func (c containerd) restarted(t *testing.T) {
	dir := t.TempDir()
	mount := []string{"--mount", "type=bind,src=" + dir + ",dst=/seen,options=rbind:ro"}
	c.background(nil, "lives", "sleep", "1000")
	c.background(mount, "ends", "sh", "-c", "until [ -e /seen/now ]; do sleep 0.02; done; exit 9")
	before, _ := c.task("lives")
	c.stop()
	writeFile(t, filepath.Join(dir, "now"), "")
	drive.Eventually(t, "one of them ends", func() bool {
		return strings.Contains(c.ask("state", "ends").Stdout, `"stopped"`)
	})
	c.start()
	if pid, status := c.task("lives"); pid != before || status != "RUNNING" {
		t.Errorf("task ls: %s %s, before %s", pid, status, before)
	}
	r := execLine(t, c.line("task", "exec", "--exec-id", "later", "lives", "sh", "-c", "exit 7"))
	if r.Code != 7 {
		t.Errorf("task exec: %v", r)
	}
	if c.programs == "" {
		c.stopped("ends", 9)
	} else if _, status := c.task("ends"); status != "none" {
		// Version 2 takes a shim without processes for one that was forgotten.
		t.Errorf("task ls: %s of the one that ended", status)
	}
	c.ok("container", "rm", "ends")
	c.remove("lives")
	c.gone()
}

// fifty containers live at the same time, and each ends with a status of its
// own. None of them polls: what they wait for is that a FIFO closes.
func (c containerd) fifty(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	gate, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer gate.Close()
	flags := []string{"--rm", "--mount", "type=bind,src=" + dir + ",dst=/seen,options=rbind:ro"}
	var clients [50]*drive.Cmd
	for i := range clients {
		line := c.run(flags, fmt.Sprintf("box%d", i), "sh", "-c", fmt.Sprintf("exec 3</seen/fifo; echo in; read x <&3; exit %d", 100+i))
		clients[i] = drive.Start(t, line[0], line[1:]...)
	}
	in := 0
	for end := time.Now().Add(drive.Patience(45 * time.Second)); in < len(clients) && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		in = 0
		for _, client := range clients {
			in += strings.Count(client.Output(), "in\n")
		}
	}
	if alive := strings.Count(c.ok("task", "ls"), "RUNNING"); in != len(clients) || alive != in {
		t.Errorf("%d of %d containers run, %d have said so", alive, len(clients), in)
	}
	gate.Close()
	for i, client := range clients {
		if r := client.Wait(); r.Code != 100+i {
			t.Errorf("container %d: %v", i, r)
		}
	}
	c.gone()
}
