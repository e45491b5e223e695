// Package entry is mocker before the Go runtime. The linker is told to enter
// the program here (-E, see the Makefile); a binary without that works the
// same, and slower.
//
// A mocker that enters containers is started twice, to be sealed: see package
// seal. What is done here is the first of these without a start of the
// runtime. It takes the common road alone, root's overlayfs, and says nothing:
// whatever is out of the ordinary it leaves to seal.Ensure, which finds
// nothing changed.
//
// Before the runtime there is no heap, no stack that could grow, and no g.
// Hence everything is nosplit, has what it needs in variables of the package,
// and calls nothing but itself, nofile and RawSyscall6: TestCode disassembles it.
package entry

import (
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/nofile"
)

// Mark is the variable of the environment that tells the second start what it
// has been started from: see package seal, which reads it.
const Mark = "_MOCKER_SEALED"

// Overlay is the first word of a mark that is made here.
const Overlay = "overlay"

// Start is where the kernel starts the program (start_*.s). It calls Early and
// goes on to Go's own entry.
func Start()

const exe = "/proc/self/exe"

// maxEnviron is how many variables of the environment Early can pass on.
const maxEnviron = 1022

// secondLayer is the other directory that overlayfs insists on.
const secondLayer = "/run\x00"

// memory is all there is to write to before the runtime.
var memory struct {
	storage [128]byte // the thread's, until it has one of the runtime's: start_amd64.s

	exePath text // of this program
	layers  text // option of the overlayfs
	fdPath  text // of the sealed copy
	mark    text // variable of the environment

	environ     [maxEnviron + 2]uintptr
	exeFS       syscall.Statfs_t
	exe, sealed syscall.Stat_t // the program, and its sealed copy
	renamed     bool           // the second start has been given its name

	processors processors
	slack      uintptr // that mocker was given, in nanoseconds; 0: it still has it
}

// stack is what the kernel puts on that of a new program: argc, the arguments,
// nil, the environment, nil.
type stack [1 << 16]*byte

//go:nosplit
//go:norace
//go:nocheckptr
func (s *stack) at(i uint) *byte { return s[i%uint(len(s))] }

// Early seals the program if one of its arguments may be a verb that enters a
// container, which something has to follow. Where the word is something else,
// an id for one, that costs a mount and no more. The runtime then finds timers,
// processors and the limit of descriptors as it is to use them.
//
//go:nosplit
//go:norace
//go:nocheckptr
func Early(s *stack) {
	argc := uint(uintptr(unsafe.Pointer(s.at(0))))
	enters := false
	for i := uint(2); i < argc; i++ { // an id follows
		word := s.at(i)
		enters = enters || begins(word, "create\x00") || begins(word, "run\x00") || begins(word, "exec\x00")
	}
	if enters {
		seal(s, argc)
	}
	bind()
	loosen()
	nofile.Withhold()
	runtime.MemProfileRate = 0 // the linker sees to that, but only after the first sample
}

// seal executes the program anew, sealed, if it is root's and is not yet.
//
//go:nosplit
//go:norace
//go:nocheckptr
func seal(s *stack, argc uint) {
	if call(syscall.SYS_GETEUID, args{}) != 0 {
		return
	}
	n := uint(0)
	for ; s.at(argc+2+n) != nil; n++ {
		word := s.at(argc + 2 + n)
		if begins(word, Mark+"=") {
			rename(word)
			return
		}
		if n >= maxEnviron {
			return
		}
		memory.environ[n] = uintptr(unsafe.Pointer(word))
	}
	sealed := openSealed()
	if sealed < 0 || n > maxEnviron {
		return
	}
	memory.environ[n] = memory.mark.addr()
	memory.fdPath.add("/proc/self/fd/")
	memory.fdPath.number(uint64(sealed))
	call(syscall.SYS_EXECVE, args{memory.fdPath.addr(), uintptr(unsafe.Pointer(&s[1])), uintptr(unsafe.Pointer(&memory.environ[0]))})
	shut(sealed)
}

// rename gives the second start the name of the file: executed through
// /proc/self/fd/N, it is called "N".
//
//go:nosplit
//go:norace
//go:nocheckptr
func rename(mark *byte) {
	name := unsafe.Pointer(mark)
	for p := name; *(*byte)(p) != 0; p = unsafe.Add(p, 1) {
		if *(*byte)(p) == '/' {
			name = unsafe.Add(p, 1)
		}
	}
	memory.renamed = call(syscall.SYS_PRCTL, args{unix.PR_SET_NAME, uintptr(name)}) == 0
}

// Renamed reports whether the second start has been given its name here.
func Renamed() bool { return memory.renamed }

