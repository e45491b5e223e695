package seccomp

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// trial is what a child of the test does: load a filter, make calls.
type trial struct {
	Filter []unix.SockFilter
	Flags  uint
	Calls  []Call
}

// answer is what the kernel said to one call.
type answer struct {
	Result uint64
	Errno  unix.Errno
}

const trialEnv = "MOCKER_SECCOMP_TRIAL"

func TestMain(m *testing.M) {
	if os.Getenv(trialEnv) != "" {
		runTrial()
		return
	}
	os.Exit(m.Run())
}

func runTrial() {
	var tr trial
	if err := json.NewDecoder(os.Stdin).Decode(&tr); err != nil {
		panic(err)
	}
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		panic(err)
	}
	prog := unix.SockFprog{Len: uint16(len(tr.Filter)), Filter: &tr.Filter[0]}
	answers := make([]answer, len(tr.Calls))
	if _, _, errno := syscall.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, uintptr(tr.Flags), uintptr(unsafe.Pointer(&prog))); errno != 0 {
		panic(errno)
	}
	for i, c := range tr.Calls {
		a := c.Args
		result, _, errno := syscall.RawSyscall6(uintptr(c.Number), uintptr(a[0]), uintptr(a[1]), uintptr(a[2]), uintptr(a[3]), uintptr(a[4]), uintptr(a[5]))
		answers[i] = answer{uint64(result), errno}
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		panic(err)
	}
}

func try(t *testing.T, tr trial) ([]answer, error) {
	t.Helper()
	in, err := json.Marshal(tr)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), trialEnv+"=1")
	cmd.Stdin = bytes.NewReader(in)
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	var answers []answer
	if err := json.Unmarshal(out, &answers); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
	return answers, nil
}

// targets do nothing, whatever their arguments are, and the Go runtime has no
// use for them.
var targets = []string{"getppid", "getuid", "geteuid", "getgid", "getegid", "getpgid", "times", "sched_yield"}

// TestKernelRandom: what the kernel does with random profiles is what Answer
// says. Only calls of the machine's own architecture can be made from here,
// and those of x32, which are seen by the filter before the kernel finds that
// it cannot do them.
func TestKernelRandom(t *testing.T) {
	r := newRandom(5)
	counts := map[uint32]int{}
	for range 60 {
		spec := forKernel(t, r)
		result, err := Compile(spec, runtime.GOARCH)
		if errors.Is(err, errContradiction) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		tr := trial{Filter: result.Filter, Flags: result.Flags}
		for range 100 {
			tr.Calls = append(tr.Calls, targetCall(t, r, spec))
		}
		answers, err := try(t, tr)
		if err != nil {
			t.Fatalf("%+v: %v", spec, err)
		}
		for i, c := range tr.Calls {
			want := Answer(tr.Filter, c)
			counts[want&unix.SECCOMP_RET_ACTION_FULL]++
			if !obeys(answers[i], want, c) {
				t.Fatalf("%+v\ncall %+v: %+v, want %s", spec, c, answers[i], Describe(want))
			}
		}
	}
	t.Logf("answers by action: %v", counts)
	if len(counts) != 4 {
		t.Error("not all actions were seen")
	}
}

// forKernel is a random profile under which the Go runtime lives.
func forKernel(t *testing.T, r *random) *specs.LinuxSeccomp {
	t.Helper()
	spec := docker(t)
	spec.DefaultErrnoRet = new(uint)
	*spec.DefaultErrnoRet = 77
	spec.Flags = []specs.LinuxSeccompFlag{"SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC"}
	if runtime.GOARCH == "arm64" {
		spec.Architectures = []specs.Arch{specs.ArchARM}
	} else if r.IntN(3) == 0 {
		spec.Architectures = nil
	}
	spec.Syscalls[0].Names = slices.DeleteFunc(spec.Syscalls[0].Names, func(name string) bool { return slices.Contains(targets, name) })
	for range 1 + r.IntN(10) {
		entry := r.entry(targets)
		switch entry.Action {
		case specs.ActErrno, specs.ActAllow, specs.ActLog, specs.ActTrace:
			spec.Syscalls = append(spec.Syscalls, entry)
		}
	}
	return spec
}

func targetCall(t *testing.T, r *random, spec *specs.LinuxSeccomp) Call {
	t.Helper()
	native := amd64
	if runtime.GOARCH == "arm64" {
		native = arm64
	}
	if slices.Contains(spec.Architectures, specs.ArchX32) && r.IntN(4) == 0 {
		native = x32
	}
	c := on(t, native, pick(r, targets))
	for i := range c.Args {
		c.Args[i] = r.value()
	}
	return c
}

