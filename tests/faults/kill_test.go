package faults

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/drive"
)

var points = flag.Int("points", 30, "number of points at which each command is killed; 0: every one, -short: no more than 2")

func TestMain(m *testing.M) { drive.Main(m) }

// id names the container, its cgroup and its keyring in all tests here.
const id = "faults-box"

// faultBundle is a bundle with limits, whose prestart hook makes a file that
// its poststop hook removes, and the machine before anything was done with it.
func faultBundle(t *testing.T) (bundle string, before machine) {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir()) // what mocker leaves for temporary files can only be there
	mark := filepath.Join(t.TempDir(), "made-by-prestart")
	bundle = drive.Bundle(t, func(s *specs.Spec) {
		s.Process.Args = []string{"sleep", "1000"}
		limit, pids := int64(1<<28), int64(64)
		s.Linux.CgroupsPath = "/" + id
		s.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &limit}
		s.Linux.Resources.Pids = &specs.LinuxPids{Limit: &pids}
		s.Hooks = &specs.Hooks{
			Prestart: []specs.Hook{hook("echo made >" + mark)}, //nolint:staticcheck // deprecated, and what engines use
			Poststop: []specs.Hook{hook("rm -f " + mark)},
		}
	})
	t.Cleanup(func() { drive.Run(t, "delete", "--force", id) }) // of a test that failed
	return bundle, machine{look(t), mark}
}

func hook(script string) specs.Hook {
	return specs.Hook{Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin"}}
}

// spread are numbers from 1 to total, evenly.
func spread(total int) []int {
	step := 1
	if *points > 0 {
		step = max(1, total/drive.Rounds(*points, min(*points, 2)))
	}
	var list []int
	for n := 1; n <= total; n += step {
		list = append(list, n)
	}
	return list
}

// machine is what a test has to leave as it was.
type machine struct {
	seen []string
	mark string // file that a prestart hook makes and a poststop hook removes
}

// look is drive.TakeSnapshot without the cgroups and keyrings of others, who
// may come and go on a machine that is not the tests' alone.
func look(t *testing.T) []string {
	t.Helper()
	return slices.DeleteFunc(drive.TakeSnapshot(t), func(line string) bool {
		return (strings.HasPrefix(line, "cgroup ") || strings.HasPrefix(line, "key ")) && !strings.Contains(line, id)
	})
}

// reap waits for the containers that the test has inherited: a zombie keeps
// its keyring.
func reap(t *testing.T) {
	t.Helper()
	drive.Eventually(t, "all children of the test have ended", func() bool {
		for _, pid := range drive.Children(t, os.Getpid()) {
			_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
		}
		return len(drive.Children(t, os.Getpid())) == 0
	})
}

// untouched says what has changed. The kernel takes its time for the end of a
// namespace or a key.
func (m machine) untouched(t *testing.T) {
	t.Helper()
	reap(t)
	if _, err := os.Stat(m.mark); err == nil {
		t.Errorf("%s is there: no poststop hook has run", m.mark)
		os.Remove(m.mark)
	}
	var diff []string
	for end := time.Now().Add(drive.Patience(3 * time.Second)); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		now := look(t)
		diff = nil
		for _, l := range m.seen {
			// Of an earlier test, or of one beside this: keys are the whole machine's.
			if !slices.Contains(now, l) && !strings.HasPrefix(l, "key ") {
				diff = append(diff, "- "+l)
			}
		}
		for _, l := range now {
			if !slices.Contains(m.seen, l) {
				diff = append(diff, "+ "+l)
			}
		}
		if diff == nil {
			return
		}
	}
	t.Errorf("the machine has changed:\n%s", strings.Join(diff, "\n"))
}

// cleaned deletes the container by force; afterwards nothing is left.
func (m machine) cleaned(t *testing.T) {
	t.Helper()
	r := drive.Run(t, "delete", "--force", id)
	if r.Code != 0 || r.Stderr != "" || r.Took > drive.Patience(5*time.Second) {
		t.Errorf("delete --force after %v: %v", r.Took, r)
	}
	m.untouched(t)
}

// TestCreateKilled: whatever a killed create has made, delete --force removes.
func TestCreateKilled(t *testing.T) {
	bundle, before := faultBundle(t)
	createKilled(t, bundle, before)
}

