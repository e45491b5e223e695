package inside

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// DropMemory adds the calls that unmap everything the child does not need to
// execute the rest of the program: fork has left out what was mapped when it
// was called, and this what another thread has mapped just then. What stays is the code, which is the binary's, the region, and the pages
// of its stack that it stands on.
//
// No result of a call before this one can be lost: they lie in the region.
func (p *Program) DropMemory() error {
	if p.in.dead != nil {
		return p.in.dead
	}
	text, err := textSegment()
	if err != nil {
		return err
	}
	page := uintptr(unix.Getpagesize())
	r := uintptr(unsafe.Pointer(p.in.region))
	keep := []span{
		text,
		{r, r + unsafe.Sizeof(region{})},
		// fork's frame, below it loop's and those of RawSyscall6: nosplit
		// frames together take less than 800 bytes.
		{p.in.stack - page, p.in.stack + page},
	}
	for _, gap := range gaps(keep, page) {
		p.Add("munmap", fmt.Sprintf("%#x-%#x", gap.start, gap.end), unix.SYS_MUNMAP, gap.start, gap.end-gap.start)
		p.Accept(unix.EINVAL) // above the end of a smaller address space
	}
	return nil
}

// span is a range of addresses, without its end.
type span struct{ start, end uintptr }

// pages rounds a span out to whole pages.
func (s span) pages(page uintptr) span {
	return span{s.start &^ (page - 1), (s.end + page - 1) &^ (page - 1)}
}

// gaps lists what lies between the spans to keep, rounded out to pages, from
// the lowest address a process can map to the highest.
func gaps(keep []span, page uintptr) []span {
	for i := range keep {
		keep[i] = keep[i].pages(page)
	}
	for i := range keep {
		for j := i; j > 0 && keep[j].start < keep[j-1].start; j-- {
			keep[j], keep[j-1] = keep[j-1], keep[j]
		}
	}
	var list []span
	at := page
	for _, k := range keep {
		if k.start > at {
			list = append(list, span{at, k.start})
		}
		if k.end > at {
			at = k.end
		}
	}
	for _, top := range addressSpaceEnds {
		if top > at {
			list = append(list, span{at, top})
			at = top
		}
	}
	return list
}

// textSegment finds the executable segment of the running binary in its own
// program headers, which the kernel says the place of (getauxval(3)).
func textSegment() (span, error) {
	auxv, err := unix.Auxv()
	if err != nil {
		return span{}, fmt.Errorf("read the auxiliary vector: %w", err)
	}
	var at, count uintptr
	for _, kv := range auxv {
		switch kv[0] {
		case atPHDR:
			at = kv[1]
		case atPHNUM:
			count = kv[1]
		}
	}
	if at == 0 {
		return span{}, errors.New("the auxiliary vector has no AT_PHDR")
	}
	return execSpan(unsafe.Slice(programHeaders(at), count))
}

// programHeaders is an address that the kernel gave, of memory that is not
// Go's: the conversion that vet warns of is the point here.
func programHeaders(at uintptr) *phdr { return *(**phdr)(unsafe.Pointer(&at)) }

const (
	atPHDR  = 3
	atPHNUM = 5

	ptLoad   = 1
	ptInterp = 3
	ptPhdr   = 6
	pfX      = 1
)

// phdr is Elf64_Phdr of elf(5).
type phdr struct {
	typ, flags           uint32
	off, vaddr, paddr    uintptr
	filesz, memsz, align uintptr
}

func execSpan(list []phdr) (span, error) {
	base := uintptr(0)
	for i := range list {
		if list[i].typ == ptInterp {
			return span{}, errors.New("mocker was built with cgo, and its C library cannot be left behind: build it with make, or with CGO_ENABLED=0")
		}
		if list[i].typ == ptPhdr { // tells by how much a PIE was moved
			base = uintptr(unsafe.Pointer(&list[0])) - list[i].vaddr
		}
	}
	for _, h := range list {
		if h.typ == ptLoad && h.flags&pfX != 0 {
			return span{base + h.vaddr, base + h.vaddr + h.memsz}, nil
		}
	}
	return span{}, errors.New("the program has no executable segment")
}
