package properties

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// scheduled prints a process's nice value, realtime priority and policy
// (proc_pid_stat(5), fields 19, 40 and 41). It forks nothing: what would be
// shown is a child.
var scheduled = []string{"cut", "-d", " ", "-f", "19,40,41", "/proc/self/stat"}

// policies are schedulers that need no realtime processor time, with what
// scheduled then prints.
var policies = []struct {
	name  string
	given specs.Scheduler
	want  string
}{
	{"other", specs.Scheduler{Policy: specs.SchedOther, Nice: -3}, "-3 0 0"},
	{"batch", specs.Scheduler{Policy: specs.SchedBatch, Nice: 5}, "5 0 3"},
	{"idle", specs.Scheduler{Policy: specs.SchedIdle}, "0 0 5"},
	{"reset on fork", specs.Scheduler{Policy: specs.SchedBatch, Nice: -2, Flags: []specs.LinuxSchedulerFlag{specs.SchedFlagResetOnFork}}, "-2 0 3"},
	{"deadline", specs.Scheduler{Policy: specs.SchedDeadline, Runtime: 1e6, Deadline: 1e7, Period: 1e7}, "0 0 6"},
}

// ordinary makes the process one without any rights.
func ordinary(p *specs.Process) {
	p.User, p.Capabilities = specs.User{UID: 1000, GID: 1000}, nil
}

func TestScheduler(t *testing.T) {
	drive.MockersOwn(t, "Debian's runtimes do not have it")
	joined := sleeps(t)
	for _, row := range policies {
		t.Run(row.name, func(t *testing.T) {
			set := func(p *specs.Process) { ordinary(p); p.Scheduler = &row.given }
			if got := inside(t, scheduled, func(s *specs.Spec) { set(s.Process) }); got != row.want {
				t.Errorf("run: %q, want %q", got, row.want)
			}
			if got := inside(t, scheduled, userNamespace, func(s *specs.Spec) { s.Process.Scheduler = &row.given }); got != row.want {
				t.Errorf("in a user namespace: %q, want %q", got, row.want)
			}
			if got := joined.exec(scheduled, set); got != row.want {
				t.Errorf("exec: %q, want %q", got, row.want)
			}
		})
	}
}

// TestSchedulerAfterFork: what must not pass to children does not; of these
// schedulers that is the nice value.
func TestSchedulerAfterFork(t *testing.T) {
	drive.MockersOwn(t, "Debian's runtimes do not have it")
	got := inside(t, sh(`cut -d " " -f 19,40,41 /proc/self/stat | cat`), func(s *specs.Spec) {
		s.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedBatch, Nice: -5, Flags: []specs.LinuxSchedulerFlag{specs.SchedFlagResetOnFork}}
	})
	if got != "0 0 3" {
		t.Errorf("a child has %q", got)
	}
}

// TestRealtime: with cgroup v1 a cgroup has no realtime processor time unless
// it is given some.
func TestRealtime(t *testing.T) {
	drive.MockersOwn(t, "Debian's runtimes do not have it")
	rr := func(s *specs.Spec) { s.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedRR, Priority: 7} }
	time := func(*specs.Spec) {}
	parent := "/sys/fs/cgroup/cpu/properties-realtime"
	if _, err := os.Stat("/sys/fs/cgroup/cpu/cpu.rt_runtime_us"); err == nil {
		r := newBox(t, rr).run()
		want := "process.scheduler: sched_setattr SCHED_RR: operation not permitted (it takes CAP_SYS_NICE, and on cgroup v1 a linux.resources.cpu.realtimeRuntime)"
		if r.Code != 1 || !strings.Contains(r.Stderr, want) {
			t.Errorf("without realtime: %v", r)
		}
		if err := os.Mkdir(parent, 0o755); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { // the container's is made in each hierarchy
			dirs, _ := filepath.Glob("/sys/fs/cgroup/*/properties-realtime")
			for _, dir := range dirs {
				_ = os.Remove(dir)
			}
		})
		if err := os.WriteFile(filepath.Join(parent, "cpu.rt_runtime_us"), []byte("20000"), 0); err != nil {
			t.Fatal(err)
		}
		runtime := int64(10000)
		time = func(s *specs.Spec) {
			s.Linux.CgroupsPath = "/properties-realtime/box"
			s.Linux.Resources.CPU = &specs.LinuxCPU{RealtimeRuntime: &runtime}
		}
	}
	if got := inside(t, scheduled, rr, time); got != "0 7 2" {
		t.Errorf("got %q", got)
	}
}

func TestIOPriority(t *testing.T) {
	drive.MockersOwn(t, "Debian's runtimes do not have it")
	for _, row := range []struct {
		given specs.LinuxIOPriority
		want  string
	}{
		{specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_RT, Priority: 1}, "realtime: prio 1"},
		{specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_BE, Priority: 7}, "best-effort: prio 7"},
		{specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_IDLE, Priority: 4}, "idle"},
	} {
		set := func(p *specs.Process) { ordinary(p); p.IOPriority = &row.given }
		command := sh("ionice -p $$")
		if got := inside(t, command, func(s *specs.Spec) { set(s.Process) }); got != row.want {
			t.Errorf("run: %q, want %q", got, row.want)
		}
		b := sleeps(t, userNamespace)
		if got := b.exec(command, func(p *specs.Process) { p.IOPriority = &row.given }); got != row.want {
			t.Errorf("exec in a user namespace: %q, want %q", got, row.want)
		}
	}
}

