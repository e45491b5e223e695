package seccomp

import (
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The columns of calls: one for each way to make system calls. foreign stands
// for all that no kernel knows on which mocker runs.
const (
	amd64 abi = iota
	i386
	x32
	arm64
	arm
	abis
	foreign
)

type abi int

// none is in place of a number where an architecture lacks a call.
const none = -1

// x32Bit tells calls of x32 from those of amd64: both are AUDIT_ARCH_X86_64.
const x32Bit = 0x40000000

type call struct {
	name   string
	number [abis]int32
}

var archs = [...]word[abi]{
	{"SCMP_ARCH_AARCH64", arm64},
	{"SCMP_ARCH_ARM", arm},
	{"SCMP_ARCH_LOONGARCH64", foreign},
	{"SCMP_ARCH_M68K", foreign},
	{"SCMP_ARCH_MIPS", foreign},
	{"SCMP_ARCH_MIPS64", foreign},
	{"SCMP_ARCH_MIPS64N32", foreign},
	{"SCMP_ARCH_MIPSEL", foreign},
	{"SCMP_ARCH_MIPSEL64", foreign},
	{"SCMP_ARCH_MIPSEL64N32", foreign},
	{"SCMP_ARCH_PARISC", foreign},
	{"SCMP_ARCH_PARISC64", foreign},
	{"SCMP_ARCH_PPC", foreign},
	{"SCMP_ARCH_PPC64", foreign},
	{"SCMP_ARCH_PPC64LE", foreign},
	{"SCMP_ARCH_RISCV64", foreign},
	{"SCMP_ARCH_S390", foreign},
	{"SCMP_ARCH_S390X", foreign},
	{"SCMP_ARCH_SH", foreign},
	{"SCMP_ARCH_SHEB", foreign},
	{"SCMP_ARCH_X32", x32},
	{"SCMP_ARCH_X86", i386},
	{"SCMP_ARCH_X86_64", amd64},
}

// wide reports whether all 64 bits of an argument are compared. libseccomp
// takes x32 for a 32-bit architecture, too.
func (a abi) wide() bool { return a == amd64 || a == arm64 }

// audit is what stands in seccomp_data.arch.
func (a abi) audit() uint32 {
	switch a {
	case i386:
		return unix.AUDIT_ARCH_I386
	case arm64:
		return unix.AUDIT_ARCH_AARCH64
	case arm:
		return unix.AUDIT_ARCH_ARM
	default:
		return unix.AUDIT_ARCH_X86_64
	}
}

// architectures are those that the filter lets in: the machine's own, always,
// and what else of the list its kernel can run.
func architectures(list []specs.Arch, goarch string) (native abi, others []abi, bad []error) {
	possible := []abi{i386, x32}
	switch goarch {
	case "amd64":
	case "arm64":
		native, possible = arm64, []abi{arm}
	default:
		return 0, nil, []error{refuse("", nil, "no system call table for %s", goarch)}
	}
	listed := map[abi]bool{}
	for i, name := range list {
		arch, ok := find(archs[:], string(name))
		if !ok && len(bad) < mostProblems {
			bad = append(bad, refuse(item("architectures", i), string(name), "unknown architecture"))
		}
		listed[arch] = ok || listed[arch]
	}
	for _, arch := range possible {
		if listed[arch] {
			others = append(others, arch)
		}
	}
	return native, others, bad
}

// callNamed finds a call. One without an entry is unknown: younger than this
// build, or of an architecture that mocker does not run on. nil: there is none.
func callNamed(name string) *call {
	i, ok := slices.BinarySearchFunc(calls[:], name, func(c call, name string) int { return strings.Compare(c.name, name) })
	if !ok {
		return nil
	}
	return &calls[i]
}

// Two calls of 386 stand for many: their first argument says which.
const (
	socketcall = 102
	ipc        = 117
)

// multiplexed is how 386 makes a call through socketcall or ipc (the kernel's
// SYS_SOCKET... of linux/net.h, and SEMOP... of linux/ipc.h). Most have a
// number of their own as well, since Linux 4.3 and 5.1.
func multiplexed(name string) (number uint32, first uint64, ok bool) {
	if first, ok = find(socketcalls[:], name); ok {
		return socketcall, first, true
	}
	first, ok = find(ipcs[:], name)
	return ipc, first, ok
}

var (
	socketcalls = [...]word[uint64]{
		{"socket", 1}, {"bind", 2}, {"connect", 3}, {"listen", 4}, {"accept", 5},
		{"getsockname", 6}, {"getpeername", 7}, {"socketpair", 8}, {"send", 9}, {"recv", 10},
		{"sendto", 11}, {"recvfrom", 12}, {"shutdown", 13}, {"setsockopt", 14}, {"getsockopt", 15},
		{"sendmsg", 16}, {"recvmsg", 17}, {"accept4", 18}, {"recvmmsg", 19}, {"sendmmsg", 20},
	}
	ipcs = [...]word[uint64]{
		{"semop", 1}, {"semget", 2}, {"semctl", 3}, {"semtimedop", 4},
		{"msgsnd", 11}, {"msgrcv", 12}, {"msgget", 13}, {"msgctl", 14},
		{"shmat", 21}, {"shmdt", 22}, {"shmget", 23}, {"shmctl", 24},
	}
)

// item is the JSON path of one element: list[i].
func item(list string, i int) string {
	return list + "[" + strconv.Itoa(i) + "]"
}
