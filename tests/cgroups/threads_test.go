package cgroups

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// threads is the argument with which this test binary only lives, with the
// threads that any Go program has.
const threads = "threads"

// TestThreads: a container that has spread the threads of a process over
// cgroups of its own can be looked into, joined, stopped, signalled and
// removed.
func TestThreads(t *testing.T) {
	needV2(t, "cpu")
	self, err := os.Executable()
	check(t, err)
	b := newBox(t, `cd /sys/fs/cgroup && mkdir threads threads/deep && echo threaded >threads/cgroup.type && echo threaded >threads/deep/cgroup.type || exit 1
		/threads threads & while set -- /proc/$!/task/* && [ $# -lt 2 ]; do sleep 0.1; done
		shift; for task; do echo ${task##*/} >threads/deep/cgroup.threads || exit 1; done; echo ready; wait`, namespace, func(s *specs.Spec) {
		s.Mounts = append(s.Mounts, specs.Mount{Destination: "/threads", Type: "bind", Source: self, Options: []string{"bind", "ro"}})
	}).run()
	drive.Eventually(t, "it has threads", func() bool { return strings.Contains(b.started.Output(), "ready") })
	if b.file("threads/deep/cgroup.threads") == "" {
		t.Fatalf("no thread is down there: %s", b.started.Errors())
	}
	if kind := b.file("cgroup.type"); kind != "domain threaded" {
		t.Fatalf("the cgroup is of type %q: %s", kind, b.started.Errors())
	}
	if got := b.prints("echo in"); got != "in\n" {
		t.Errorf("exec: %q", got)
	}
	if list := drive.OK(t, "ps", "--format", "json", b.id); strings.Count(list, ",") != 1 {
		t.Errorf("ps lists %s, want the shell and its child", list)
	}
	drive.OK(t, "pause", b.id)
	if got := b.file("cgroup.events"); !strings.Contains(got, "frozen 1") {
		t.Errorf("paused: %s", got)
	}
	drive.OK(t, "resume", b.id)
	drive.OK(t, "events", "--stats", b.id)
	drive.OK(t, "update", "--pids-limit", "50", b.id)
	if drive.Others() {
		drive.OK(t, "kill", b.id, "KILL")
	} else {
		drive.OK(t, "kill", "--all", b.id, "KILL")
	}
	drive.Eventually(t, "nobody is left", func() bool { return strings.Contains(b.file("cgroup.events"), "populated 0") })
	drive.OK(t, "delete", b.id)
	if exists(b.dir) {
		t.Errorf("%s is left", b.dir)
	}
}

// TestManager: a container that manages cgroups as systemd does moves its
// first process out of the way, and hands on its controllers; exec follows,
// and so does the end.
func TestManager(t *testing.T) {
	needV2(t, "cpu", "memory", "pids")
	b := newBox(t, `cd /sys/fs/cgroup && mkdir init work && echo $$ >init/cgroup.procs && echo +memory +pids +cpu >cgroup.subtree_control &&
		echo 20 >work/pids.max && echo managed; `+forever, namespace, resources(t, `{"pids":{"limit":77}}`)).run()
	drive.Eventually(t, "it manages", func() bool { return strings.Contains(b.started.Output(), "managed") })
	b.has(map[string]string{"work/pids.max": "20", "pids.max": "77", "cgroup.subtree_control": "cpu memory pids"})
	if got := b.prints("grep ^0 /proc/self/cgroup"); got != "0::/init\n" {
		t.Errorf("exec: %s", got)
	}
	if got := drive.OK(t, "exec", "--cgroup", "work", b.id, "grep", "^0", "/proc/self/cgroup"); got != "0::/work\n" {
		t.Errorf("exec --cgroup: %s", got)
	}
	drive.OK(t, "pause", b.id)
	drive.OK(t, "resume", b.id)
	drive.OK(t, "update", "--pids-limit", "78", b.id)
	if r := b.exec("echo 5 >/sys/fs/cgroup/pids.max"); r.Code == 0 {
		t.Error("it can change its own limits")
	}
	b.has(map[string]string{"pids.max": "78"})
	drive.OK(t, "delete", "--force", b.id)
}

// TestNested: mocker in a container of mocker's, once the container has made
// room at the top.
func TestNested(t *testing.T) {
	needV2(t, "memory", "pids")
	drive.MockersOwn(t, "it is mocker that runs inside")
	inner := newBox(t, "cat /proc/self/cgroup; cat /sys/fs/cgroup/pids.max", namespace, resources(t, `{"pids":{"limit":33}}`), inCgroup("/inner"))
	run := `mocker --root /tmp/mocker run --bundle /inner nested`
	b := newBox(t, fmt.Sprintf(`%s; mkdir /sys/fs/cgroup/init && echo $$ >/sys/fs/cgroup/init/cgroup.procs && %[1]s; ls -d /sys/fs/cgroup/inner`, run), namespace, privileged(drive.Mocker(t), inner.bundle))
	r := drive.Run(t, "run", "--bundle", b.bundle, b.id)
	refusal := "linux.resources.pids: the pids controller is not available in /sys/fs/cgroup/inner: /sys/fs/cgroup cannot hand it on while processes live in it, such as 1: move them"
	if r.Stdout != "0::/\n33\n" || !strings.Contains(r.Stderr, refusal) || !strings.Contains(r.Stderr, "ls: /sys/fs/cgroup/inner: No such file") {
		t.Errorf("%v\nwant 0::/, 33, and first %s", r, refusal)
	}
}

// TestFrozen: the freezer of v2, whoever used it: exec is refused, a signal
// waits, and SIGKILL ends all of it at once.
func TestFrozen(t *testing.T) {
	needV2(t)
	b := newBox(t, forever).run()
	drive.OK(t, "pause", b.id)
	b.has(map[string]string{"cgroup.freeze": "1"})
	if r := b.exec("true"); r.Code != 255 || !strings.Contains(r.Stderr, "cannot exec in a paused container") {
		t.Errorf("exec in a paused container: %v", r)
	}
	drive.OK(t, "resume", b.id)
	b.prints("true")
	write(t, b.parent+"/cgroup.freeze", "1")
	drive.Eventually(t, "it is frozen from above", func() bool { return strings.Contains(b.file("cgroup.events"), "frozen 1") })
	if r := b.exec("true"); !drive.Others() && !strings.Contains(r.Stderr, "cannot exec in a paused container") {
		t.Errorf("exec in a container that is frozen from above: %v", r)
	}
	drive.OK(t, "kill", b.id, "KILL")
	drive.Eventually(t, "it has ended", func() bool { return strings.Contains(b.file("cgroup.events"), "populated 0") })
	write(t, b.parent+"/cgroup.freeze", "0")
}