// openSealed opens the program below an overlayfs, as package seal does, and
// writes the mark. It is negative if that cannot be had.
//
//go:nosplit
//go:norace
//go:nocheckptr
func openSealed() int {
	fd := open(unix.AT_FDCWD, constant(exe+"\x00"), unix.O_PATH)
	known := fd >= 0 && call(syscall.SYS_FSTAT, args{uintptr(fd), uintptr(unsafe.Pointer(&memory.exe))}) == 0 &&
		call(syscall.SYS_FSTATFS, args{uintptr(fd), uintptr(unsafe.Pointer(&memory.exeFS))}) == 0
	shut(fd)
	if !known || memory.exeFS.Flags&unix.ST_RDONLY != 0 {
		return -1
	}
	n := call(syscall.SYS_READLINKAT, args{unix.AT_FDCWD & (1<<64 - 1), constant(exe + "\x00"), memory.exePath.addr(), unix.PathMax})
	if n <= 0 || n >= unix.PathMax {
		return -1
	}
	base := uint(n)
	for ; base > 0 && memory.exePath.buf[(base-1)%maxText] != '/'; base-- {
	}
	if base < 2 {
		return -1 // below the root directory
	}
	memory.exePath.buf[(base-1)%maxText] = 0
	dir := open(unix.AT_FDCWD, memory.exePath.addr(), unix.O_PATH|unix.O_DIRECTORY)
	memory.exePath.buf[(base-1)%maxText] = '/'
	second := open(unix.AT_FDCWD, constant(secondLayer), unix.O_PATH|unix.O_DIRECTORY)
	mnt := mountLayers(dir, second)
	shut(dir)
	shut(second)
	if mnt < 0 {
		return -1
	}
	fd = open(mnt, memory.exePath.addr()+uintptr(base), unix.O_PATH|unix.O_NOFOLLOW)
	shut(mnt)
	if fd < 0 || call(syscall.SYS_FSTAT, args{uintptr(fd), uintptr(unsafe.Pointer(&memory.sealed))}) != 0 || !sameFile() {
		shut(fd)
		return -1
	}
	memory.mark.add(Mark + "=" + Overlay)
	memory.mark.colonNumber(memory.sealed.Dev)
	memory.mark.colonNumber(memory.sealed.Ino)
	memory.mark.colonNumber(memory.exe.Dev)
	memory.mark.colonNumber(memory.exe.Ino)
	memory.mark.add(":")
	for i := uint(0); i < uint(n); i++ {
		memory.mark.put(memory.exePath.buf[i%maxText])
	}
	return fd
}

// mountLayers makes a detached overlayfs of two directories.
//
//go:nosplit
//go:norace
//go:nocheckptr
func mountLayers(first, second int) int {
	if first < 0 || second < 0 {
		return -1
	}
	fs := call(unix.SYS_FSOPEN, args{constant("overlay\x00"), unix.FSOPEN_CLOEXEC})
	if fs < 0 {
		return fs
	}
	memory.layers.add("/proc/self/fd/")
	memory.layers.number(uint64(first))
	memory.layers.add(":/proc/self/fd/")
	memory.layers.number(uint64(second))
	mnt := -1
	if call(unix.SYS_FSCONFIG, args{uintptr(fs), unix.FSCONFIG_SET_STRING, constant("lowerdir\x00"), memory.layers.addr()}) == 0 &&
		call(unix.SYS_FSCONFIG, args{uintptr(fs), unix.FSCONFIG_CMD_CREATE}) == 0 {
		mnt = call(unix.SYS_FSMOUNT, args{uintptr(fs), unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_RDONLY})
	}
	shut(fs)
	return mnt
}

// sameFile makes sure that the overlay shows the program: its path may lead to
// another by now.
//
//go:nosplit
//go:norace
//go:nocheckptr
func sameFile() bool {
	a, b := &memory.exe, &memory.sealed
	return a.Size == b.Size && a.Mtim == b.Mtim && a.Ctim == b.Ctim && a.Mode == b.Mode && a.Uid == b.Uid && a.Gid == b.Gid
}

//go:nosplit
//go:norace
//go:nocheckptr
func open(dir int, path uintptr, flags int) int {
	return call(syscall.SYS_OPENAT, args{uintptr(dir), path, uintptr(flags | unix.O_CLOEXEC)})
}

// args are the arguments of a system call.
type args [5]uintptr

// call gives the result of a system call, or its errno with a minus.
//
//go:nosplit
//go:norace
//go:nocheckptr
func call(nr uintptr, a args) int {
	r, _, errno := syscall.RawSyscall6(nr, a[0], a[1], a[2], a[3], a[4], 0)
	if errno != 0 {
		return -int(errno)
	}
	return int(r)
}

//go:nosplit
//go:norace
//go:nocheckptr
func shut(fd int) {
	if fd >= 0 {
		call(syscall.SYS_CLOSE, args{uintptr(fd)})
	}
}

// constant is the address of a string that ends in NUL.
//
//go:nosplit
//go:norace
//go:nocheckptr
func constant(s string) uintptr { return uintptr(unsafe.Pointer(unsafe.StringData(s))) }

// begins reports whether the string of the kernel's at p begins with prefix.
//
//go:nosplit
//go:norace
//go:nocheckptr
func begins(p *byte, prefix string) bool {
	for i := 0; i < len(prefix); i++ {
		if *(*byte)(unsafe.Add(unsafe.Pointer(p), i)) != prefix[i] {
			return false
		}
	}
	return true
}

const maxText = 8192

// text is a string in the making, with a NUL behind it. What is too long is
// cut off: a path has less than half the room.
type text struct {
	buf [maxText]byte
	len uint
}

//go:nosplit
//go:norace
//go:nocheckptr
func (t *text) addr() uintptr { return uintptr(unsafe.Pointer(&t.buf)) }

//go:nosplit
//go:norace
//go:nocheckptr
func (t *text) put(c byte) {
	if t.len < maxText-1 {
		t.buf[t.len] = c
		t.len++
	}
}

//go:nosplit
//go:norace
//go:nocheckptr
func (t *text) add(s string) {
	for i := 0; i < len(s); i++ {
		t.put(s[i])
	}
}

//go:nosplit
//go:norace
//go:nocheckptr
func (t *text) number(n uint64) {
	if n > 9 {
		unit := uint64(10)
		for ; unit <= n/10; unit *= 10 {
		}
		for ; unit > 1; unit /= 10 {
			digit := byte('0')
			for ; n >= unit; n -= unit {
				digit++
			}
			t.put(digit)
		}
	}
	t.put('0' + byte(n))
}

//go:nosplit
//go:norace
//go:nocheckptr
func (t *text) colonNumber(n uint64) {
	t.put(':')
	t.number(n)
}