// TestJoiningCreateKilled is the same where the process goes on as a copy:
// into a pid namespace that it joins at the end, or into a new one that a new
// user namespace owns, with a namespace of the host's joined before.
func TestJoiningCreateKilled(t *testing.T) {
	own := func(name string) string { return fmt.Sprintf("/proc/%d/ns/%s", os.Getpid(), name) }
	for name, edit := range map[string]func(*specs.Spec){
		"pid joined": func(s *specs.Spec) {
			s.Linux.Namespaces = []specs.LinuxNamespace{{Type: specs.MountNamespace}, {Type: specs.UTSNamespace}, {Type: specs.PIDNamespace, Path: own("pid")}}
			for i, m := range s.Mounts {
				if m.Type == "proc" { // a new one takes Linux 6.17
					s.Mounts[i] = specs.Mount{Type: "bind", Source: "/proc", Destination: "/proc", Options: []string{"rbind"}}
				}
			}
		},
		"user new": func(s *specs.Spec) {
			s.Mounts = slices.DeleteFunc(s.Mounts, func(m specs.Mount) bool { return m.Type == "sysfs" || m.Type == "cgroup" })
			s.Linux.Namespaces = []specs.LinuxNamespace{
				{Type: specs.MountNamespace}, {Type: specs.UTSNamespace}, {Type: specs.IPCNamespace}, {Type: specs.PIDNamespace},
				{Type: specs.UserNamespace}, {Type: specs.NetworkNamespace, Path: own("net")},
			}
			s.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 65536}}
			s.Linux.GIDMappings = s.Linux.UIDMappings
		},
	} {
		t.Run(name, func(t *testing.T) {
			bundle, before := faultBundle(t)
			drive.Edit(t, bundle, edit)
			createKilled(t, bundle, before)
		})
	}
}

func createKilled(t *testing.T, bundle string, before machine) {
	t.Helper()
	whole := trace(t, nobody, 0, "create", "--bundle", bundle, id)
	if whole.Code != 0 {
		t.Fatal(whole)
	}
	before.cleaned(t)
	for _, who := range []victim{mocker, inside} {
		killed := 0
		list := spread(whole.Stops[who])
		for _, n := range list {
			res := trace(t, who, n, "create", "--bundle", bundle, id)
			if res.Killed {
				killed++
			}
			if who == inside && res.Code != 0 {
				// The create is alive: it has to say so and to clean up.
				if !strings.HasPrefix(res.Stderr, "mocker: ") || res.Took > whole.Took+drive.Patience(3*time.Second) {
					t.Errorf("after %v: %v", res.Took, res.Result)
				}
				before.untouched(t)
			} else {
				truthful(t)
				before.cleaned(t)
			}
			if t.Failed() {
				t.Fatalf("with %s killed at stop %d of %d: %v", who, n, whole.Stops[who], res)
			}
		}
		if killed < len(list)/2 {
			t.Errorf("%s was killed only %d times of %d: the test does not what it says", who, killed, len(list))
		}
	}
}

// TestStartKilled: a container whose start was killed is created or running,
// and says so.
func TestStartKilled(t *testing.T) {
	bundle, before := faultBundle(t)
	drive.OK(t, "create", "--bundle", bundle, id)
	whole := trace(t, nobody, 0, "start", id)
	if whole.Code != 0 {
		t.Fatal(whole)
	}
	before.cleaned(t)
	for _, n := range spread(whole.Stops[mocker]) {
		drive.OK(t, "create", "--bundle", bundle, id)
		res := trace(t, mocker, n, "start", id)
		truthful(t)
		before.cleaned(t)
		if t.Failed() {
			t.Fatalf("killed at stop %d of %d: %v", n, whole.Stops[mocker], res)
		}
	}
}

// TestDeleteKilled: a delete that was killed can be repeated.
func TestDeleteKilled(t *testing.T) {
	bundle, before := faultBundle(t)
	drive.OK(t, "run", "--detach", "--bundle", bundle, id)
	whole := trace(t, nobody, 0, "delete", "--force", id)
	if whole.Code != 0 {
		t.Fatal(whole)
	}
	before.untouched(t)
	for _, n := range spread(whole.Stops[mocker]) {
		drive.OK(t, "run", "--detach", "--bundle", bundle, id)
		res := trace(t, mocker, n, "delete", "--force", id)
		truthful(t)
		before.cleaned(t)
		if t.Failed() {
			t.Fatalf("killed at stop %d of %d: %v", n, whole.Stops[mocker], res)
		}
	}
}

// truthful asks for the state, alone and in the list, and compares it with
// what the process in the container does.
func truthful(t *testing.T) {
	t.Helper()
	var r drive.Result
	defer func() {
		if t.Failed() {
			t.Log(r)
		}
	}()
	drive.Eventually(t, "state and process agree", func() bool {
		r = drive.Run(t, "state", id)
		if r.Code != 0 {
			if !strings.Contains(r.Stderr, "does not exist") {
				t.Fatalf("state: %v", r)
			}
			return true
		}
		var st struct {
			Status string
			Pid    int
		}
		if err := json.Unmarshal([]byte(r.Stdout), &st); err != nil {
			t.Fatalf("state: %v: %v", err, r)
		}
		if list := drive.OK(t, "list"); !strings.Contains(list, id) || !strings.Contains(list, st.Status) {
			return false // on its way
		}
		comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", st.Pid))
		switch st.Status {
		case "stopped":
			return st.Pid == 0
		case "running":
			return strings.HasPrefix(string(comm), "sleep")
		case "created":
			return strings.HasPrefix(string(comm), "mocker")
		}
		return false
	})
}
