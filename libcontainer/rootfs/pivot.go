package rootfs

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

// Pivot makes the rootfs the root of the mount namespace and takes the old
// one away, with pivot_root(2) as its manual page shows: the old root is
// stacked on the new one and unmounted from there, no directory needed.
//
// noPivot moves the mount over the root and changes into it, for a host whose
// root is the initial ramdisk, which cannot be pivoted away. A process with
// CAP_SYS_ADMIN can get out of such a container. Where the mount namespace is
// the host's, the root changes for the child alone.
func (r *Root) Pivot(noPivot bool) error {
	if shares(r.cfg) || noPivot {
		if err := r.in.Fchdir(r.fd, r.cfg.Rootfs.Path); err != nil {
			return err
		}
		if shares(r.cfg) {
			return r.chroot()
		}
		return r.moveRoot()
	}
	// What is unmounted here stays mounted on the host: New has made all of
	// the old root slaves. umount(2) alone takes "." for what lies on top.
	unmounting, err := r.in.ReplaceRoot(r.fd, r.cfg.Rootfs.Path)
	if unmounting {
		return fmt.Errorf("unmount the old root: %w", err)
	}
	return err
}

func (r *Root) moveRoot() error {
	root, err := r.in.Openat2(unix.AT_FDCWD, "/", unix.O_PATH|unix.O_DIRECTORY, 0, 0)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	if err := r.in.MoveMount(r.fd, root); err != nil {
		return fmt.Errorf("move the root to /: %w", err)
	}
	if err := r.in.Chroot("."); err != nil {
		return err
	}
	return r.in.Chdir("/")
}

// Finish makes read-only what was kept writable until everything in it was
// made.
func (r *Root) Finish() error {
	for _, l := range r.late {
		if err := r.in.MountSetattr(l.fd, 0, l.attr); err != nil {
			return fmt.Errorf("make %s read-only: %w", l.path, err)
		}
	}
	if r.cfg.Rootfs.Readonly {
		if err := r.in.MountSetattr(r.fd, 0, unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}); err != nil {
			return fmt.Errorf("make the root read-only: %w", err)
		}
	}
	return nil
}

// Propagate gives the root its propagation, and if that is meant for all below
// it as well, the mounts that have options of their own theirs again. It is
// the last thing to happen to the root: what is unbindable cannot be made
// read-only any more.
func (r *Root) Propagate() error {
	p := r.cfg.Rootfs.Propagation
	if p == 0 {
		return nil
	}
	if err := r.in.SetPropagation("/", p); err != nil {
		return fmt.Errorf("set the propagation of the root: %w", err)
	}
	for _, own := range r.own {
		if err := r.setPropagation(own.fd, own.list); err != nil {
			return fmt.Errorf("set the propagation of %s: %w", own.path, err)
		}
	}
	return nil
}

// keepPropagation remembers the propagation of a mount for Propagate.
func (r *Root) keepPropagation(mnt int, m *config.Mount) error {
	if len(m.Propagation) == 0 || r.cfg.Rootfs.Propagation&unix.MS_REC == 0 {
		return nil
	}
	fd, err := unix.FcntlInt(uintptr(mnt), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("dup: %w", err)
	}
	r.own = append(r.own, ownPropagation{fd, m.Destination, m.Propagation})
	return nil
}

func (r *Root) setPropagation(mnt int, list []uintptr) error {
	return setPropagation(list, func(flags int, attr unix.MountAttr) error { return r.in.MountSetattr(mnt, flags, attr) })
}
