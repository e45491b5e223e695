package inside

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// denying is a filter that answers some calls with EPERM.
func denying(flags uint, calls ...uint32) *Filter {
	f := &Filter{Flags: flags}
	f.Instructions = append(f.Instructions, unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}) // nr
	for _, nr := range calls {
		f.Instructions = append(f.Instructions,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: nr},
			unix.SockFilter{Code: unix.BPF_RET, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)})
	}
	f.Instructions = append(f.Instructions, unix.SockFilter{Code: unix.BPF_RET, K: unix.SECCOMP_RET_ALLOW})
	f.Judge = func(nr uintptr, _ [6]uintptr) uint32 {
		for _, denied := range calls {
			if uint32(nr) == denied {
				return unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
			}
		}
		return unix.SECCOMP_RET_ALLOW
	}
	return f
}

// loadSeccomp gives a child a filter.
func loadSeccomp(in *Child, f *Filter) (listener int, err error) {
	p := in.NewProgram()
	p.Add("getcwd", "before", unix.SYS_GETCWD, make([]byte, 4096), 4096) // is not under it yet
	res := p.AddSeccomp(f)
	err = p.Run()
	return p.Value(res), err
}

// TestSeccomp: the filter holds for the child; a program with a call that it
// denies is refused by the name of the call before any call of it is made.
func TestSeccomp(t *testing.T) {
	needRoot(t)
	in := birth(t, unix.CLONE_NEWPID)
	if _, err := loadSeccomp(in, denying(0, unix.SYS_GETCWD)); err != nil {
		t.Fatal(err)
	}
	p := in.NewProgram()
	p.Add("umask", "", unix.SYS_UMASK, 0o123)
	p.Add("getcwd", "", unix.SYS_GETCWD, make([]byte, 4096), 4096)
	var refused *FilterError
	if err := p.Run(); !errors.As(err, &refused) || refused.Call != "getcwd" {
		t.Errorf("got %v", err)
	}
	if mask, err := in.call1("umask", "", unix.SYS_UMASK, 0); err != nil || mask == 0o123 {
		t.Errorf("umask %#o, %v: the refused program was begun", mask, err)
	}
	in.filter.Judge = func(uintptr, [6]uintptr) uint32 { return unix.SECCOMP_RET_ALLOW }
	if _, err := in.Getcwd(); !errors.Is(err, unix.EPERM) {
		t.Errorf("the kernel says %v", err)
	}
}

// TestSeccompLoop: what the child needs to go on has to be allowed, before it
// is too late.
func TestSeccompLoop(t *testing.T) {
	needRoot(t)
	for name, nr := range map[string]uint32{"futex": unix.SYS_FUTEX, "ppoll": unix.SYS_PPOLL, "exit_group": unix.SYS_EXIT_GROUP} {
		in := birth(t, unix.CLONE_NEWPID)
		var refused *FilterError
		if _, err := loadSeccomp(in, denying(0, nr)); !errors.As(err, &refused) || refused.Call != name {
			t.Errorf("%s: got %v", name, err)
		}
		if _, err := in.Getcwd(); err != nil {
			t.Errorf("the child does not go on: %v", err)
		}
	}
}

// TestSeccompListener: the listener comes to the parent, who shares the table
// of fds.
func TestSeccompListener(t *testing.T) {
	needRoot(t)
	in := birth(t, unix.CLONE_NEWPID)
	fd, err := loadSeccomp(in, denying(unix.SECCOMP_FILTER_FLAG_NEW_LISTENER))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC == 0 || unix.Fstat(fd, &st) != nil {
		t.Errorf("fd %d: flags %#x, %v", fd, flags, err)
	}
}

func TestCheckSeccomp(t *testing.T) {
	if err := CheckSeccomp(unix.SECCOMP_FILTER_FLAG_LOG); err != nil {
		t.Error(err)
	}
	if err := CheckSeccomp(1 << 30); err == nil || !strings.Contains(err.Error(), "invalid argument: the kernel has no seccomp filters with the flags 0x40000000") {
		t.Errorf("got %v", err)
	}
}
