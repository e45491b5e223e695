package inside

import (
	"syscall"
	"unsafe"
)

const (
	sysFutex     = syscall.SYS_FUTEX
	sysExitGroup = syscall.SYS_EXIT_GROUP

	futexWait = 0 // not FUTEX_PRIVATE: two address spaces
	futexWake = 1

	clockRealtime = 0

	dontFork, doFork = 10, 11 // MADV_*

	userSpace = 1 << 48 // without what only who asks for it gets (arm64 has this much)
)

// fork makes the child: the parent gets its pid, the child never returns.
// stack is an address in the frame that the child goes on with.
//
// The child is a copy of one thread of a Go process, with no runtime that
// works: no heap, no scheduler, no stack that could grow. Hence everything
// here and in loop is nosplit, allocates nothing and calls nothing but
// RawSyscall and RawSyscall6; TestChildCode disassembles the binary to hold
// it to that.
//
// The child gets what it needs of the parent's memory, the code (text, whole
// pages), the region, and the pages of the stack that DropMemory keeps: nothing
// else of what mocker knows, and neither has to pay for copies. text is empty
// where that is not known.
//
// All signals are blocked around clone3, so the child is born with all of
// them blocked: no handler of the Go runtime can ever run in it.
//
//go:nosplit
//go:norace
//go:noinline
//go:nocheckptr
func fork(r *region, text span, page uintptr) (pid uintptr, stack uintptr, errno syscall.Errno) {
	all, old := ^uint64(0), uint64(0)
	stack = uintptr(unsafe.Pointer(&old))
	if text.end != 0 {
		syscall.RawSyscall(syscall.SYS_MADVISE, page, userSpace, dontFork) // ENOMEM: not all of it is mapped
		for _, needed := range [...]span{
			text,
			{uintptr(unsafe.Pointer(r)), uintptr(unsafe.Pointer(r)) + unsafe.Sizeof(*r)},
			{stack&^(page-1) - page, stack&^(page-1) + page},
		} {
			_, _, errno = syscall.RawSyscall(syscall.SYS_MADVISE, needed.start, needed.end-needed.start, doFork)
			if errno != 0 {
				return 0, stack, errno // the child could not live without
			}
		}
	}
	syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, sigSetmask, uintptr(unsafe.Pointer(&all)), uintptr(unsafe.Pointer(&old)), 8, 0, 0)
	pid, _, errno = syscall.RawSyscall(sysClone3, uintptr(unsafe.Pointer(&r.clone)), unsafe.Sizeof(r.clone), 0)
	if errno == 0 && pid == 0 {
		loop(r)
	}
	syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, sigSetmask, uintptr(unsafe.Pointer(&old)), 0, 8, 0, 0)
	return pid, stack, errno
}

// loop is the child's life: wait for a program, execute its calls one after
// the other, tell the parent. It ends with the execve of the last program,
// or when the parent is gone.
//
// A slot is read into locals before its call: a clone hands over to a copy,
// which shares the region, and the one that gets a pid back must leave
// without touching it.
//
//go:nosplit
//go:norace
//go:noinline
//go:nocheckptr
func loop(r *region) {
	seen := uint32(0)
	for {
		for n := uint32(0); n < r.spins && load(&r.posted) == seen; n++ {
		}
		for load(&r.posted) == seen {
			store(&r.childSleeps, 1)
			_, _, errno := syscall.RawSyscall6(sysFutex, uintptr(unsafe.Pointer(&r.posted)), futexWait, uintptr(seen),
				uintptr(unsafe.Pointer(&r.tick)), 0, 0)
			store(&r.childSleeps, 0)
			if errno != syscall.ETIMEDOUT {
				continue
			}
			n, _, _ := syscall.RawSyscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&r.parent)), 1,
				uintptr(unsafe.Pointer(&r.now)), 0, 0, 0)
			if n == 1 {
				syscall.RawSyscall(sysExitGroup, exitOrphan, 0, 0)
			}
		}
		seen++

		i, count, epilogue, stamped := uint32(0), r.count, r.epilogue, r.stamped
		if stamped != 0 {
			syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockRealtime, uintptr(unsafe.Pointer(&r.stamps[0])), 0)
		}
		for i < count {
			s := &r.slots[i&slotMask]
			nr, refs, accept := s.nr, s.refs, s.accept
			a0, a1, a2, a3, a4, a5 := s.args[0], s.args[1], s.args[2], s.args[3], s.args[4], s.args[5]
			if refs != 0 {
				if k := refs & refMask; k != 0 {
					a0 = r.slots[(k-1)&slotMask].ret
				}
				if k := refs >> refBits & refMask; k != 0 {
					a1 = r.slots[(k-1)&slotMask].ret
				}
				if k := refs >> (2 * refBits) & refMask; k != 0 {
					a2 = r.slots[(k-1)&slotMask].ret
				}
				if k := refs >> (3 * refBits) & refMask; k != 0 {
					a3 = r.slots[(k-1)&slotMask].ret
				}
				if k := refs >> (4 * refBits) & refMask; k != 0 {
					a4 = r.slots[(k-1)&slotMask].ret
				}
			}
			ret, _, errno := syscall.RawSyscall6(nr, a0, a1, a2, a3, a4, a5)
			if (nr == sysClone3 || nr == syscall.SYS_CLONE) && errno == 0 && ret != 0 {
				syscall.RawSyscall(sysExitGroup, 0, 0, 0)
			}
			s.ret, s.errno = ret, uintptr(errno)
			i++
			if i < stamped {
				syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockRealtime, uintptr(unsafe.Pointer(&r.stamps[i&slotMask])), 0)
			}
			if errno != 0 && uintptr(errno) != accept {
				if r.failed.slot == 0 {
					r.failed.slot, r.failed.errno = i, uint32(errno)
				}
				i, epilogue = epilogue, 0
				if i == 0 {
					break
				}
			}
		}

		store(&r.finished, seen)
		if load(&r.parentSleeps) == 0 {
			continue
		}
		syscall.RawSyscall6(sysFutex, uintptr(unsafe.Pointer(&r.finished)), futexWake, 1, 0, 0, 0)
	}
}
