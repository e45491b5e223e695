package inside

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	maxSlots  = 512     // a power of two: the child masks its indices with it
	arenaSize = 8 << 20 // strings of one program; argv and env can be 6 MiB

	slotMask = maxSlots - 1
	refBits  = 10 // of an argument that is the result of an earlier slot
	refMask  = 1<<refBits - 1
)

// slot is one system call of a program.
type slot struct {
	nr     uintptr
	args   [6]uintptr
	refs   uint64  // refBits per argument: 0, or 1 + the slot whose result replaces it
	accept uintptr // an errno that counts as success
	ret    uintptr
	errno  uintptr
}

// region is the memory shared with the child. Nothing in it is a Go pointer.
// The child trusts what it reads here, the parent does not need to trust the
// child: it is its own code until execve.
type region struct {
	posted   uint32 // number of the last program handed to the child (futex)
	finished uint32 // number of the last program it has ended (futex)

	childSleeps  uint32 // the child is, or is about to be, in futex(2)
	parentSleeps uint32 // so is the parent
	spins        uint32 // looks at the other side's number before going to sleep

	count    uint32 // slots of the program
	epilogue uint32 // slot to go on at after a failure; 0: end the program
	stamped  uint32 // how many of the stamps the child is to take: see askStamps
	failed   failure
	pidfd    int32         // written by clone3
	tid      int32         // written by the clone3 of a hand-over, as the one that makes it sees the copy
	clone    cloneArgs     // of the birth or of a hand-over; here, because a Go stack may move
	parent   unix.PollFd   // pidfd of the parent
	tick     unix.Timespec // longest time between two looks at the parent
	now      unix.Timespec // zero: poll without waiting
	slots    [maxSlots]slot
	stamps   [maxSlots]unix.Timespec // the time before the first call, then after each
	arena    [arenaSize]byte
}

// failure says which slot ended a program. Its bytes are what a last program
// writes to its fifo.
type failure struct {
	slot  uint32 // 1 + index; 0: none failed
	errno uint32
}

// newRegion maps a region; pages cost nothing until they are touched.
func newRegion() (*region, error) {
	p, err := unix.MmapPtr(-1, 0, nil, unsafe.Sizeof(region{}),
		unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes shared with the container: %w", unsafe.Sizeof(region{}), err)
	}
	return (*region)(p), nil
}

func (r *region) unmap() {
	_ = unix.MunmapPtr(unsafe.Pointer(r), unsafe.Sizeof(*r)) // only an address never mapped is an error
}
