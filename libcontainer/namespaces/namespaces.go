// Package namespaces enters the namespaces of a container that clone3(2)
// cannot give it at birth, gives a user namespace its maps and a time
// namespace its offsets.
//
// It acts through an inside.Child, right after its birth; what can only be
// written from outside, the maps and the offsets, the parent writes. It
// mounts nothing: what a mount namespace holds is rootfs's.
//
// Who may enter what, and who owns what is new, depends on the user
// namespace that the child is in at the time (setns(2), unshare(2)). Hence
// the order: what can be joined from the user namespace of mocker; the user
// namespace; what can be joined only from there; then the new ones, which are
// owned by it.
package namespaces

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
	"github.com/mocker-runtime/mocker/libcontainer/inside"
)

// late are those that no clone3 makes here: the child is not in its cgroup
// yet, and a time namespace is entered by a fork.
const late = unix.CLONE_NEWCGROUP | unix.CLONE_NEWTIME

// AtBirth is the part of cfg's new namespaces that clone3 makes: none if a
// user namespace comes with others that are joined, for from inside of it
// they could not be; no pid namespace if a copy of the child is to be its
// init, see needsCopy.
func AtBirth(cfg *config.Config) uintptr {
	if cfg.Has(unix.CLONE_NEWUSER) && joins(cfg) {
		return 0
	}
	flags := cfg.NewFlags() &^ late
	if needsCopy(cfg) {
		flags &^= unix.CLONE_NEWPID
	}
	return flags
}

// needsCopy reports whether only a copy of the child will be in all of its
// namespaces: before Linux 6.2 execve does not enter a new time namespace, and
// the child would keep the clocks of the host for as long as it lives.
func needsCopy(cfg *config.Config) bool {
	return cfg.NewFlags()&unix.CLONE_NEWTIME != 0
}

func joins(cfg *config.Config) bool {
	for _, ns := range cfg.Namespaces {
		if ns.Path != "" {
			return true
		}
	}
	return false
}

// Entered is what is of use after the namespaces have been entered.
type Entered struct {
	// PID is the pid namespace that is joined, nil if none is. The child is
	// not in it: only a process that it clones will be.
	PID *os.File
}

// Close gives back the fds.
func (e *Entered) Close() {
	if e.PID != nil {
		e.PID.Close()
	}
}

// Enter brings the child, which was born as AtBirth says and is in its
// cgroup, into all of its namespaces. It may be another process afterwards.
// Maps that cfg leaves open, those of a user namespace that is joined, are
// filled in.
func Enter(in *inside.Child, cfg *config.Config) (*Entered, error) {
	e := &Entered{}
	err := e.join(in, cfg)
	if err == nil {
		err = create(in, cfg)
	}
	if err == nil {
		err = loopbackUp(in, cfg)
	}
	if err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

// join enters the namespaces that are given by path.
func (e *Entered) join(in *inside.Child, cfg *config.Config) error {
	var list []*target
	defer func() {
		for _, t := range list {
			t.file.Close()
		}
	}()
	for _, ns := range cfg.Namespaces {
		if ns.Path == "" {
			continue
		}
		f, err := open(ns)
		if err != nil {
			return joinError(ns, err)
		}
		list = append(list, &target{Namespace: ns, file: f})
	}
	if err := enterAll(in, list, cfg.Has(unix.CLONE_NEWUSER)); err != nil {
		return err
	}
	for i, t := range list {
		if t.Flag == unix.CLONE_NEWPID {
			e.PID = t.file
			list = append(list[:i], list[i+1:]...)
			break
		}
	}
	return nil
}

// target is a namespace to join.
type target struct {
	config.Namespace
	file    *os.File
	entered bool
}

// enterAll enters the user namespace last but for those that mocker's own
// user namespace has no power over: they belong to the one that is joined.
func enterAll(in *inside.Child, list []*target, user bool) error {
	for _, ownedByUser := range []bool{false, true} {
		for _, t := range list {
			if t.entered || t.Flag == unix.CLONE_NEWUSER && !ownedByUser {
				continue
			}
			err := in.Setns(int(t.file.Fd()), t.Type+" namespace", t.Flag)
			if errors.Is(err, unix.EPERM) && user && !ownedByUser {
				continue
			}
			if err != nil {
				return joinError(t.Namespace, explain(t.Namespace, err))
			}
			t.entered = true
		}
	}
	return nil
}

func joinError(ns config.Namespace, err error) error {
	return fmt.Errorf("join the %s namespace %s: %w", ns.Type, ns.Path, err)
}

// explain adds to what setns(2) says.
func explain(ns config.Namespace, err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w (it belongs to a user namespace that mocker has no power over)", err)
	case errors.Is(err, unix.EINVAL) && ns.Flag == unix.CLONE_NEWPID:
		return fmt.Errorf("%w (it is neither mocker's own nor one below it)", err)
	}
	return err
}

