// Package nofile keeps the RLIMIT_NOFILE that mocker was started with.
//
// It acts on the parent's side and only reads. Go's package syscall raises
// the soft limit in its init and gives nobody the old value; a container
// whose config.json sets no RLIMIT_NOFILE has to get that old value back, or
// programs that close or poll every possible descriptor become slow in it.
//
// The limit is read in this package's own init, which runs before that of
// syscall: since Go 1.21 packages are initialised in the order of their
// import paths, each as soon as everything that it imports is ready. This
// package imports nothing and "github.com/..." sorts before "syscall". That
// is why it makes its system call by hand: any import that reaches syscall
// would turn the order round. A test holds it.
package nofile

// rlimit is struct rlimit64 of prlimit(2).
type rlimit struct {
	soft, hard uint64
}

// original is written by init alone.
var original rlimit

func init() {
	if prlimit(&original) != 0 {
		// Only a seccomp filter around mocker can refuse the call. 1024
		// and 4096 are the kernel's own first limits (INR_OPEN_CUR and
		// INR_OPEN_MAX in linux/fs.h).
		original = rlimit{soft: 1024, hard: 4096}
	}
}

// prlimit is prlimit64(0, RLIMIT_NOFILE, NULL, lim); it returns 0 or a
// negative errno.
//
//go:noescape
func prlimit(lim *rlimit) int64

// Original returns the soft and the hard RLIMIT_NOFILE that mocker was
// started with, as numbers of descriptors; ^uint64(0) is no limit.
func Original() (soft, hard uint64) {
	return original.soft, original.hard
}
