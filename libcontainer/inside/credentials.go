package inside

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

// Caps are three of the sets of capabilities(7), one bit per capability.
type Caps struct {
	Effective, Permitted, Inheritable uint64
}

// capHeader and capData are the structures of capget(2), version 3.
type capHeader struct {
	version uint32
	_       int32 // pid: 0, the caller
}

type capData [2]struct{ effective, permitted, inheritable uint32 }

func capHeaderBytes() []byte {
	return bytesOf(&capHeader{version: unix.LINUX_CAPABILITY_VERSION_3})
}

// Capget gives the child's capabilities.
func (in *Child) Capget() (Caps, error) {
	p := in.NewProgram()
	out := p.room(int(unsafe.Sizeof(capData{})), 8) // the beginning of the arena
	p.Add("capget", "", unix.SYS_CAPGET, capHeaderBytes(), out)
	if err := p.Run(); err != nil {
		return Caps{}, err
	}
	d := *(*capData)(unsafe.Pointer(&in.region.arena))
	return Caps{
		Effective:   uint64(d[0].effective) | uint64(d[1].effective)<<32,
		Permitted:   uint64(d[0].permitted) | uint64(d[1].permitted)<<32,
		Inheritable: uint64(d[0].inheritable) | uint64(d[1].inheritable)<<32,
	}, nil
}

// AddCapset appends capset(2).
func (p *Program) AddCapset(c Caps) {
	var d capData
	d[0].effective, d[1].effective = uint32(c.Effective), uint32(c.Effective>>32)
	d[0].permitted, d[1].permitted = uint32(c.Permitted), uint32(c.Permitted>>32)
	d[0].inheritable, d[1].inheritable = uint32(c.Inheritable), uint32(c.Inheritable>>32)
	object := fmt.Sprintf("effective %#x, permitted %#x, inheritable %#x", c.Effective, c.Permitted, c.Inheritable)
	p.Add("capset", object, unix.SYS_CAPSET, capHeaderBytes(), bytesOf(&d))
}

// AddSetgroups appends setgroups(2).
func (p *Program) AddSetgroups(groups []uint32) {
	list := make([]byte, 0, 4*len(groups)+4)
	for i := range groups {
		list = append(list, bytesOf(&groups[i])...)
	}
	p.Add("setgroups", fmt.Sprint(groups), unix.SYS_SETGROUPS, len(groups), list)
}

// AddSetrlimit appends setrlimit(2).
func (p *Program) AddSetrlimit(r config.Rlimit) {
	p.Add("setrlimit", fmt.Sprintf("%s to soft %d, hard %d", r.Name, r.Soft, r.Hard),
		unix.SYS_PRLIMIT64, 0, r.Resource, bytesOf(&unix.Rlimit{Cur: r.Soft, Max: r.Hard}), nil)
}

// AddPoll appends a ppoll(2) without a time limit for one of two fds to
// become readable.
func (p *Program) AddPoll(a, b int) {
	fds := [2]unix.PollFd{{Fd: int32(a), Events: unix.POLLIN}, {Fd: int32(b), Events: unix.POLLIN}}
	p.Add("ppoll", "", unix.SYS_PPOLL, bytesOf(&fds), 2, nil, nil, 0)
}

// FailureSize is the length of what AddWriteFailure writes.
const FailureSize = int(unsafe.Sizeof(failure{}))

// Failure decodes what AddWriteFailure wrote into the index of the call and
// its errno.
func Failure(b [FailureSize]byte) (index int, errno unix.Errno) {
	f := *(*failure)(unsafe.Pointer(&b))
	return int(f.slot) - 1, unix.Errno(f.errno)
}

// Credentials decide what the file system allows. Of Caps, As takes the
// effective set.
type Credentials struct {
	FSUID, FSGID uint32
	Groups       []uint32
	Caps         Caps
}

// As does something with other file system rights (setfsuid(2)) than the
// child has, and gives it back its own.
func (in *Child) As(user Credentials, do func() error) error {
	own, err := in.credentials()
	if err != nil {
		return err
	}
	user.Caps.Permitted, user.Caps.Inheritable = own.Caps.Permitted, own.Caps.Inheritable
	user.Caps.Effective &= own.Caps.Permitted
	if err := in.actAs(user); err != nil {
		return err
	}
	err = do()
	return errors.Join(err, in.actAs(own))
}

