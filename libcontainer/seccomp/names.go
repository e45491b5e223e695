package seccomp

import (
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// What a program returns. KILL is what libseccomp has always meant by it: the
// thread.
const (
	retErrno  uint32 = unix.SECCOMP_RET_ERRNO
	retNotify uint32 = unix.SECCOMP_RET_USER_NOTIF
	retKill   uint32 = unix.SECCOMP_RET_KILL_THREAD
)

// The kernel answers no higher errno (MAX_ERRNO); a tracer gets 16 bits.
const (
	maxErrno = 4095
	maxTrace = 65535
)

type word[T any] struct {
	name  string
	value T
}

// The words of config.json, sorted.
var (
	actions = [...]word[uint32]{
		{"SCMP_ACT_ALLOW", unix.SECCOMP_RET_ALLOW},
		{"SCMP_ACT_ERRNO", retErrno},
		{"SCMP_ACT_KILL", retKill},
		{"SCMP_ACT_KILL_PROCESS", unix.SECCOMP_RET_KILL_PROCESS},
		{"SCMP_ACT_KILL_THREAD", retKill},
		{"SCMP_ACT_LOG", unix.SECCOMP_RET_LOG},
		{"SCMP_ACT_NOTIFY", retNotify},
		{"SCMP_ACT_TRACE", unix.SECCOMP_RET_TRACE},
		{"SCMP_ACT_TRAP", unix.SECCOMP_RET_TRAP},
	}
	operators = [...]word[operator]{
		{"SCMP_CMP_EQ", eq},
		{"SCMP_CMP_GE", ge},
		{"SCMP_CMP_GT", gt},
		{"SCMP_CMP_LE", le},
		{"SCMP_CMP_LT", lt},
		{"SCMP_CMP_MASKED_EQ", maskedEq},
		{"SCMP_CMP_NE", ne},
	}
	// A filter is loaded before the program has a second thread, so there is
	// nothing to synchronize: TSYNC has no effect, as with runc.
	filterFlags = [...]word[uint]{
		{"SECCOMP_FILTER_FLAG_LOG", unix.SECCOMP_FILTER_FLAG_LOG},
		{"SECCOMP_FILTER_FLAG_SPEC_ALLOW", unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW},
		{"SECCOMP_FILTER_FLAG_TSYNC", 0},
		{"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", waitKillable},
	}
)

// waitKillable is SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (Linux 5.19).
const waitKillable = 1 << 5

// Actions are the known values of defaultAction and action, sorted.
func Actions() []string { return names(actions[:]) }

// Operators are the known values of op, sorted.
func Operators() []string { return names(operators[:]) }

// Architectures are the known values of architectures, sorted: those that make
// a difference on some machine that mocker runs on, and those that are
// accepted because no process there can ever make such a call.
func Architectures() []string { return names(archs[:]) }

// Flags are the known values of flags, sorted.
func Flags() []string { return names(filterFlags[:]) }

func names[T any](words []word[T]) []string {
	list := make([]string, len(words))
	for i, w := range words {
		list[i] = w.name
	}
	return list
}

func find[T any](words []word[T], name string) (value T, ok bool) {
	for _, w := range words {
		if w.name == name {
			return w.value, true
		}
	}
	return value, false
}

// action is the value that a program returns for an action and its errno.
func action(path string, name specs.LinuxSeccompAction, errnoPath string, errno *uint) (uint32, error) {
	ret, ok := find(actions[:], string(name))
	if !ok {
		return 0, refuse(path, string(name), "unknown action")
	}
	limit := uint(maxErrno)
	switch ret {
	case unix.SECCOMP_RET_TRACE:
		limit = maxTrace
	case retErrno:
	default:
		if errno != nil {
			return 0, refuse(errnoPath, *errno, "%s has no errno", name)
		}
		return ret, nil
	}
	if errno == nil {
		return ret | uint32(unix.EPERM), nil
	}
	if *errno > limit {
		return 0, refuse(errnoPath, *errno, "above %d", limit)
	}
	return ret | uint32(*errno), nil
}

// flags are those of seccomp(2). Where config.json has no list at all, not
// even an empty one, the mitigation of speculative store bypass is left off,
// as runc has it: it makes programs slower, and whoever wants it says so.
func flags(list []specs.LinuxSeccompFlag, notify bool) (all uint, bad []error) {
	if list == nil {
		return unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW, nil
	}
	for i, name := range list {
		flag, ok := find(filterFlags[:], string(name))
		switch {
		case len(bad) >= mostProblems:
		case !ok:
			bad = append(bad, refuse(item("flags", i), string(name), "unknown flag"))
		case flag == waitKillable && !notify:
			bad = append(bad, refuse(item("flags", i), string(name), "needs a rule with SCMP_ACT_NOTIFY"))
		}
		all |= flag
	}
	return all, bad
}

// FlagBits are the known values of flags with the bits of seccomp(2).
func FlagBits() map[string]uint {
	bits := make(map[string]uint, len(filterFlags))
	for _, w := range filterFlags {
		bits[w.name] = w.value
	}
	return bits
}
