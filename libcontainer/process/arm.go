package process

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
	"github.com/mocker-runtime/mocker/libcontainer/entry"
	"github.com/mocker-runtime/mocker/libcontainer/inside"
)

// Marker is what the process writes to Gate.Started right before execve. A
// failure is written after it, or instead of it: see Failure.
const Marker = '.'

// Gate is where the child waits for start. Both are FIFOs opened for reading
// and writing, so that neither side blocks in an open or loses the other.
type Gate struct {
	Start   int // not blocking; start writes one byte
	Started int // the child writes Marker, then failures; it closes with execve
}

// Last is what the last program is made of.
type Last struct {
	Process   *config.Process // nil: there is nothing to start
	Path      string          // of the executable, from LookUp
	Env       []string        // the whole environment
	Gate      Gate
	Joins     bool        // it is one more process of a container: see Join; there is no Gate
	Terminal  *os.File    // the container's end of the terminal; nil: see Stdio
	Stdio     [3]*os.File // standard streams without a terminal; nil: inherited
	Mortal    bool        // with Joins: it ends with the thread of its parent
	Preserve  int         // fds from 3 on that the process keeps
	Nofile    [2]uint64
	Inhabited bool // the pid namespace is joined: others live there
	Open      bool // dumpable while it waits: hooks and exec of an ordinary user may join it

	// Of Process.Seccomp; neither is needed without it.
	Judge func(nr uintptr, args [6]uintptr) uint32 // what the filter answers to a call: SECCOMP_RET_*
	Pass  func(pid int, listener *os.File) error   // gives the listener for a process to who is to have it
}

// Arm makes the child ready for the rest of its life, which happens without
// its parent. When it returns the child has let go of everything it shared
// with the parent; the program that it returns waits for start and ends in
// execve. The caller posts it when the container is known as created.
//
// It is two programs, because an error before the child is on its own belongs
// to create: the first one is answered, the second one not.
//
// In a pid namespace that others live in, whoever has CAP_SYS_PTRACE there can
// do with what it sees as it likes. So the child, which is not in it yet, also
// takes on the final credentials, and only a copy of it with nothing left to
// lose goes there, to wait and to execute the program.
func Arm(in *inside.Child, last Last) (*inside.Program, error) {
	if last.Inhabited {
		if err := in.WatchPipe(); err != nil {
			return nil, err
		}
	}
	signals, err := in.Signalfd(deadly())
	if err != nil {
		return nil, err
	}
	keep := []int{signals, last.Gate.Start, last.Gate.Started}
	if last.filtersEarly() {
		err = filterEarly(in, last, keep)
	} else {
		err = letGo(in, last, keep)
	}
	if err != nil {
		return nil, err
	}
	if err := entry.Unbind(in.PID); err != nil {
		return nil, err
	}
	if err := schedule(in.PID, last.Process); err != nil {
		return nil, err
	}
	p := in.NewProgram()
	if last.Open {
		p.Add("prctl", "PR_SET_DUMPABLE", unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 1)
	}
	waitForStart(p, in, last, signals)
	if last.Process != nil {
		if !last.Inhabited && !last.filtersEarly() {
			becomeUser(p, in, last.Process)
		}
		execute(p, last)
	}
	p.Epilogue()
	p.AddWriteFailure(last.Gate.Started)
	p.Add("exit_group", "", unix.SYS_EXIT_GROUP, 255)
	return p, p.Check()
}

// moveIn takes the child into the pid namespace that it joins.
func moveIn(in *inside.Child, last Last) error {
	return in.MoveIn(func(p *inside.Program) {
		if last.Process != nil && !last.filtersEarly() {
			becomeUser(p, in, last.Process)
		}
	}, func(p *inside.Program) {
		startSession(p, last, nil)
		if last.Process != nil {
			limitProcesses(p, last.Process.Rlimits)
		}
	})
}

// letGo takes the child away from its parent: its memory, its death signal,
// its fds but those to keep. The pidfd of the parent stays open as long as the
// parent could still fail to hand over the second program.
func letGo(in *inside.Child, last Last, keep []int) error {
	p := in.NewProgram()
	if err := forgetParent(p, last); err != nil {
		return err
	}
	takeFiles(p, last, append(keep, in.ParentFD()))
	if err := p.Run(); err != nil {
		return err
	}
	// Before it is of another user, whose limits only CAP_SYS_RESOURCE can set.
	if err := setRlimits(in.PID, last); err != nil || !last.Inhabited {
		return err
	}
	return moveIn(in, last)
}

