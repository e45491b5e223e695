package trace

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/drive"
)

func TestMain(m *testing.M) { drive.Main(m) }

// creating are the steps of a create, in their order.
var creating = strings.Split("read config.json,resolve config.json,reserve,make bundle,notify socket,class of service,cgroup,"+
	"birth,clone3,attach to cgroup,namespaces,network devices,delegate cgroup,session keyring,rootfs,hooks,change root,console,"+
	"host name,sysctl,protect paths,find program,confine,prepare process,pidfd socket,save,let go,tidy", ",")

var (
	starting = strings.Split("seal for hooks,lock,load state,startContainer hooks,open gate,poststart hooks", ",")
	joining  = strings.Split("read config.json,load state,load filter,cgroup,join,clone3,attach to cgroup,namespaces,session keyring,"+
		"console,find program,confine,catch signals,become program,report,tidy", ",")
	updating = strings.Split("lock,load state,set limits,class of service,save", ",")
	deleting = strings.Split("stop hooks,lock,load state,end process,remove cgroup,remove class of service,poststop hooks,unmount,remove bundle,remove state", ",")
)

// box is a container whose commands are traced.
type box struct {
	t      *testing.T
	bundle string
	id     string
}

func newBox(t *testing.T, edit func(*specs.Spec)) box {
	t.Helper()
	drive.MockersOwn(t, "only mocker writes traces")
	b := box{t, drive.Bundle(t, edit), fmt.Sprintf("trace-%d-%s", os.Getpid(), strings.ToLower(filepath.Base(t.Name())))}
	t.Cleanup(func() { drive.Run(t, "delete", "--force", b.id) })
	return b
}

// traced runs a command with a trace, and checks what all traces have in
// common.
func (b box) traced(args ...string) (drive.Result, []drive.Event) {
	b.t.Helper()
	file := filepath.Join(b.t.TempDir(), "trace.json")
	// That there was something before is no reason to keep it.
	if err := os.WriteFile(file, []byte(strings.Repeat("old", 1<<20)), 0o644); err != nil {
		b.t.Fatal(err)
	}
	r := drive.Run(b.t, append([]string{"--trace", file}, args...)...)
	list := drive.ReadTrace(b.t, file)
	if verbs := drive.Of(list, "verb"); len(verbs) != 1 || verbs[0].Name != "mocker "+args[0] || verbs[0].Dur <= 0 {
		b.t.Errorf("want the command once: %+v", verbs)
	}
	nested(b.t, list)
	return r, list
}

// ok is traced of what has to succeed.
func (b box) ok(args ...string) []drive.Event {
	b.t.Helper()
	r, list := b.traced(args...)
	if r.Code != 0 {
		b.t.Fatalf("%s: %v", strings.Join(args, " "), r)
	}
	for _, e := range list {
		if e.Args.Error != "" && e.Cat != "call" {
			b.t.Errorf("%s failed: %s", e.Name, e.Args.Error)
		}
	}
	return list
}

func (b box) create() []drive.Event {
	b.t.Helper()
	return b.ok("create", "--bundle", b.bundle, b.id)
}

// nested makes sure that what one lane shows can be drawn: of two events, the
// one ends before the other begins, or lies within it.
func nested(t *testing.T, list []drive.Event) {
	t.Helper()
	named := map[int]bool{}
	open := map[int][]drive.Event{}
	for _, e := range list {
		if e.Ph == "M" {
			named[e.Pid] = named[e.Pid] || e.Name == "thread_name" && e.Args.Name != ""
			continue
		}
		if e.Pid != e.Tid || !named[e.Pid] {
			t.Errorf("%s is in a lane without a name: %d, %d", e.Name, e.Pid, e.Tid)
		}
		const grain = 0.0005 // less than the nanosecond that times have
		around := open[e.Pid]
		for len(around) > 0 && around[len(around)-1].End() <= e.Ts+grain {
			around = around[:len(around)-1]
		}
		if len(around) > 0 && e.End() > around[len(around)-1].End()+grain {
			t.Errorf("%s lasts from %f to %f, longer than what is around it: %+v", e.Name, e.Ts, e.End(), around[len(around)-1])
		}
		open[e.Pid] = append(around, e)
	}
}

func names(list []drive.Event) []string {
	var all []string
	for _, e := range list {
		all = append(all, e.Name)
	}
	return all
}

// callsIn are the calls during a step.
func callsIn(t *testing.T, list []drive.Event, step string) []string {
	t.Helper()
	i := slices.IndexFunc(list, func(e drive.Event) bool { return e.Cat == "step" && e.Name == step })
	if i < 0 {
		t.Fatalf("no step %q in %q", step, names(drive.Of(list, "step")))
	}
	var calls []string
	for _, e := range drive.Of(list, "call") {
		if e.Ts >= list[i].Ts && e.Ts <= list[i].End() {
			calls = append(calls, e.Name)
		}
	}
	return calls
}

