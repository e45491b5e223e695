package properties

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/coverage"
	"github.com/mocker-runtime/mocker/tests/drive"
)

// scheduled prints a process's nice value, realtime priority and policy
// (proc_pid_stat(5), fields 19, 40 and 41). It forks nothing: what would be
// shown is a child.
var scheduled = []string{"cut", "-d", " ", "-f", "19,40,41", "/proc/self/stat"}

// TestSchedulerAttributes: what the kernel says of a container's process, and of
// one that joins it, is all that config.json gives (sched_getattr(2)).
func TestSchedulerAttributes(t *testing.T) {
	drive.MockersOwn(t, "Debian's runtimes do not have it")
	nice := ownNice(t)
	for _, row := range []struct {
		given specs.Scheduler
		want  unix.SchedAttr
		shows []string
	}{
		{specs.Scheduler{Policy: specs.SchedOther, Nice: -3}, unix.SchedAttr{Policy: unix.SCHED_NORMAL, Nice: -3}, []string{"policy", "policy=SCHED_OTHER", "nice"}},
		{specs.Scheduler{Policy: specs.SchedBatch, Flags: []specs.LinuxSchedulerFlag{specs.SchedFlagResetOnFork}},
			unix.SchedAttr{Policy: unix.SCHED_BATCH, Flags: unix.SCHED_FLAG_RESET_ON_FORK}, []string{"policy=SCHED_BATCH", "flags", "flags=SCHED_FLAG_RESET_ON_FORK"}},
		{specs.Scheduler{Policy: specs.SchedIdle}, unix.SchedAttr{Policy: unix.SCHED_IDLE, Nice: nice}, []string{"policy=SCHED_IDLE"}},
		// Enough runtime for an execve under an emulator: whoever overruns it gets a SIGXCPU.
		{specs.Scheduler{Policy: specs.SchedDeadline, Runtime: 2e8, Deadline: 3e8, Period: 5e8, Flags: []specs.LinuxSchedulerFlag{specs.SchedFlagReclaim, specs.SchedFlagDLOverrun}},
			unix.SchedAttr{Policy: unix.SCHED_DEADLINE, Runtime: 2e8, Deadline: 3e8, Period: 5e8, Flags: unix.SCHED_FLAG_RECLAIM | unix.SCHED_FLAG_DL_OVERRUN},
			[]string{"policy=SCHED_DEADLINE", "runtime", "deadline", "period", "flags=SCHED_FLAG_RECLAIM", "flags=SCHED_FLAG_DL_OVERRUN"}},
		// The process has SCHED_OTHER from who calls the runtime, and what that is nice.
		{specs.Scheduler{Policy: specs.SchedBatch, Nice: 4, Flags: []specs.LinuxSchedulerFlag{specs.SchedFlagKeepPolicy}},
			unix.SchedAttr{Policy: unix.SCHED_NORMAL, Nice: 4}, []string{"flags=SCHED_FLAG_KEEP_POLICY"}},
		{specs.Scheduler{Policy: specs.SchedOther, Nice: 4, Flags: []specs.LinuxSchedulerFlag{specs.SchedFlagKeepParams}},
			unix.SchedAttr{Policy: unix.SCHED_NORMAL, Nice: nice}, []string{"flags=SCHED_FLAG_KEEP_PARAMS"}},
	} {
		t.Run(fmt.Sprintf("%+v", row.given), func(t *testing.T) {
			for _, name := range row.shows {
				coverage.Shows(t, "process.scheduler."+name)
			}
			b := newBox(t, func(s *specs.Spec) {
				s.Process.Args = []string{"sleep", "1000"}
				s.Process.Scheduler = &row.given
			})
			drive.OK(t, "run", "--detach", "--bundle", b.bundle, "--pid-file", b.bundle+"/pid", b.id)
			attributes(t, b.bundle+"/pid", row.want)
			// The process of exec is one with the container's at once.
			file := filepath.Join(t.TempDir(), "pid")
			p := drive.ReadConfig(t, b.bundle).Process
			if r := b.detach(p, file); r.Code != 0 {
				t.Fatal(r)
			}
			attributes(t, file, row.want)
			end(t, file)
		})
	}
}

// ownNice is the nice value of the tests, and so of what says nothing about it.
func ownNice(t *testing.T) int32 {
	t.Helper()
	raw, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		t.Fatal(err)
	}
	return int32(20 - raw)
}