// TakeIDs gives the child ids of the user namespace that it has entered, in
// which the ones it was born with need not have a name. Its capabilities
// there stay. denied says that the namespace denies setgroups(2); else the
// child drops its groups.
func (in *Child) TakeIDs(uid, gid uint32, denied bool) error {
	in.fixedGroups = in.fixedGroups || denied
	p := in.NewProgram()
	p.Add("prctl", "PR_SET_KEEPCAPS", unix.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 1)
	if !in.fixedGroups {
		p.AddSetgroups(nil)
	}
	p.Add("setresgid", fmt.Sprint(gid), unix.SYS_SETRESGID, int(gid), int(gid), int(gid))
	p.Add("setresuid", fmt.Sprint(uid), unix.SYS_SETRESUID, int(uid), int(uid), int(uid))
	p.Add("prctl", "PR_SET_KEEPCAPS", unix.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 0)
	p.Add("prctl", "PR_SET_PDEATHSIG", unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, int(unix.SIGKILL)) // a change of ids clears it
	if err := p.Run(); err != nil {
		return err
	}
	caps, err := in.Capget()
	if err != nil || caps.Effective == caps.Permitted {
		return err
	}
	// Of an id that is not 0 the effective set is empty.
	caps.Effective = caps.Permitted
	p = in.NewProgram()
	p.AddCapset(caps)
	return p.Run()
}

// KeepGroups leaves the child the supplementary groups that it was born with.
func (in *Child) KeepGroups() { in.fixedGroups = true }

// FixedGroups reports whether the child's groups stay as they are: its user
// namespace denies setgroups(2), or KeepGroups has been called.
func (in *Child) FixedGroups() bool { return in.fixedGroups }

// Show is the opposite of Hide, also of what a change of ids has done: who has
// the child's ids may look into it.
func (in *Child) Show() error {
	return in.do("prctl", "PR_SET_DUMPABLE", unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 1)
}

// Hide makes the child undumpable: nobody without capabilities over mocker
// itself may trace it or look into it (PR_SET_DUMPABLE).
func (in *Child) Hide() error {
	return in.do("prctl", "PR_SET_DUMPABLE", unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0)
}

// credentials are the child's own, with the ids of its user namespace.
func (in *Child) credentials() (Credentials, error) {
	caps, err := in.Capget()
	if err != nil {
		return Credentials{}, err
	}
	p := in.NewProgram()
	list := p.room(4*maxGroups, 4) // the beginning of the arena
	uid := p.Add("geteuid", "", unix.SYS_GETEUID)
	gid := p.Add("getegid", "", unix.SYS_GETEGID)
	count := p.Add("getgroups", "", unix.SYS_GETGROUPS, maxGroups, list)
	if err := p.Run(); err != nil {
		return Credentials{}, err
	}
	own := Credentials{FSUID: uint32(p.Value(uid)), FSGID: uint32(p.Value(gid)), Caps: caps}
	groups := (*[maxGroups]uint32)(unsafe.Pointer(&in.region.arena))
	own.Groups = append(own.Groups, groups[:min(max(p.Value(count), 0), maxGroups)]...)
	return own, nil
}

const maxGroups = 65536 // NGROUPS_MAX, getgroups(2)

// actAs takes on a file system identity. setfsuid to or from 0 changes
// capabilities; they are set after it. For setgroups all that are permitted
// are needed, on the way back too.
func (in *Child) actAs(c Credentials) error {
	p := in.NewProgram()
	all := c.Caps
	all.Effective = all.Permitted
	p.AddCapset(all)
	if !in.fixedGroups {
		p.AddSetgroups(c.Groups)
	}
	p.Add("setfsgid", fmt.Sprint(c.FSGID), unix.SYS_SETFSGID, int(c.FSGID))
	p.Add("setfsuid", fmt.Sprint(c.FSUID), unix.SYS_SETFSUID, int(c.FSUID))
	p.AddCapset(c.Caps)
	return p.Run()
}
