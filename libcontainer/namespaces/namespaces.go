// Package namespaces enters the namespaces of a container that clone3(2)
// cannot give it at birth: those that exist already and are joined by path,
// the cgroup namespace, whose root is where its first process stands, and all
// of those that a process of a running container is in.
//
// It acts through an inside.Child, right after its birth. Pid and user
// namespaces cannot be joined by path; specconv refuses them.
package namespaces

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
	"github.com/mocker-runtime/mocker/libcontainer/inside"
)

// AtBirth is the part of cfg's new namespaces that clone3 makes. The cgroup
// namespace is not among them: the child is not in its cgroup yet.
func AtBirth(cfg *config.Config) uintptr {
	return cfg.NewFlags() &^ (unix.CLONE_NEWCGROUP | unix.CLONE_NEWTIME)
}

// Join enters the namespaces that are given by path, in the order of cfg.
func Join(in *inside.Child, cfg *config.Config) error {
	for _, ns := range cfg.Namespaces {
		if ns.Path == "" {
			continue
		}
		if err := join(in, ns); err != nil {
			return fmt.Errorf("join the %s namespace %s: %w", ns.Type, ns.Path, err)
		}
	}
	return nil
}

func join(in *inside.Child, ns config.Namespace) error {
	// Not blocking: it may be a FIFO.
	fd, err := unix.Open(ns.Path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer unix.Close(fd)
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return fmt.Errorf("statfs: %w", err)
	}
	if fs.Type != unix.NSFS_MAGIC {
		return fmt.Errorf("not a namespace file: %w", unix.EINVAL)
	}
	if flag, err := unix.IoctlRetInt(fd, unix.NS_GET_NSTYPE); err != nil || uintptr(flag) != ns.Flag {
		return fmt.Errorf("a namespace of another type: %w", unix.EINVAL)
	}
	return in.Setns(fd, ns.Type+" namespace", ns.Flag)
}

// UnshareCgroup makes the cgroup namespace, once the child is in its cgroup.
func UnshareCgroup(in *inside.Child, cfg *config.Config) error {
	if cfg.NewFlags()&unix.CLONE_NEWCGROUP == 0 {
		return nil
	}
	return in.Unshare("CLONE_NEWCGROUP", unix.CLONE_NEWCGROUP)
}

// LoopbackUp brings up the loopback interface of a new network namespace, as
// every runtime does.
func LoopbackUp(in *inside.Child, cfg *config.Config) error {
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
