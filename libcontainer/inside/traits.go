package inside

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Personality sets the execution domain (personality(2)).
func (in *Child) Personality(name string, domain uintptr) error {
	return in.do("personality", name, unix.SYS_PERSONALITY, domain)
}

// SetMempolicy sets the NUMA policy of the memory that the child is given
// (set_mempolicy(2)); bit n%64 of word n/64 of nodes is node n.
func (in *Child) SetMempolicy(name string, mode int, nodes []uint64) error {
	var mask []byte
	for i := range nodes {
		mask = append(mask, bytesOf(&nodes[i])...)
	}
	if mask == nil {
		return in.do("set_mempolicy", name, unix.SYS_SET_MEMPOLICY, mode, nil, 0)
	}
	// The kernel takes one bit less than it is told.
	return in.do("set_mempolicy", name, unix.SYS_SET_MEMPOLICY, mode, mask, 8*len(mask)+1)
}

// Mempolicy reports, as an error, that the kernel has no NUMA policies.
func Mempolicy() error {
	var mode int32
	_, _, errno := unix.Syscall6(unix.SYS_GET_MEMPOLICY, uintptr(unsafe.Pointer(&mode)), 0, 0, 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("get_mempolicy: %w", errno)
	}
	return nil
}

// TryMempolicy sets a NUMA policy of a thread that ends with it, so that nothing
// has it; see SetMempolicy.
func TryMempolicy(mode int, nodes []uint64) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // and with it the thread ends
		var mask *uint64
		bits := 0
		if len(nodes) > 0 {
			mask, bits = &nodes[0], 64*len(nodes)+1
		}
		_, _, errno := unix.Syscall(unix.SYS_SET_MEMPOLICY, uintptr(mode), uintptr(unsafe.Pointer(mask)), uintptr(bits))
		if errno != 0 {
			result <- errno
			return
		}
		result <- nil
	}()
	return <-result
}

// SetIOPriority sets the I/O priority of a process (ioprio_set(2)).
func SetIOPriority(pid, class, level int) error {
	const whoProcess, classShift = 1, 13
	_, _, errno := unix.Syscall(unix.SYS_IOPRIO_SET, whoProcess, uintptr(pid), uintptr(class<<classShift|level))
	if errno != 0 {
		return errno
	}
	return nil
}
