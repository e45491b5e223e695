package engines

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// place is where an engine lives that has its bridge, its firewall rules and
// things at fixed paths: mount, network and pid namespaces within those of the
// test. They end with it.
type place struct {
	t    *testing.T
	init int // the first process in there
}

// newPlace makes a place in which these directories are empty.
func newPlace(t *testing.T, empty ...string) *place {
	t.Helper()
	// busybox's mount leaves no notes in /run.
	const script = `set -e
		for dir; do busybox mount -t tmpfs -o mode=755 tmpfs "$dir"; done
		ip link set lo up
		exec docker-init -- sleep infinity`
	cmd := exec.Command("unshare", slices.Concat([]string{
		"--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script, "sh",
	}, empty)...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &place{t: t}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
	})
	patiently(t, "the place for the engine is ready", func() bool {
		for _, p.init = range drive.Children(t, cmd.Process.Pid) {
			comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.init))
			return err == nil && string(comm) == "docker-init\n"
		}
		return false
	})
	return p
}

// inside is a command line that runs another one in the place.
func (p *place) inside(line ...string) []string {
	return append([]string{"nsenter", "--mount", "--net", "--pid", "--target", strconv.Itoa(p.init), "--"}, line...)
}

// deserted waits until nothing runs in the place but its first process and the
// one that this one waits for.
func (p *place) deserted() {
	p.t.Helper()
	own, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", p.init))
	if err != nil {
		p.t.Fatal(err)
	}
	var left []string
	empty := func() bool {
		left = nil
		dirs, _ := filepath.Glob("/proc/[0-9]*")
		for _, dir := range dirs {
			if ns, err := os.Readlink(dir + "/ns/pid"); err == nil && ns == own {
				comm, _ := os.ReadFile(dir + "/comm")
				left = append(left, strings.TrimSpace(string(comm)))
			}
		}
		slices.Sort(left)
		return slices.Equal(left, []string{"docker-init", "sleep"})
	}
	for end := time.Now().Add(drive.Patience(10 * time.Second)); !empty(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Errorf("processes are left: %s", left)
			return
		}
	}
}

// patiently is drive.Eventually for what a daemon does, which can take long on
// a machine with much to do.
func patiently(t *testing.T, what string, holds func() bool) {
	t.Helper()
	limit := drive.Patience(45 * time.Second)
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("not within %v: %s", limit, what)
}

// documented is a line of docs/engines.md in which the path of the runtime is
// that of the one under test.
func documented(t *testing.T, line string) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/engines.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), line) {
		t.Errorf("docs/engines.md does not have the line that is tested here: %s", line)
	}
	return strings.ReplaceAll(line, "/usr/local/bin/mocker", runtimePath(t))
}