// open opens a namespace's file and makes sure that it is one.
func open(ns config.Namespace) (*os.File, error) {
	// Not blocking: it may be a FIFO.
	fd, err := unix.Open(ns.Path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	if err := check(fd, ns.Flag); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), ns.Path), nil
}

func check(fd int, want uintptr) error {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return fmt.Errorf("statfs: %w", err)
	}
	if fs.Type != unix.NSFS_MAGIC {
		return fmt.Errorf("not a namespace file: %w", unix.EINVAL)
	}
	if flag, err := unix.IoctlRetInt(fd, unix.NS_GET_NSTYPE); err != nil || uintptr(flag) != want {
		return fmt.Errorf("a namespace of another type: %w", unix.EINVAL)
	}
	return nil
}

// create makes the new namespaces that the child was not born into, and
// gives it an identity in its user namespace.
func create(in *inside.Child, cfg *config.Config) error {
	flags := cfg.NewFlags() &^ late &^ AtBirth(cfg)
	if now := flags &^ unix.CLONE_NEWPID; now != 0 {
		if err := in.Unshare("new namespaces", now); err != nil {
			return err
		}
	}
	if err := mapIDs(in, cfg); err != nil {
		return err
	}
	if cfg.NewFlags()&unix.CLONE_NEWCGROUP != 0 {
		if err := in.Unshare("CLONE_NEWCGROUP", unix.CLONE_NEWCGROUP); err != nil {
			return err
		}
	}
	if cfg.NewFlags()&unix.CLONE_NEWTIME != 0 {
		if err := in.Unshare("CLONE_NEWTIME", unix.CLONE_NEWTIME); err != nil {
			return err
		}
		if err := writeOffsets(in.PID, cfg.TimeOffsets); err != nil {
			return err
		}
	}
	// Last of what an ordinary user writes about the child: with an id that
	// is not its user's it becomes root's (proc(5)).
	if err := takeIDs(in, cfg); err != nil {
		return err
	}
	if flags&unix.CLONE_NEWPID != 0 || needsCopy(cfg) && cfg.PathOf(unix.CLONE_NEWPID) == "" {
		// In a new pid namespace nobody but the copy is. The way into one that
		// is joined leads through a copy anyhow.
		if err := in.HandOver(flags & unix.CLONE_NEWPID); err != nil {
			return err
		}
	}
	if os.Geteuid() != 0 && cfg.PathOf(unix.CLONE_NEWPID) == "" {
		// Hooks have to join it, which takes a right over it that an ordinary
		// user has not over what is hidden. Nobody else is in there.
		return in.Show()
	}
	return in.Hide()
}

// writeOffsets sets the clocks of the time namespace that the child has made
// and is not in yet (time_namespaces(7)).
func writeOffsets(pid int, offsets []config.TimeOffset) error {
	for _, o := range offsets {
		line := fmt.Sprintf("%s %d %d", o.Clock, o.Secs, o.Nanosec)
		err := writeProc(pid, "timens_offsets", line)
		if errors.Is(err, unix.ERANGE) {
			return fmt.Errorf("linux.timeOffsets.%s: %w (the clock would stand before 0, or too far ahead)", o.Clock, err)
		}
		if err != nil {
			return fmt.Errorf("linux.timeOffsets.%s: %w", o.Clock, err)
		}
	}
	return nil
}

// loopbackUp brings up the loopback interface of a new network namespace, as
// every runtime does.
func loopbackUp(in *inside.Child, cfg *config.Config) error {
	if cfg.NewFlags()&unix.CLONE_NEWNET == 0 {
		return nil
	}
	sock, err := in.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return fmt.Errorf("bring up lo: %w", err)
	}
	defer unix.Close(sock)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return fmt.Errorf("bring up lo: %w", err)
	}
	ifr.SetUint16(unix.IFF_UP)
	if err := in.IoctlIfreq(sock, "SIOCSIFFLAGS", unix.SIOCSIFFLAGS, ifr); err != nil {
		return fmt.Errorf("bring up lo: %w", err)
	}
	return nil
}
