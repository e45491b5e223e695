package devcg

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unsafe"

	devices "github.com/opencontainers/cgroups/devices/config"
	"golang.org/x/sys/unix"
)

// Members of union bpf_attr (linux/bpf.h). The kernel takes those that are left
// out at the end for zero. Pointers are pointers: mocker is for machines of
// 64 bits.
type (
	loadAttr struct {
		programType uint32
		count       uint32
		program     *instruction
		license     *byte
		logLevel    uint32
		logSize     uint32
		log         *byte
	}
	attachAttr struct {
		cgroup     uint32
		program    uint32
		attachType uint32
		flags      uint32
		replaced   uint32
	}
	detachAttr struct {
		cgroup     uint32
		program    uint32
		attachType uint32
	}
	queryAttr struct {
		cgroup     uint32
		attachType uint32
		flags      uint32
		answer     uint32
		ids        *[mostPrograms]uint32
		count      uint32
		padding    uint32
	}
)

// mostPrograms can be attached to a cgroup (BPF_CGROUP_MAX_PROGS).
const mostPrograms = 64

// Attach gives a cgroup of v2 rules in the place of those that it has: there is
// no moment without either.
func Attach(dir string, rules []*devices.Rule) error {
	p, err := compile(rules)
	if err != nil {
		return err
	}
	cgroup, err := unix.Open(dir, unix.O_DIRECTORY|unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", dir, err)
	}
	defer unix.Close(cgroup)
	if err := attach(cgroup, p.program()); err != nil {
		return fmt.Errorf("load the rules into %s: %w", dir, err)
	}
	return nil
}

// attach takes one program's place (BPF_F_REPLACE). If there are several,
// which are not mocker's doing, it comes first and then they go.
func attach(cgroup int, program []instruction) error {
	old, err := attached(cgroup)
	defer func() {
		for _, fd := range old {
			_ = unix.Close(fd)
		}
	}()
	if err != nil {
		return err
	}
	fd, err := load(program)
	if err != nil {
		return err
	}
	defer unix.Close(fd) // the cgroup keeps the program
	attr := attachAttr{cgroup: uint32(cgroup), program: uint32(fd), attachType: unix.BPF_CGROUP_DEVICE, flags: unix.BPF_F_ALLOW_MULTI}
	if len(old) == 1 {
		attr.flags |= unix.BPF_F_REPLACE
		attr.replaced = uint32(old[0])
		old = nil
	}
	if _, err := bpf(unix.BPF_PROG_ATTACH, &attr); err != nil {
		return fmt.Errorf("BPF_PROG_ATTACH: %w", err)
	}
	for _, fd := range old {
		if _, err := bpf(unix.BPF_PROG_DETACH, &detachAttr{uint32(cgroup), uint32(fd), unix.BPF_CGROUP_DEVICE}); err != nil {
			return fmt.Errorf("BPF_PROG_DETACH of an old program: %w", err)
		}
	}
	return nil
}

// attached opens the programs that a cgroup has, also in part if there is an
// error. One that a security module keeps from us stays: all of them have to
// allow an access, so it cannot do harm.
func attached(cgroup int) (fds []int, err error) {
	var ids [mostPrograms]uint32
	query := queryAttr{uint32(cgroup), unix.BPF_CGROUP_DEVICE, 0, 0, &ids, mostPrograms, 0}
	if _, err := bpf(unix.BPF_PROG_QUERY, &query); err != nil {
		return nil, fmt.Errorf("BPF_PROG_QUERY: %w", err)
	}
	for _, id := range ids[:query.count] {
		fd, err := bpf(unix.BPF_PROG_GET_FD_BY_ID, &id)
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
			continue
		}
		if err != nil {
			return fds, fmt.Errorf("BPF_PROG_GET_FD_BY_ID %d: %w", id, err)
		}
		fds = append(fds, fd)
	}
	return fds, nil
}

// load has the kernel check a program, and returns its descriptor. If it is
// refused, the error has the end of what the verifier says.
func load(program []instruction) (int, error) {
	license := []byte("Apache\x00")
	attr := loadAttr{
		programType: unix.BPF_PROG_TYPE_CGROUP_DEVICE, count: uint32(len(program)), program: &program[0], license: &license[0],
	}
	fd, err := bpf(unix.BPF_PROG_LOAD, &attr)
	if err == nil {
		return fd, nil
	}
	log := make([]byte, 1<<16)
	attr.logLevel, attr.logSize, attr.log = 1, uint32(len(log)), &log[0]
	if fd, again := bpf(unix.BPF_PROG_LOAD, &attr); again == nil {
		return fd, nil
	}
	text, _, _ := bytes.Cut(log, []byte{0})
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return -1, fmt.Errorf("BPF_PROG_LOAD: %w: %s", err, strings.Join(lines[max(0, len(lines)-4):], "; "))
}

// bpf is bpf(2). A signal interrupts the verifier, and Go's runtime sends
// itself some.
func bpf[Attr any](command uintptr, attr *Attr) (int, error) {
	for try := 0; ; try++ {
		result, _, errno := unix.Syscall(unix.SYS_BPF, command, uintptr(unsafe.Pointer(attr)), unsafe.Sizeof(*attr))
		switch {
		case errno == 0:
			return int(result), nil
		case errno != unix.EAGAIN || try == mostTries:
			return -1, errno
		}
	}
}

// mostTries are as many as other libraries make.
const mostTries = 30