// wantSteps compares the steps with a list of them.
func wantSteps(t *testing.T, list []drive.Event, want ...[]string) {
	t.Helper()
	if got, want := names(drive.Of(list, "step")), slices.Concat(want...); !slices.Equal(got, want) {
		t.Errorf("steps\n%q, want\n%q", got, want)
	}
}

// TestCreate: every step is there, in order, with the calls of each.
func TestCreate(t *testing.T) {
	b := newBox(t, func(s *specs.Spec) {
		s.Process.Args = []string{"/bin/true"}
		s.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/true"}}}
	})
	list := b.create()
	wantSteps(t, list, creating)
	for step, call := range map[string]string{
		"birth": "setsid", "rootfs": "move_mount", "change root": "pivot_root", "host name": "sethostname",
		"protect paths": "mount_setattr", "find program": "open", "prepare process": "munmap",
	} {
		if calls := callsIn(t, list, step); !slices.Contains(calls, call) {
			t.Errorf("%s: no %s among %q", step, call, calls)
		}
	}
	within := 0
	for _, step := range creating {
		if step != "clone3" {
			within += len(callsIn(t, list, step))
		}
	}
	calls := drive.Of(list, "call")
	if within != len(calls) || len(calls) < 100 {
		t.Errorf("%d calls, %d of them in a step", len(calls), within)
	}
	for _, e := range calls {
		if e.Args.Untimed || e.Pid == list[0].Pid {
			t.Errorf("not timed, or not inside: %+v", e)
		}
	}
	if hooks := names(drive.Of(list, "hook")); !slices.Equal(hooks, []string{"createRuntime /bin/true"}) {
		t.Errorf("hooks %q", hooks)
	}
	last := drive.Of(list, "last program")
	if len(last) != 1 || !slices.Contains(last[0].Args.Calls, "exec /bin/true") || last[0].Args.Calls[1] != "ppoll" {
		t.Errorf("last program: %+v", last)
	}
}

// TestLife: the other commands.
func TestLife(t *testing.T) {
	b := newBox(t, func(s *specs.Spec) {
		s.Process.Args = []string{"sleep", "1000"}
		s.Hooks = &specs.Hooks{
			StartContainer: []specs.Hook{{Path: "/bin/true"}},
			Poststart:      []specs.Hook{{Path: "/bin/true"}, {Path: "/bin/true"}},
			Poststop:       []specs.Hook{{Path: "/bin/true"}},
		}
	})
	created := b.create()
	start := b.ok("start", b.id)
	wantSteps(t, start, starting[:4], []string{"clone3", "attach to cgroup", "namespaces"}, starting[4:])
	if hooks := names(drive.Of(start, "hook")); !slices.Equal(hooks, []string{"startContainer /bin/true", "poststart /bin/true", "poststart /bin/true"}) {
		t.Errorf("hooks %q", hooks)
	}
	if was, is := drive.Of(created, "last program"), drive.Of(start, "last program"); len(is) != 1 || was[0].Pid != is[0].Pid || !slices.Equal(was[0].Args.Calls, is[0].Args.Calls) {
		t.Errorf("the last program was %+v and is %+v", was, is)
	}

	exec := b.ok("exec", b.id, "true")
	wantSteps(t, exec, joining)
	calls := callsIn(t, exec, "become program")
	if n := len(calls); n == 0 || calls[n-1] != "exec" || !slices.Contains(calls, "clone") {
		t.Errorf("calls of the one that becomes the program: %q", calls)
	}
	if r, list := b.traced("exec", b.id, "false"); r.Code != 1 || drive.Of(list, "verb")[0].Args.Error != "" {
		t.Errorf("the status of a program is no error of mocker's: %v, %+v", r, drive.Of(list, "verb"))
	}

	wantSteps(t, b.ok("update", "--cpu-share", "500", b.id), updating)

	list := b.ok("delete", "--force", b.id)
	wantSteps(t, list, deleting)
	if hooks := names(drive.Of(list, "hook")); !slices.Equal(hooks, []string{"poststop /bin/true"}) {
		t.Errorf("hooks %q", hooks)
	}
}

// TestRun: create, start and delete are in one trace.
func TestRun(t *testing.T) {
	b := newBox(t, nil)
	list := b.ok("run", "--bundle", b.bundle, b.id)
	wantSteps(t, list, []string{"catch signals"}, creating[:len(creating)-1], []string{"start and wait"}, starting, deleting, []string{"tidy"})
}

