// Package nofile keeps the RLIMIT_NOFILE that mocker was started with.
//
// It acts on the parent's side. Go's package syscall raises
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

// original is written before main alone.
var (
	original rlimit
	withheld bool
)

// few descriptors are enough for stdin, stdout and stderr, which the runtime
// opens where they are closed.
const few = 3

// Withhold keeps the limit before the runtime starts, and leaves it room for no
// file but the first three until this package's init gives it back. A runtime
// that starts reads /proc/self/cgroup, /proc/self/mountinfo and the limits of the
// cgroup (defaultGOMAXPROCSInit in its cgroup_linux.go), whatever it is told by
// containermaxprocs or GOMAXPROCS: a fourteenth of the time of a short command.
// It goes on as it does without a /proc.
//
//go:nosplit
//go:norace
//go:nocheckptr
func Withhold() {
	if prlimit(nil, &original) != 0 || original.soft <= few {
		return
	}
	less := rlimit{few, original.hard}
	withheld = prlimit(&less, nil) == 0
}

func init() {
	if withheld {
		prlimit(&original, nil) // which is within the hard limit as it was
		return
	}
	if prlimit(nil, &original) != 0 {
		// Only a seccomp filter around mocker can refuse the call. 1024
		// and 4096 are the kernel's own first limits (INR_OPEN_CUR and
		// INR_OPEN_MAX in linux/fs.h).
		original = rlimit{soft: 1024, hard: 4096}
	}
}

// prlimit is prlimit64(0, RLIMIT_NOFILE, limit, old); it returns 0 or a
// negative errno.
//
//go:noescape
func prlimit(limit, old *rlimit) int64

// Original returns the soft and the hard RLIMIT_NOFILE that mocker was
// started with, as numbers of descriptors; ^uint64(0) is no limit.
func Original() (soft, hard uint64) {
	return original.soft, original.hard
}