func obeys(got answer, want uint32, c Call) bool {
	data := unix.Errno(want & unix.SECCOMP_RET_DATA)
	switch want & unix.SECCOMP_RET_ACTION_FULL {
	case retErrno:
		return got.Errno == data && (data != 0 || got.Result == 0)
	case unix.SECCOMP_RET_TRACE: // without a tracer
		return got.Errno == unix.ENOSYS
	case unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_LOG:
		if c.Number&x32Bit != 0 { // a kernel without x32
			return got.Errno == 0 || got.Errno == unix.ENOSYS
		}
		return got.Errno == 0 || got.Errno == unix.ESRCH || got.Errno == unix.EINVAL || got.Errno == unix.EFAULT
	}
	return false
}

// TestKernelDocker makes every call that docker's profile denies, none of
// which so does anything.
func TestKernelDocker(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the profile is that of amd64")
	}
	tr := trial{Filter: compile(t, docker(t), "amd64")}
	for number := range uint32(1000) {
		for _, bit := range []uint32{0, x32Bit} {
			c := Call{Number: number | bit, Args: [maxArgs]uint64{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}}
			if c.Number == 336 {
				// uprobe: Linux 6.18 asks no filter about it, for it is the
				// kernel's own probes that put this call into a program.
				continue
			}
			if Answer(tr.Filter, c)&unix.SECCOMP_RET_ACTION_FULL == retErrno {
				tr.Calls = append(tr.Calls, c)
			}
		}
	}
	answers, err := try(t, tr)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range tr.Calls {
		if want := Answer(tr.Filter, c); !obeys(answers[i], want, c) {
			t.Errorf("call %#x: %+v, want %s", c.Number, answers[i], Describe(want))
		}
	}
	if len(tr.Calls) < 1000 {
		t.Errorf("%d calls only", len(tr.Calls))
	}
}

// TestKernelKills: SIGSYS, for which the Go runtime has a handler that ends in
// exit code 2, and which KILL_PROCESS does not ask.
func TestKernelKills(t *testing.T) {
	for action, check := range map[string]func(syscall.WaitStatus) bool{
		"KILL_PROCESS": func(ws syscall.WaitStatus) bool { return ws.Signaled() && ws.Signal() == unix.SIGSYS },
		"TRAP":         func(ws syscall.WaitStatus) bool { return ws.ExitStatus() == 2 },
	} {
		f := compile(t, profileOf(t, `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["getppid"],"action":"SCMP_ACT_`+action+`"}]}`), runtime.GOARCH)
		_, err := try(t, trial{Filter: f, Calls: []Call{{Number: unix.SYS_GETPPID}}})
		exit := (*exec.ExitError)(nil)
		if !errors.As(err, &exit) || !check(exit.Sys().(syscall.WaitStatus)) {
			t.Errorf("%s: %v", action, err)
		}
	}
}

// BenchmarkCall is a call without a filter, under docker's profile, and under
// what libseccomp makes of it: one that is always allowed and so not looked at
// again (the kernel remembers that), one that is denied, and two that depend
// on an argument.
func BenchmarkCall(b *testing.B) {
	theirs, err := startLibseccomp(b).compile(b, docker(b))
	if err != nil {
		b.Fatal(err)
	}
	for _, call := range []struct {
		name string
		Call
	}{
		{"allowed", on(b, amd64, "getppid")},
		{"denied", on(b, amd64, "acct")},
		{"socket", on(b, amd64, "socket", unix.AF_UNIX, ^uint64(0))},
		{"personality", on(b, amd64, "personality", 0xffffffff)},
	} {
		for _, filter := range []struct {
			name string
			code []unix.SockFilter
		}{{"none", nil}, {"mocker", compile(b, docker(b), "amd64")}, {"libseccomp", theirs}} {
			b.Run(call.name+"/"+filter.name, func(b *testing.B) {
				done := make(chan struct{})
				go func() { // whose thread ends with it
					defer close(done)
					runtime.LockOSThread()
					load(filter.code)
					b.ResetTimer()
					a := call.Args
					for range b.N {
						_, _, _ = syscall.RawSyscall(uintptr(call.Number), uintptr(a[0]), uintptr(a[1]), uintptr(a[2]))
					}
				}()
				<-done
			})
		}
	}
}

func load(filter []unix.SockFilter) {
	if filter == nil {
		return
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		panic(err)
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if _, _, errno := syscall.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW, uintptr(unsafe.Pointer(&prog))); errno != 0 {
		panic(errno)
	}
}
