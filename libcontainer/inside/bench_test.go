package inside

import (
	"testing"

	"golang.org/x/sys/unix"
)

// BenchmarkCall is one system call inside, there and back.
func BenchmarkCall(b *testing.B) {
	in, err := New(Birth{Namespaces: unix.CLONE_NEWNS, CgroupFD: -1})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { in.Kill(); in.Close() }()
	for b.Loop() {
		if _, err := in.call1("getppid", "", unix.SYS_GETPPID); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBirth is a birth with the namespaces of the default bundle, and
// the end of the child.
func BenchmarkBirth(b *testing.B) {
	for b.Loop() {
		in, err := New(Birth{Namespaces: allNew, CgroupFD: -1})
		if err != nil {
			b.Fatal(err)
		}
		in.Kill()
		in.Close()
		in.Release()
	}
}