// forgetParent is the part of letGo that is not about fds.
func forgetParent(p *inside.Program, last Last) error {
	if err := p.DropMemory(); err != nil {
		return err
	}
	// The end of a session's leader would hang it up.
	if last.Terminal != nil && !last.Joins && !last.Inhabited {
		p.Add("ioctl", "TIOCSCTTY", unix.SYS_IOCTL, int(last.Terminal.Fd()), unix.TIOCSCTTY, 0)
	}
	for sig := 1; sig <= 64; sig++ {
		p.Add("rt_sigaction", fmt.Sprint(sig), unix.SYS_RT_SIGACTION, sig, make([]byte, sizeofSigaction), nil, 8)
		p.Accept(unix.EINVAL) // KILL and STOP
	}
	p.Add("prctl", "PR_SET_PDEATHSIG", unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, 0)
	return nil
}

// takeFiles gives the child a table of fds of its own, with its standard
// streams and those to keep. The table is unshared by close_range(2), and not
// by unshare(2), which the seccomp filters of engines deny.
func takeFiles(p *inside.Program, last Last, keep []int) {
	end := uint64(^uint32(0))
	p.Add("close_range", "CLOSE_RANGE_UNSHARE", unix.SYS_CLOSE_RANGE, end, end, unix.CLOSE_RANGE_UNSHARE)
	if last.Terminal != nil {
		last.Stdio = [3]*os.File{last.Terminal, last.Terminal, last.Terminal}
	}
	for fd, f := range last.Stdio {
		if f != nil {
			p.Add("dup3", f.Name(), unix.SYS_DUP3, int(f.Fd()), fd, 0)
		}
	}
	closeOthers(p, 3+last.Preserve, keep)
}

// sizeofSigaction is the size of the kernel's struct sigaction with a mask of
// 64 signals, rounded up; all zero is SIG_DFL.
const sizeofSigaction = 32

// closeOthers closes all fds from first on but those to keep.
func closeOthers(p *inside.Program, first int, keep []int) {
	slices.Sort(keep)
	for _, fd := range keep {
		if fd > first {
			p.Add("close_range", fmt.Sprintf("%d-%d", first, fd-1), unix.SYS_CLOSE_RANGE, first, fd-1, 0)
		}
		first = max(first, fd+1)
	}
	p.Add("close_range", fmt.Sprintf("%d-", first), unix.SYS_CLOSE_RANGE, first, uint64(^uint32(0)), 0)
}

// deadly are the signals whose default action ends a process, as a mask:
// a process that waits for start ends by them, as runc's does, although the
// kernel would not let them reach the init of a pid namespace.
func deadly() uint64 {
	mask := ^uint64(0)
	for _, sig := range []unix.Signal{unix.SIGCHLD, unix.SIGCONT, unix.SIGURG, unix.SIGWINCH,
		unix.SIGSTOP, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGKILL} {
		mask &^= 1 << (sig - 1)
	}
	return mask
}

// waitForStart waits for a byte on the start FIFO or for a deadly signal. The
// read does not block: it fails if it was a signal, and so ends the program.
func waitForStart(p *inside.Program, in *inside.Child, last Last, signals int) {
	start := last.Gate.Start
	p.Add("close", "watch over mocker", unix.SYS_CLOSE, in.ParentFD())
	p.AddPoll(start, signals)
	p.Add("read", "start", unix.SYS_READ, start, make([]byte, 8), 1)
	p.Add("close", "start", unix.SYS_CLOSE, start)
	p.Add("close", "signals", unix.SYS_CLOSE, signals)
}

// becomeUser takes on the final credentials, but for a capability that is
// needed to load the seccomp filter: see loadFilter. Order: the bounding set and the
// groups while there are capabilities to change them; the ids with
// PR_SET_KEEPCAPS, or the capabilities would be gone; then the sets.
func becomeUser(p *inside.Program, in *inside.Child, proc *config.Process) {
	p.Add("umask", fmt.Sprintf("%#o", proc.Umask), unix.SYS_UMASK, int(proc.Umask))
	for c := 0; c < 64; c++ {
		if proc.Caps.Bounding>>c&1 == 0 {
			p.Add("prctl", fmt.Sprintf("PR_CAPBSET_DROP %d", c), unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, c)
			p.Accept(unix.EINVAL) // a capability that this kernel does not have
		}
	}
	if !in.FixedGroups() {
		p.AddSetgroups(proc.Groups)
	}
	p.Add("prctl", "PR_SET_KEEPCAPS", unix.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 1)
	p.Add("setresgid", fmt.Sprint(proc.GID), unix.SYS_SETRESGID, int(proc.GID), int(proc.GID), int(proc.GID))
	p.Add("setresuid", fmt.Sprint(proc.UID), unix.SYS_SETRESUID, int(proc.UID), int(proc.UID), int(proc.UID))
	p.Add("prctl", "PR_SET_KEEPCAPS", unix.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 0)
	caps, loader := finalCaps(proc), filterCap(proc)
	caps.Effective, caps.Permitted = caps.Effective|loader, caps.Permitted|loader
	p.AddCapset(caps)
	p.Add("prctl", "PR_CAP_AMBIENT_CLEAR_ALL", unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL)
	for c := 0; c < 64; c++ {
		if proc.Caps.Ambient>>c&1 == 1 {
			p.Add("prctl", fmt.Sprintf("PR_CAP_AMBIENT_RAISE %d", c), unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, c)
		}
	}
	if proc.NoNewPrivs {
		p.Add("prctl", "PR_SET_NO_NEW_PRIVS", unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1)
	}
}

