package security

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// TestHostileIDs: an id is the name of a directory, and of nothing else.
func TestHostileIDs(t *testing.T) {
	bundle, _, c := box(t, nil)
	state := filepath.Join(c.dir, "..", "state")
	must(t, os.Mkdir(state, 0o700))
	for _, id := range []string{
		"", ".", "..", "../canary", "../canary/sub", "a/b", "/a", "a/../../canary", "a b", "a\nb", "a\tb", "a\x7fb", "a;b", "$(a)", "a*", "ä", "a:b", "a\\b",
		"@removed", strings.Repeat("a", 256),
	} {
		for _, args := range [][]string{
			{"run", "--bundle", bundle, "--", id}, {"create", "--bundle", bundle, "--", id}, {"start", "--", id}, {"state", "--", id},
			{"kill", "--", id, "KILL"}, {"delete", "--", id}, {"delete", "--force", "--", id},
		} {
			r := drive.Run(t, append([]string{"--root", state}, args...)...)
			if r.Code != 1 || r.Stdout != "" || !strings.HasPrefix(r.Stderr, "mocker: ") && os.Getenv("RUNTIME") == "" {
				t.Errorf("%q: %v", args, r)
			}
		}
		c.unharmed(t)
	}
	if left, err := os.ReadDir(state); err != nil || len(left) != 0 {
		t.Errorf("left in the directory of states: %v, %v", left, err)
	}
}

// TestCgroupsPath: no ".." leads out of a hierarchy, whose mount point lies in
// a tmpfs that anything could be made in.
func TestCgroupsPath(t *testing.T) {
	const name = "security-cgroup"
	for _, p := range []string{"/../" + name, "/../../../../../../" + name, "/a/../../../" + name, "../../../../" + name, "../" + name, "./" + name} {
		bundle := drive.Bundle(t, func(s *specs.Spec) {
			s.Linux.CgroupsPath = p
			s.Process.Args = []string{"sleep", "1000"}
		})
		before := cgroupRoots(t)
		r := drive.Run(t, "run", "--detach", "--bundle", bundle, name)
		made, _ := filepath.Glob("/sys/fs/cgroup/pids/" + name)
		if pure, _ := filepath.Glob("/sys/fs/cgroup/" + name + "/cgroup.procs"); r.Code == 0 && len(made)+len(pure) == 0 && filepath.IsAbs(p) {
			t.Errorf("%q: the cgroup is not where it should be", p)
		}
		if now := cgroupRoots(t); now != before {
			t.Errorf("%q: beside the hierarchies there is now %s, before %s", p, now, before)
		}
		drive.OK(t, "delete", "--force", name)
	}
	for _, p := range []string{"/", "/..", "..", "../..", ".", "/a/..", "a/../..", "//", "/a\n", "a\x00b"} {
		bundle := drive.Bundle(t, func(s *specs.Spec) { s.Linux.CgroupsPath = p })
		if r := run(t, bundle); r.Code != 1 || !strings.Contains(r.Stderr, "cgroupsPath") {
			t.Errorf("%q is to be refused: %v", p, r)
		}
	}
}

// cgroupRoots are the mount points of the hierarchies, and what lies beside
// them.
func cgroupRoots(t *testing.T) string {
	t.Helper()
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		return "" // a single tree: there is no beside
	}
	list, err := os.ReadDir("/sys/fs/cgroup")
	must(t, err)
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

// TestRecycledPID: a pid that has been given to a stranger is not signalled:
// the time at which a process started tells it from another. With the time of
// the stranger it would be.
func TestRecycledPID(t *testing.T) {
	for _, c := range []struct {
		name      string
		startTime bool // take that of the stranger as well
		verb      []string
		survives  bool
	}{
		{"kill", false, []string{"kill", "security-pid", "KILL"}, true},
		{"delete", false, []string{"delete", "security-pid"}, true},
		{"delete by force", false, []string{"delete", "--force", "security-pid"}, true},
		{"kill with a forged time", true, []string{"kill", "security-pid", "KILL"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			bundle := drive.Bundle(t, nil)
			drive.OK(t, "create", "--bundle", bundle, "security-pid")
			defer drive.Run(t, "delete", "--force", "security-pid")
			// Start times are counted in ticks of 10 ms; a pid takes longer to
			// come round.
			time.Sleep(20 * time.Millisecond)
			stranger := drive.Start(t, "sleep", "1000")
			defer func() { _ = stranger.Process.Kill() }()
			forgeInit(t, "/run/mocker/security-pid/state.json", stranger.Process.Pid, c.startTime)
			r := drive.Run(t, c.verb...)
			t.Logf("exit %d: %s", r.Code, strings.TrimSpace(r.Stderr))
			var ws unix.WaitStatus
			drive.Eventually(t, "the stranger is as expected", func() bool {
				pid, err := unix.Wait4(stranger.Process.Pid, &ws, unix.WNOHANG, nil)
				return err == nil && (pid == 0) == c.survives
			})
			if c.survives && c.verb[0] == "kill" && (r.Code != 1 || !strings.Contains(r.Stderr, "not running")) {
				t.Errorf("kill: %v", r)
			}
		})
	}
}

// forgeInit puts a stranger into a state.json, and ends the container's
// process, which nobody would find any more.
func forgeInit(t *testing.T, path string, pid int, withTime bool) {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	var st map[string]any
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.UseNumber()
	must(t, decoder.Decode(&st))
	init := st["init"].(map[string]any)
	old, err := init["pid"].(json.Number).Int64()
	must(t, err)
	must(t, unix.Kill(int(old), unix.SIGKILL))
	init["pid"] = pid
	if withTime {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		must(t, err)
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		init["startTime"] = json.Number(fields[19])
	}
	data, err = json.Marshal(st)
	must(t, err)
	must(t, os.WriteFile(path, data, 0o600))
}