// attributes checks the scheduler of the process whose pid is in a file.
func attributes(t *testing.T, file string, want unix.SchedAttr) {
	t.Helper()
	pid, err := strconv.Atoi(read(t, file))
	if err != nil {
		t.Fatal(err)
	}
	got, err := unix.SchedGetAttr(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	got.Size, got.Util_min, got.Util_max = 0, 0, 0
	if want.Policy == unix.SCHED_DEADLINE {
		got.Nice = 0
	} else {
		got.Runtime = 0 // the slice of EEVDF since Linux 6.12
	}
	if *got != want {
		t.Errorf("%s: got %+v, want %+v", file, *got, want)
	}
}

// TestSchedulerClamps: a kernel that can clamp takes the flags, another one is
// an error that says so.
func TestSchedulerClamps(t *testing.T) {
	drive.MockersOwn(t, "Debian's runtimes do not have it")
	for _, flag := range []specs.LinuxSchedulerFlag{specs.SchedFlagUtilClampMin, specs.SchedFlagUtilClampMax} {
		r := newBox(t, func(s *specs.Spec) {
			s.Process.Args = []string{"true"}
			s.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedOther, Flags: []specs.LinuxSchedulerFlag{flag}}
		}).run()
		if _, err := os.Stat("/proc/sys/kernel/sched_util_clamp_min"); err == nil {
			if r.Code != 0 {
				t.Errorf("%s: %v", flag, r)
			}
			coverage.Shows(t, "process.scheduler.flags="+string(flag))
			continue
		}
		const want = "mocker: process.scheduler.flags: the kernel has no utilization clamping (CONFIG_UCLAMP_TASK)\n"
		if r.Code != 1 || !strings.Contains(r.Stderr, want) {
			t.Errorf("%s: %v", flag, r)
		}
	}
}

// policies are schedulers that need no realtime processor time, with what
// scheduled then prints; NICE is what the tests have.
var policies = []struct {
	name  string
	given specs.Scheduler
	want  string
}{
	{"other", specs.Scheduler{Policy: specs.SchedOther, Nice: -3}, "-3 0 0"},
	{"batch", specs.Scheduler{Policy: specs.SchedBatch, Nice: 5}, "5 0 3"},
	{"idle", specs.Scheduler{Policy: specs.SchedIdle}, "NICE 0 5"},
	{"reset on fork", specs.Scheduler{Policy: specs.SchedBatch, Nice: -2, Flags: []specs.LinuxSchedulerFlag{specs.SchedFlagResetOnFork}}, "-2 0 3"},
	{"deadline", specs.Scheduler{Policy: specs.SchedDeadline, Runtime: 1e6, Deadline: 1e7, Period: 1e7}, "NICE 0 6"},
}

// ordinary makes the process one without any rights.
func ordinary(p *specs.Process) {
	p.User, p.Capabilities = specs.User{UID: 1000, GID: 1000}, nil
}

func TestScheduler(t *testing.T) {
	drive.MockersOwn(t, "Debian's runtimes do not have it")
	joined := sleeps(t)
	for _, row := range policies {
		row.want = strings.Replace(row.want, "NICE", fmt.Sprint(ownNice(t)), 1)
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
	coverage.Shows(t, "process.scheduler.priority", "process.scheduler.policy=SCHED_RR", "process.scheduler.policy=SCHED_FIFO")
	rr := func(s *specs.Spec) { s.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedRR, Priority: 7} }
	fifo := func(s *specs.Spec) { s.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedFIFO, Priority: 3} }
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
		coverage.Shows(t, "linux.resources.cpu.realtimeRuntime")
		runtime := int64(10000)
		time = func(s *specs.Spec) {
			s.Linux.CgroupsPath = "/properties-realtime/box"
			s.Linux.Resources.CPU = &specs.LinuxCPU{RealtimeRuntime: &runtime}
		}
	}
	nice := fmt.Sprint(ownNice(t))
	if got := inside(t, scheduled, rr, time); got != nice+" 7 2" {
		t.Errorf("got %q", got)
	}
	if got := inside(t, scheduled, fifo, time); got != nice+" 3 1" {
		t.Errorf("got %q", got)
	}
}