// execute ends in the container's program. Whatever is still open closes
// with the execve (CVE-2024-21626), and the end of Started says so to start.
func execute(p *inside.Program, last Last) {
	if !last.filtersEarly() || last.Process.Seccomp.Notify {
		closeOnExec(p, last)
	}
	p.Add("write", "started", unix.SYS_WRITE, last.Gate.Started, []byte{Marker}, 1)
	p.Add("rt_sigprocmask", "none", unix.SYS_RT_SIGPROCMASK, sigSetmask, make([]byte, 8), nil, 8)
	if !last.filtersEarly() {
		loadFilter(p, last)
	}
	p.Add("exec", last.Path, unix.SYS_EXECVE, last.Path, last.Process.Args, last.Env)
}

// closeOnExec marks all fds that the process does not get.
func closeOnExec(p *inside.Program, last Last) {
	p.Add("close_range", "close-on-exec", unix.SYS_CLOSE_RANGE, 3+last.Preserve, uint64(^uint32(0)), unix.CLOSE_RANGE_CLOEXEC)
}

func finalCaps(proc *config.Process) inside.Caps {
	return inside.Caps{Effective: proc.Caps.Effective, Permitted: proc.Caps.Permitted, Inheritable: proc.Caps.Inheritable}
}

const sigSetmask = 2 // SIG_SETMASK

// setRlimits sets the limits from outside: an error belongs to create, and a
// low limit bites nothing that the child still has to do.
func setRlimits(pid int, last Last) error {
	nofile := false
	if last.Process == nil {
		return nil
	}
	for _, r := range last.Process.Rlimits {
		nofile = nofile || r.Resource == unix.RLIMIT_NOFILE
		if (last.Joins || last.Inhabited) && r.Resource == unix.RLIMIT_NPROC {
			continue // see limitProcesses
		}
		if err := setRlimit(pid, r); err != nil {
			return err
		}
	}
	if !nofile && last.Nofile[1] != 0 {
		return setRlimit(pid, config.Rlimit{Name: "RLIMIT_NOFILE", Resource: unix.RLIMIT_NOFILE, Soft: last.Nofile[0], Hard: last.Nofile[1]})
	}
	return nil
}

func setRlimit(pid int, r config.Rlimit) error {
	lim := unix.Rlimit{Cur: r.Soft, Max: r.Hard}
	err := unix.Prlimit(pid, r.Resource, &lim, nil)
	if errors.Is(err, unix.EPERM) && r.Resource == unix.RLIMIT_NOFILE {
		return fmt.Errorf("set %s to soft %d, hard %d: %w (fs.nr_open is the most, and raising a hard limit takes CAP_SYS_RESOURCE)", r.Name, r.Soft, r.Hard, err)
	}
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("set %s to soft %d, hard %d: %w (raising a hard limit takes CAP_SYS_RESOURCE)", r.Name, r.Soft, r.Hard, err)
	}
	if err != nil {
		return fmt.Errorf("set %s to soft %d, hard %d: %w", r.Name, r.Soft, r.Hard, err)
	}
	return nil
}

// FixStdio gives the process's stdio to its user, as runc does, so that it
// can open /dev/stdout again. The null device and what cannot be given away
// stay as they are: in a user namespace all that it does not own. ids are its
// user ids.
func FixStdio(in *inside.Child, last Last, ids config.IDMap) error {
	p := last.Process
	for fd, f := range last.Stdio {
		if f != nil {
			fd = int(f.Fd())
		}
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			return fmt.Errorf("stat fd %d: %w", fd, err)
		}
		if owner, ok := ids.Inside(st.Uid); !ok || owner == p.UID || st.Rdev == unix.Mkdev(1, 3) {
			continue
		}
		err := in.Fchownat(fd, "", int(p.UID), -1)
		if err != nil && !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EROFS) {
			return fmt.Errorf("give fd %d to user %d: %w", fd, p.UID, err)
		}
	}
	return nil
}
