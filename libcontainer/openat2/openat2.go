// Package openat2 is what everybody has to know who calls openat2(2) with
// RESOLVE_IN_ROOT or RESOLVE_BENEATH: the kernel gives up with EAGAIN when
// something, anywhere, is renamed or mounted meanwhile. A container, or anybody
// else, may do so all the time.
package openat2

import (
	"errors"

	"golang.org/x/sys/unix"
)

// tries bounds the races that are lost.
const tries = 128

// Retry calls open until its error is not EAGAIN, and gives that back.
func Retry(open func() error) (err error) {
	for range tries {
		if err = open(); !errors.Is(err, unix.EAGAIN) {
			break
		}
	}
	return err
}

// Open opens path below dir (openat2(2)); resolve are RESOLVE_* flags. The fd is
// close-on-exec.
func Open(dir int, path string, flags, resolve uint64) (fd int, err error) {
	how := unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: resolve}
	err = Retry(func() (err error) {
		fd, err = unix.Openat2(dir, path, &how)
		return err
	})
	return fd, err
}
