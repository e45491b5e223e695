package errors

import "github.com/opencontainers/runtime-spec/specs-go"

func seccomps() []row {
	one := func(input, want string, edit func(*specs.LinuxSeccomp)) row {
		return row{input: input, call: create, prep: with(func(s *specs.Spec) {
			s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow}
			edit(s.Linux.Seccomp)
		}), want: "config.json: linux.seccomp." + want}
	}
	// rule is a rule for mkdir, changed.
	rule := func(change func(*specs.LinuxSyscall)) func(*specs.LinuxSeccomp) {
		return func(s *specs.LinuxSeccomp) {
			r := specs.LinuxSyscall{Names: []string{"mkdir"}, Action: specs.ActErrno}
			change(&r)
			s.Syscalls = append(s.Syscalls, r)
		}
	}
	arg := func(a specs.LinuxSeccompArg) func(*specs.LinuxSeccomp) {
		return rule(func(r *specs.LinuxSyscall) { r.Args = []specs.LinuxSeccompArg{a} })
	}
	ret := uint(5000)
	return []row{
		one("rules, but no default action", `defaultAction: "": unknown action`, func(s *specs.LinuxSeccomp) { s.DefaultAction = ""; rule(func(*specs.LinuxSyscall) {})(s) }),
		one("an action that does not exist", `syscalls[0].action: "SCMP_ACT_DENY": unknown action`, rule(func(r *specs.LinuxSyscall) { r.Action = "SCMP_ACT_DENY" })),
		one("an errno of an action that has none", "syscalls[0].errnoRet: 5000: SCMP_ACT_KILL has no errno", rule(func(r *specs.LinuxSyscall) { r.Action, r.ErrnoRet = specs.ActKill, &ret })),
		one("an errno that does not exist", "syscalls[0].errnoRet: 5000: above 4095", rule(func(r *specs.LinuxSyscall) { r.ErrnoRet = &ret })),
		one("a rule for no call", "syscalls[0].names: missing", rule(func(r *specs.LinuxSyscall) { r.Names = nil })),
		one("a call without a name", `syscalls[0].names[0]: "": must not be empty`, rule(func(r *specs.LinuxSyscall) { r.Names = []string{""} })),
		one("an operator that does not exist", `syscalls[0].args[0].op: "SCMP_CMP_IS": unknown operator`, arg(specs.LinuxSeccompArg{Op: "SCMP_CMP_IS"})),
		one("a seventh argument", "syscalls[0].args[0].index: 6: not between 0 and 5", arg(specs.LinuxSeccompArg{Index: 6, Op: specs.OpEqualTo})),
		one("two rules that contradict each other", "syscalls[1]: contradicts syscalls[0]: another action for the same call and arguments", func(s *specs.LinuxSeccomp) {
			arg(specs.LinuxSeccompArg{Op: specs.OpEqualTo})(s)
			arg(specs.LinuxSeccompArg{Op: specs.OpEqualTo})(s)
			s.Syscalls[1].Action = specs.ActKill
		}),
		one("an architecture that does not exist", `architectures[0]: "amd64": unknown architecture`, func(s *specs.LinuxSeccomp) { s.Architectures = []specs.Arch{"amd64"} }),
		one("a seccomp flag that does not exist", `flags[0]: "SECCOMP_FILTER_FLAG_NEW": unknown flag`, func(s *specs.LinuxSeccomp) { s.Flags = []specs.LinuxSeccompFlag{"SECCOMP_FILTER_FLAG_NEW"} }),
		one("a flag for listeners without one", `flags[0]: "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": needs a rule with SCMP_ACT_NOTIFY`, func(s *specs.LinuxSeccomp) {
			s.Flags = []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagWaitKillableRecv}
		}),
		one("a listener for everything", `defaultAction: "SCMP_ACT_NOTIFY": SCMP_ACT_NOTIFY cannot be used as default action`, func(s *specs.LinuxSeccomp) { s.DefaultAction = specs.ActNotify }),
		one("a listener for write", `syscalls[0].names[0]: "write": SCMP_ACT_NOTIFY cannot be used for the write syscall`, rule(func(r *specs.LinuxSyscall) { r.Names, r.Action = []string{"write"}, specs.ActNotify })),
		one("nowhere to send a listener", "listenerPath: missing", rule(func(r *specs.LinuxSyscall) { r.Action = specs.ActNotify })),
		one("more rules than a filter can hold", "syscalls: too many rules: they take more than the 4096 instructions that the kernel allows", func(s *specs.LinuxSeccomp) {
			for i := range uint64(1200) {
				rule(func(r *specs.LinuxSyscall) {
					r.Args = []specs.LinuxSeccompArg{{Index: 0, Op: specs.OpEqualTo, Value: i}, {Index: 1, Op: specs.OpGreaterThan, Value: i}}
				})(s)
			}
		}),
	}
}
