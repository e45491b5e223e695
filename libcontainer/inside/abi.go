package inside

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	sysClone3  = 435 // the same number on every architecture, as all calls from 424 on
	sigSetmask = 2   // SIG_SETMASK

	// exitOrphan is the exit status of a child that found its parent gone.
	exitOrphan = 125
)

// cloneArgs is struct clone_args of clone3(2), CLONE_ARGS_SIZE_VER2 (5.7).
type cloneArgs struct {
	flags      uint64
	pidfd      uint64
	childTID   uint64
	parentTID  uint64
	exitSignal uint64
	stack      uint64
	stackSize  uint64
	tls        uint64
	setTID     uint64
	setTIDSize uint64
	cgroup     uint64
}

// bytesOf gives the memory of a kernel structure, to be copied into the
// region. The value must hold no pointers.
func bytesOf[T any](v *T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v))
}

// fillCloneArgs prepares clone_args. r.pidfd receives the pidfd,
// close-on-exec.
func (r *region) fillCloneArgs(b Birth) {
	r.clone = cloneArgs{
		flags:      uint64(b.Namespaces) | unix.CLONE_PIDFD | unix.CLONE_FILES | unix.CLONE_CLEAR_SIGHAND,
		pidfd:      uint64(uintptr(unsafe.Pointer(&r.pidfd))),
		exitSignal: uint64(unix.SIGCHLD),
	}
	if b.CgroupFD >= 0 {
		r.clone.flags |= unix.CLONE_INTO_CGROUP
		r.clone.cgroup = uint64(b.CgroupFD)
	}
}
