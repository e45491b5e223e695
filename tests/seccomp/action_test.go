package seccomp

import (
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// TestActions: what a call comes to, of a child of the shell and of the
// container's first process.
func TestActions(t *testing.T) {
	const made, status = "0\n", "mkdir /d; echo $?"
	for _, test := range []struct {
		name           string
		rule           specs.LinuxSyscall
		stdout, stderr string // of a child
		code           int    // of the first process
	}{
		{"allow", rule(specs.ActAllow, mkdir...), made, "", 0},
		{"log", rule(specs.ActLog, mkdir...), made, "", 0},
		{"errno", rule(specs.ActErrno, mkdir...), "1\n", "Operation not permitted", 1},
		{"errno 19", withErrno(rule(specs.ActErrno, mkdir...), 19), "1\n", "No such device", 1},
		{"trace", rule(specs.ActTrace, mkdir...), "1\n", "Function not implemented", 1},
		{"trap", rule(specs.ActTrap, mkdir...), "159\n", "Bad system call", 159},
		{"kill", rule(specs.ActKill, mkdir...), "159\n", "Bad system call", 159},
		{"kill thread", rule(specs.ActKillThread, mkdir...), "159\n", "Bad system call", 159},
		{"kill process", rule(specs.ActKillProcess, mkdir...), "159\n", "Bad system call", 159},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := run(t, status, filter(specs.ActAllow, test.rule))
			if r.Stdout != test.stdout || !strings.Contains(r.Stderr, test.stderr) || test.stderr == "" && r.Stderr != "" {
				t.Errorf("as a child: %v", r)
			}
			if r := run(t, "exec mkdir /d", filter(specs.ActAllow, test.rule)); r.Code != test.code {
				t.Errorf("as the first process: %v\nwant exit %d", r, test.code)
			}
		})
	}
}

// TestArguments: rules that look at arguments, as chmod's mode is one.
func TestArguments(t *testing.T) {
	mode := func(op specs.LinuxSeccompOperator, value, two uint64) []specs.LinuxSyscall {
		deny := func(call string, index uint) specs.LinuxSyscall {
			r := rule(specs.ActErrno, call)
			r.Args = []specs.LinuxSeccompArg{{Index: index, Value: value, ValueTwo: two, Op: op}}
			return r
		}
		return []specs.LinuxSyscall{deny("chmod", 1), deny("fchmodat", 2)}
	}
	for _, test := range []struct {
		op         specs.LinuxSeccompOperator
		value, two uint64
		want       string // of those below, the modes that can be set
	}{
		{specs.OpEqualTo, 0o600, 0, "400 700 4755"},
		{specs.OpNotEqual, 0o600, 0, "600"},
		{specs.OpLessThan, 0o600, 0, "600 700 4755"},
		{specs.OpLessEqual, 0o600, 0, "700 4755"},
		{specs.OpGreaterThan, 0o600, 0, "400 600"},
		{specs.OpGreaterEqual, 0o600, 0, "400"},
		{specs.OpMaskedEqual, 0o4000, 0o4000, "400 600 700"},
	} {
		t.Run(string(test.op), func(t *testing.T) {
			got := prints(t, `touch /f; for m in 400 600 700 4755; do chmod $m /f 2>/dev/null && echo $m; done; true`,
				filter(specs.ActAllow, mode(test.op, test.value, test.two)...))
			if got = strings.Join(strings.Fields(got), " "); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// TestAllowList: a shell under a profile that allows what it needs and nothing
// that mocker would need for itself.
func TestAllowList(t *testing.T) {
	const script = "mkdir /d; chmod 700 /etc; id -u; cat /proc/self/status | grep Seccomp:"
	for _, test := range []struct {
		name string
		list edit
		want string
	}{
		{"without chmod", allowList(shell, mkdir), "chmod: /etc: Operation not permitted"},
		{"without mkdir", allowList(shell, []string{"chmod", "fchmodat"}), "mkdir: can't create directory '/d': Operation not permitted"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := run(t, script, test.list)
			if strings.TrimSpace(r.Stderr) != test.want || !strings.HasPrefix(r.Stdout, "0\n") || !strings.HasSuffix(r.Stdout, "\t2\n") {
				t.Errorf("%v\nwant: %s", r, test.want)
			}
		})
	}
}

// TestFlags: those that a process cannot see, but for that it runs.
func TestFlags(t *testing.T) {
	drive.MockersOwn(t, "runc 1.1 has no flags")
	for _, flags := range [][]specs.LinuxSeccompFlag{
		{specs.LinuxSeccompFlagLog}, {specs.LinuxSeccompFlagSpecAllow}, {"SECCOMP_FILTER_FLAG_TSYNC"},
		{specs.LinuxSeccompFlagLog, specs.LinuxSeccompFlagSpecAllow, "SECCOMP_FILTER_FLAG_TSYNC"},
	} {
		t.Run(fmt.Sprint(flags), func(t *testing.T) {
			p := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Flags: flags, Syscalls: []specs.LinuxSyscall{rule(specs.ActErrno, mkdir...)}}
			if got := prints(t, "mkdir /d 2>/dev/null || echo denied", profile(p)); got != "denied\n" {
				t.Errorf("got %q", got)
			}
		})
	}
}

// TestNoFilter: what engines write for "unconfined", and no section at all.
func TestNoFilter(t *testing.T) {
	for name, p := range map[string]*specs.LinuxSeccomp{"none": nil, "empty": {}} {
		t.Run(name, func(t *testing.T) {
			if p != nil && drive.Others() && drive.Runtime(t) == "crun" {
				t.Skip("not for crun: it refuses an empty section")
			}
			if got := prints(t, "grep Seccomp: /proc/self/status", profile(p)); got != "Seccomp:\t0\n" {
				t.Errorf("got %q", got)
			}
		})
	}
}