func TestIOPriority(t *testing.T) {
	drive.MockersOwn(t, "Debian's runtimes do not have it")
	coverage.Shows(t, "process.ioPriority", "process.ioPriority.class=IOPRIO_CLASS_RT", "process.ioPriority.class=IOPRIO_CLASS_BE",
		"process.ioPriority.class=IOPRIO_CLASS_IDLE")
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
	coverage.Shows(t, "process.execCPUAffinity.final")
	everywhere := b.exec(allowed, func(p *specs.Process) { p.ExecCPUAffinity = nil })
	left := last // of initial, which kernels before 6.2 forget in another cgroup
	switch {
	case olderThan(t, 6, 2):
		left = everywhere
	case last != everywhere:
		coverage.Shows(t, "process.execCPUAffinity.initial")
	}
	for _, row := range []struct {
		given specs.CPUAffinity
		want  string
	}{
		{specs.CPUAffinity{}, everywhere},
		{specs.CPUAffinity{Initial: last}, left},
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

// olderThan reports whether the kernel is older than a version.
func olderThan(t *testing.T, major, minor int) bool {
	t.Helper()
	var a, b int
	if _, err := fmt.Sscanf(read(t, "/proc/sys/kernel/osrelease"), "%d.%d", &a, &b); err != nil {
		t.Fatal(err)
	}
	return a < major || a == major && b < minor
}

// TestPersonality: it is the container's, and so that of exec too.
func TestPersonality(t *testing.T) {
	crunToo(t)
	coverage.Shows(t, "linux.personality.domain", "linux.personality.domain=LINUX", "linux.personality.domain=LINUX32")
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
	coverage.Shows(t, "linux.memoryPolicy", "linux.memoryPolicy.flags=MPOL_F_STATIC_NODES", "linux.memoryPolicy.flags=MPOL_F_RELATIVE_NODES",
		"linux.memoryPolicy.flags=MPOL_F_NUMA_BALANCING")
	command := sh(`sed -n 's/^[0-9a-f]* \(.*\) stack.*/\1/p' /proc/self/numa_maps`)
	weighted := "weighted interleave:0"
	if olderThan(t, 6, 9) {
		weighted = ""
	}
	for _, row := range []struct {
		given specs.LinuxMemoryPolicy
		want  string // "": this kernel has no such mode
	}{
		{specs.LinuxMemoryPolicy{Mode: specs.MpolPreferredMany, Nodes: "0"}, "prefer (many):0"},
		{specs.LinuxMemoryPolicy{Mode: specs.MpolWeightedInterleave, Nodes: "0"}, weighted},
		{specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "0", Flags: []specs.MemoryPolicyFlagType{specs.MpolFNumaBalancing}}, "bind=:0"},
		{specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "0"}, "bind:0"},
		{specs.LinuxMemoryPolicy{Mode: specs.MpolInterleave, Nodes: "0", Flags: []specs.MemoryPolicyFlagType{specs.MpolFStaticNodes}}, "interleave=static:0"},
		{specs.LinuxMemoryPolicy{Mode: specs.MpolPreferred, Nodes: "0", Flags: []specs.MemoryPolicyFlagType{specs.MpolFRelativeNodes}}, "prefer=relative:0"},
		{specs.LinuxMemoryPolicy{Mode: specs.MpolLocal}, "local"},
		{specs.LinuxMemoryPolicy{Mode: specs.MpolDefault}, "default"},
	} {
		set := func(s *specs.Spec) { s.Linux.MemoryPolicy = &row.given }
		if row.want == "" {
			want := fmt.Sprintf("mocker: linux.memoryPolicy: set_mempolicy %s: invalid argument (this kernel does not know the mode, or not with these flags)\n", row.given.Mode)
			if r := newBox(t, set).run(); r.Code != 1 || r.Stderr != want {
				t.Errorf("%+v: %v", row.given, r)
			}
			continue
		}
		coverage.Shows(t, "linux.memoryPolicy.mode="+string(row.given.Mode))
		// Older kernels have no word for one of the flags.
		if got := strings.Replace(inside(t, command, set), "balancing", "", 1); got != row.want {
			t.Errorf("%+v: %q, want %q", row.given, got, row.want)
		}
		if got := strings.Replace(sleeps(t, set).exec(command, nil), "balancing", "", 1); got != row.want {
			t.Errorf("%+v, exec: %q, want %q", row.given, got, row.want)
		}
	}
	r := newBox(t, func(s *specs.Spec) {
		s.Linux.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "1000"}
	}).run()
	want := "mocker: linux.memoryPolicy.nodes: none of them is there: the machine has the nodes " + read(t, "/sys/devices/system/node/online") + "\n"
	if r.Code != 1 || r.Stderr != want {
		t.Errorf("a node that is not there: %v", r)
	}
}
