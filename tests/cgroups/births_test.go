package cgroups

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// TestBirths: nobody is moved into a cgroup on v2, which takes the kernel
// milliseconds: neither the first process, nor hooks inside, nor exec.
func TestBirths(t *testing.T) {
	drive.MockersOwn(t, "runc writes to cgroup.procs")
	needV2(t)
	hook := specs.Hook{Path: "/bin/sh", Args: []string{"sh", "-c", "cat /proc/self/cgroup >&2; exit 0"}}
	b := newBox(t, forever, func(s *specs.Spec) {
		s.Hooks = &specs.Hooks{CreateContainer: []specs.Hook{hook}, StartContainer: []specs.Hook{hook}}
	})
	trace := filepath.Join(t.TempDir(), "trace")
	write := regexp.MustCompile(`cgroup\.(procs|threads).*O_(WRONLY|RDWR)|/tasks".*O_(WRONLY|RDWR)`)
	born := 0
	for _, args := range [][]string{
		{"create", "--bundle", b.bundle, b.id}, {"start", b.id}, {"exec", b.id, "true"}, {"exec", "--tty=false", b.id, "true"},
	} {
		call := append([]string{"-I", "1", "-f", "-s", "200", "-e", "trace=open,openat,openat2,clone3", "-o", trace, drive.Runtime(t)}, args...)
		strace := drive.Start(t, "strace", call...)
		if args[0] == "create" { // strace would wait for the container
			drive.Eventually(t, "it has been created, and mocker has ended", func() bool {
				return strings.Contains(drive.Run(t, "state", b.id).Stdout, `"status": "created"`) && !exists(fmt.Sprintf("/proc/%d", b.creator()))
			})
			check(t, strace.Process.Signal(syscall.SIGTERM))
		}
		if r := strace.Wait(); r.Code != 0 && args[0] != "create" {
			t.Fatalf("%v: %v", args, r)
		}
		data, err := os.ReadFile(trace)
		check(t, err)
		for line := range strings.Lines(string(data)) {
			if write.MatchString(line) {
				t.Errorf("%s: %s", args[0], line)
			}
			if strings.Contains(line, "CLONE_INTO_CGROUP") {
				born++
			}
		}
	}
	if born != 5 { // the first process, two hooks, two of exec
		t.Errorf("%d births into the cgroup, want 5", born)
	}
	for pid := range strings.FieldsSeq(b.file("cgroup.procs")) {
		if got := v2(read(t, "/proc/"+pid+"/cgroup")); got != "0::/"+b.id+"/box\n" {
			t.Errorf("process %s is in %s", pid, got)
		}
	}
}

// creator is the process that has made the container.
func (b *box) creator() int {
	b.Helper()
	places, _ := filepath.Glob("/run/*/" + b.id + "/state.json")
	if len(places) != 1 {
		b.Fatalf("the state is in %q", places)
	}
	var st struct{ Creator struct{ PID int } }
	check(b, json.Unmarshal([]byte(read(b, places[0])), &st))
	return st.Creator.PID
}

// TestHooksLimited: what runs inside counts for the container's limits.
func TestHooksLimited(t *testing.T) {
	needV2(t, "pids")
	file := filepath.Join(t.TempDir(), "cgroup")
	b := newBox(t, "true", noNamespace, func(s *specs.Spec) {
		hook := specs.Hook{Path: "/bin/sh", Args: []string{"sh", "-c", "cat /proc/self/cgroup >" + file}}
		s.Hooks = &specs.Hooks{CreateContainer: []specs.Hook{hook}}
	})
	drive.OK(t, "create", "--bundle", b.bundle, b.id)
	if got := read(t, file); !drive.Others() && got != "0::/"+b.id+"/box" {
		t.Errorf("the hook was in %s", got)
	}
}

// TestFull: who cannot be born for want of room is told so.
func TestFull(t *testing.T) {
	drive.MockersOwn(t, "runc moves a process in, for which there is no limit")
	needV2(t, "pids")
	b := newBox(t, "sleep 1000", resources(t, `{"pids":{"limit":0}}`), func(s *specs.Spec) { s.Version = "1.3.0" }).run()
	if r := b.exec("true"); r.Code != 255 || !strings.Contains(r.Stderr, "birth: clone3 into the cgroup: resource temporarily unavailable: a limit of processes is reached (pids.max") {
		t.Error(r)
	}
	drive.OK(t, "update", "--pids-limit", "3", b.id)
	if r := b.exec("true"); r.Code != 0 {
		t.Errorf("with room for it and for who brings it in: %v", r)
	}
}
