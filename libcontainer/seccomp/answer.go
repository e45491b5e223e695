package seccomp

import (
	"fmt"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Call is one system call as a filter sees it.
type Call struct {
	Number uint32
	Arch   uint32 // AUDIT_ARCH_*; 0 is that of this machine
	Args   [maxArgs]uint64
}

// Answer is what a compiled filter returns for a call: SECCOMP_RET_*, with an
// errno in its low 16 bits. A program that Compile could not have made answers
// like one that the kernel would not take: it kills.
func Answer(filter []unix.SockFilter, call Call) uint32 {
	answer, _ := run(filter, call)
	return answer
}

// run says also how many instructions the answer took.
func run(filter []unix.SockFilter, call Call) (answer uint32, steps int) {
	var word uint32
	for at := 0; at < len(filter); at++ {
		steps++
		switch ins := filter[at]; ins.Code {
		case opLoad:
			word = call.word(ins.K)
		case opAnd:
			word &= ins.K
		case opJump:
			at += int(ins.K)
		case opEqual:
			at += skip(ins, word == ins.K)
		case opAtLeast:
			at += skip(ins, word >= ins.K)
		case opAbove:
			at += skip(ins, word > ins.K)
		case opReturn:
			return ins.K, steps
		default:
			return unix.SECCOMP_RET_KILL_PROCESS, steps
		}
	}
	return unix.SECCOMP_RET_KILL_PROCESS, steps
}

func skip(ins unix.SockFilter, yes bool) int {
	if yes {
		return int(ins.Jt)
	}
	return int(ins.Jf)
}

// word is a word of struct seccomp_data, whose instruction pointer no filter
// of ours looks at.
func (c Call) word(offset uint32) uint32 {
	switch {
	case offset == offNumber:
		return c.Number
	case offset == offArch && c.Arch != 0:
		return c.Arch
	case offset == offArch && runtime.GOARCH == "arm64":
		return unix.AUDIT_ARCH_AARCH64
	case offset == offArch:
		return unix.AUDIT_ARCH_X86_64
	case offset < offArgs || offset >= offArgs+8*maxArgs:
		return 0
	}
	arg := c.Args[(offset-offArgs)/8]
	if offset%8 != 0 {
		return uint32(arg >> 32)
	}
	return uint32(arg)
}

// Permits reports whether a call with this answer is made at once: neither
// refused, nor left to somebody else.
func Permits(answer uint32) bool {
	switch answer & unix.SECCOMP_RET_ACTION_FULL {
	case unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_LOG:
		return true
	}
	return false
}

// Describe is an answer in the words of config.json: "SCMP_ACT_ERRNO (EPERM)".
func Describe(answer uint32) string {
	ret, data := answer&unix.SECCOMP_RET_ACTION_FULL, answer&unix.SECCOMP_RET_DATA
	for _, w := range actions {
		if w.value != ret {
			continue
		}
		switch {
		case ret == retErrno && unix.ErrnoName(unix.Errno(data)) != "":
			return fmt.Sprintf("%s (%s)", w.name, unix.ErrnoName(unix.Errno(data)))
		case ret == retErrno, ret == unix.SECCOMP_RET_TRACE:
			return fmt.Sprintf("%s (%d)", w.name, data)
		}
		return strings.TrimSuffix(w.name, "_THREAD")
	}
	return fmt.Sprintf("%#x", answer)
}