// TestFailure: what failed says so, and what is around it.
func TestFailure(t *testing.T) {
	b := newBox(t, func(s *specs.Spec) {
		s.Mounts = append(s.Mounts, specs.Mount{Destination: "/mnt", Type: "tmpfs", Source: "tmpfs", Options: []string{"size=much"}})
	})
	r, list := b.traced("create", "--bundle", b.bundle, b.id)
	if r.Code != 1 {
		t.Fatal(r)
	}
	steps, calls := drive.Of(list, "step"), drive.Of(list, "call")
	i := slices.IndexFunc(steps, func(e drive.Event) bool { return e.Args.Error != "" })
	if i < 0 || steps[i].Name != "rootfs" || !strings.Contains(r.Stderr, steps[i].Args.Error) {
		t.Fatalf("no error of rootfs in %+v", steps)
	}
	if err := drive.Of(list, "verb")[0].Args.Error; err == "" || !strings.Contains(r.Stderr, err) {
		t.Errorf("the error of the command is %q, and %v", err, r)
	}
	last := calls[len(calls)-1]
	if last.Name != "fsconfig" || last.Args.Errno != "EINVAL" || last.Args.Error == "" {
		t.Errorf("the last call is %+v", last)
	}
	if done := names(steps[i+1:]); !slices.Equal(done, append(deleting[4:10:10], "tidy")) {
		t.Errorf("what followed is %q, want the undoing", done)
	}
}

// TestFilters: where a filter is loaded before the end, the clock is not looked
// at any more: the filter ends who does.
func TestFilters(t *testing.T) {
	b := newBox(t, func(s *specs.Spec) {
		s.Process.Args = []string{"sleep", "1000"}
		s.Process.NoNewPrivileges = false // so that exec loads it early
		s.Linux.Seccomp = &specs.LinuxSeccomp{
			DefaultAction: specs.ActAllow,
			Syscalls:      []specs.LinuxSyscall{{Names: []string{"clock_gettime"}, Action: specs.ActKillProcess}},
		}
	})
	b.create()
	b.ok("start", b.id)
	calls := drive.Of(b.ok("exec", b.id, "true"), "call")
	loaded := slices.IndexFunc(calls, func(e drive.Event) bool { return e.Name == "seccomp" })
	if loaded < 0 || loaded == len(calls)-1 {
		t.Fatalf("the filter is not loaded early: %q", names(calls))
	}
	for i, e := range calls {
		if e.Args.Untimed != (i >= loaded) {
			t.Errorf("call %d of %d, %s: untimed is %t, and the filter is call %d", i, len(calls), e.Name, e.Args.Untimed, loaded)
		}
	}
}

// TestTimeNamespace: the copy that goes on in another time namespace, whose
// clocks are off by days, has a lane of its own, and its times fit to the
// others.
func TestTimeNamespace(t *testing.T) {
	b := newBox(t, func(s *specs.Spec) {
		s.Version = "1.1.0"
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.TimeNamespace})
		s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"monotonic": {Secs: 1e6}, "boottime": {Secs: 1e6}}
	})
	calls, pids := drive.Of(b.create(), "call"), map[int]bool{}
	for _, e := range calls {
		pids[e.Pid] = true
		if e.Args.Untimed {
			t.Errorf("not timed: %+v", e)
		}
	}
	if len(pids) != 2 || !slices.Contains(names(calls), "hand over") {
		t.Errorf("calls of %v, want a child and its copy: %q", pids, names(calls))
	}
}

// TestLines: an object a line.
func TestLines(t *testing.T) {
	b := newBox(t, nil)
	file := filepath.Join(t.TempDir(), "trace")
	drive.OK(t, "--trace="+file, "--trace-format=jsonl", "create", "--bundle", b.bundle, b.id)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(data)) {
		var e drive.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Name == "" {
			t.Errorf("%v: %s", err, line)
		}
		n++
	}
	if n < 100 {
		t.Errorf("%d lines", n)
	}
}

// TestNoFile: a trace that cannot be written is found out before anything is
// made, and without the flag none is.
func TestNoFile(t *testing.T) {
	b := newBox(t, nil)
	before := drive.TakeSnapshot(t)
	missing := filepath.Join(t.TempDir(), "none/trace")
	r := drive.Run(t, "--trace", missing, "create", "--bundle", b.bundle, b.id)
	if want := "mocker: --trace " + missing + ": no such file or directory\n"; r.Code != 1 || r.Stderr != want {
		t.Errorf("%v\nwant %s", r, want)
	}
	before.Unchanged(t)

	t.Chdir(t.TempDir())
	drive.OK(t, "create", "--bundle", b.bundle, b.id)
	drive.OK(t, "delete", b.id)
	if files, err := os.ReadDir("."); err != nil || len(files) != 0 {
		t.Errorf("%v, %v", files, err)
	}
	before.Unchanged(t)
}
