package devcg

import (
	devices "github.com/opencontainers/cgroups/devices/config"
	"golang.org/x/sys/unix"
)

// instruction is struct bpf_insn (linux/bpf.h).
type instruction struct {
	code      uint8
	registers uint8 // destination, and source in the upper half
	offset    int16
	value     int32
}

// The program's registers. It is called with the address of a struct
// bpf_cgroup_dev_ctx in the first of those for arguments.
const (
	verdict = iota // 1 is allowed
	context        // and what is needed for a moment
	nodeType
	access
	major
	minor
)

// load32 is register = *(context + OFFSET).
func load32(register uint8, offset int16) instruction {
	return instruction{unix.BPF_LDX | unix.BPF_MEM | unix.BPF_W, context<<4 | register, offset, 0}
}

// compute32 is register = register OPERATION value.
func compute32(operation, register uint8, value int32) instruction {
	return instruction{unix.BPF_ALU | operation | unix.BPF_K, register, 0, value}
}

func move32(to, from uint8) instruction {
	return instruction{unix.BPF_ALU | unix.BPF_MOV | unix.BPF_X, from<<4 | to, 0, 0}
}

// jump32 is over the rest of a piece, if register CONDITION value. All are of
// 32 bits, like what they compare: a value of 64 would get a sign.
func jump32(condition, register uint8, value int32) instruction {
	return instruction{unix.BPF_JMP32 | condition | unix.BPF_K, register, 0, value}
}

func exit() instruction { return instruction{code: unix.BPF_JMP | unix.BPF_EXIT} }

// program is the policy as BPF: a piece for each exception, that answers or
// leads to the next, and at the end the answer for what is none.
func (p policy) program() []instruction {
	list := []instruction{
		// access_type: the type in the lower half, the access in the upper one.
		load32(nodeType, 0),
		compute32(unix.BPF_AND, nodeType, 0xffff),
		load32(access, 0),
		compute32(unix.BPF_RSH, access, 16),
		load32(major, 4),
		load32(minor, 8),
	}
	for _, x := range p.exceptions {
		list = append(list, x.piece(!p.allow)...)
	}
	return append(list, answer(p.allow)...)
}

func answer(allow bool) []instruction {
	var value int32
	if allow {
		value = 1
	}
	return []instruction{compute32(unix.BPF_MOV, verdict, value), exit()}
}

// piece answers for one exception. What is allowed has to be all of the access
// that is asked for, what is denied only a part of it: opening for reading and
// writing is denied where writing is.
func (e exception) piece(allow bool) []instruction {
	list := []instruction{jump32(unix.BPF_JNE, nodeType, e.bpfType())}
	switch mask := e.bpfAccess(); {
	case !allow:
		list = append(list, move32(context, access), compute32(unix.BPF_AND, context, mask), jump32(unix.BPF_JEQ, context, 0))
	case e.access != "rwm":
		list = append(list, move32(context, access), compute32(unix.BPF_AND, context, ^mask), jump32(unix.BPF_JNE, context, 0))
	}
	for _, number := range []struct {
		register uint8
		want     int64
	}{{major, e.major}, {minor, e.minor}} {
		if number.want != devices.Wildcard {
			list = append(list, jump32(unix.BPF_JNE, number.register, int32(uint32(number.want))))
		}
	}
	list = append(list, answer(allow)...)
	for i := range list {
		if list[i].code&7 == unix.BPF_JMP32 {
			list[i].offset = int16(len(list) - i - 1)
		}
	}
	return list
}

func (e exception) bpfType() int32 {
	if e.typ == devices.BlockDevice {
		return unix.BPF_DEVCG_DEV_BLOCK
	}
	return unix.BPF_DEVCG_DEV_CHAR
}

func (e exception) bpfAccess() (mask int32) {
	for _, letter := range e.access {
		switch letter {
		case 'r':
			mask |= unix.BPF_DEVCG_ACC_READ
		case 'w':
			mask |= unix.BPF_DEVCG_ACC_WRITE
		case 'm':
			mask |= unix.BPF_DEVCG_ACC_MKNOD
		}
	}
	return mask
}