// userNamespace gives the container one.
func userNamespace(s *specs.Spec) {
	s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	s.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 65536}}
	s.Linux.GIDMappings = s.Linux.UIDMappings
}

func TestExecCPUAffinity(t *testing.T) {
	drive.MockersOwn(t, "Debian's runtimes do not have it")
	last := strconv.Itoa(runtime.NumCPU() - 1)
	allowed := []string{"sed", "-n", `s/Cpus_allowed_list:\t*//p`, "/proc/self/status"}
	b := sleeps(t, func(s *specs.Spec) { s.Process.ExecCPUAffinity = &specs.CPUAffinity{Initial: "0", Final: "0"} })
	everywhere := b.exec(allowed, func(p *specs.Process) { p.ExecCPUAffinity = nil })
	for _, row := range []struct {
		given specs.CPUAffinity
		want  string
	}{
		{specs.CPUAffinity{}, everywhere},
		{specs.CPUAffinity{Initial: last}, last},
		{specs.CPUAffinity{Final: last}, last},
		{specs.CPUAffinity{Initial: "0", Final: last}, last},
		{specs.CPUAffinity{Initial: last, Final: "0,8191"}, "0"},
	} {
		if got := b.exec(allowed, func(p *specs.Process) { p.ExecCPUAffinity = &row.given }); got != row.want {
			t.Errorf("%+v: %q, want %q", row.given, got, row.want)
		}
	}
	if got := drive.OK(t, append([]string{"exec", b.id}, allowed...)...); got != "0\n" {
		t.Errorf("from config.json: %q", got)
	}
	// Not that of the first process.
	if got := inside(t, allowed, func(s *specs.Spec) { s.Process.ExecCPUAffinity = &specs.CPUAffinity{Final: "0"} }); got != everywhere {
		t.Errorf("the first process has %q, want %q", got, everywhere)
	}
	r := b.tryExec(allowed, func(p *specs.Process) { p.ExecCPUAffinity = &specs.CPUAffinity{Final: "8191"} })
	want := "mocker: process.execCPUAffinity.final: sched_setaffinity: invalid argument (none of these processors is online and in the cgroup's cpuset)\n"
	if r.Code != 255 || r.Stderr != want {
		t.Errorf("a processor that is not there: %v", r)
	}
}

// TestPersonality: it is the container's, and so that of exec too.
func TestPersonality(t *testing.T) {
	crunToo(t)
	command := sh("cat /proc/self/personality; uname -m")
	names := map[string]string{"amd64": "i686", "arm64": "armv8l"}
	linux32 := func(s *specs.Spec) { s.Linux.Personality = &specs.LinuxPersonality{Domain: specs.PerLinux32} }
	want := "00000008\n" + names[runtime.GOARCH]
	if got := inside(t, command, linux32); got != want {
		t.Errorf("run: %q, want %q", got, want)
	}
	if got := sleeps(t, linux32).exec(command, nil); got != want {
		t.Errorf("exec: %q, want %q", got, want)
	}
	linux := func(s *specs.Spec) { s.Linux.Personality = &specs.LinuxPersonality{Domain: specs.PerLinux} }
	b := newBox(t, linux, func(s *specs.Spec) { s.Process.Args = sh("cat /proc/self/personality") })
	if r := drive.Exec(t, "setarch", "linux32", drive.Runtime(t), "run", "--bundle", b.bundle, b.id); r.Stdout != "00000000\n" {
		t.Errorf("LINUX, of a caller with LINUX32: %v", r)
	}
}

func TestMemoryPolicy(t *testing.T) {
	drive.MockersOwn(t, "Debian's runtimes do not have it")
	if _, err := os.Stat("/proc/self/numa_maps"); err != nil {
		t.Skip("the kernel has no NUMA")
	}
	command := sh(`sed -n 's/^[0-9a-f]* \([^ ]*\) .*stack.*/\1/p' /proc/self/numa_maps`)
	for _, row := range []struct {
		given specs.LinuxMemoryPolicy
		want  string
	}{
		{specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "0"}, "bind:0"},
		{specs.LinuxMemoryPolicy{Mode: specs.MpolInterleave, Nodes: "0", Flags: []specs.MemoryPolicyFlagType{specs.MpolFStaticNodes}}, "interleave=static:0"},
		{specs.LinuxMemoryPolicy{Mode: specs.MpolPreferred, Nodes: "0", Flags: []specs.MemoryPolicyFlagType{specs.MpolFRelativeNodes}}, "prefer=relative:0"},
		{specs.LinuxMemoryPolicy{Mode: specs.MpolLocal}, "local"},
		{specs.LinuxMemoryPolicy{Mode: specs.MpolDefault}, "default"},
	} {
		set := func(s *specs.Spec) { s.Linux.MemoryPolicy = &row.given }
		if got := inside(t, command, set); got != row.want {
			t.Errorf("%+v: %q, want %q", row.given, got, row.want)
		}
		if got := sleeps(t, set).exec(command, nil); got != row.want {
			t.Errorf("%+v, exec: %q, want %q", row.given, got, row.want)
		}
	}
	r := newBox(t, func(s *specs.Spec) {
		s.Linux.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "1000"}
	}).run()
	want := "linux.memoryPolicy: set_mempolicy MPOL_BIND: invalid argument (the machine has the nodes " + read(t, "/sys/devices/system/node/online") + ","
	if r.Code != 1 || !strings.Contains(r.Stderr, want) {
		t.Errorf("a node that is not there: %v", r)
	}
}
