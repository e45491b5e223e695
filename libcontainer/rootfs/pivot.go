package rootfs

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Pivot makes the rootfs the root of the mount namespace and takes the old
// one away, with pivot_root(2) as its manual page shows: the old root is
// stacked on the new one and unmounted from there, no directory needed.
//
// noPivot moves the mount over the root and changes into it, for a host whose
// root is the initial ramdisk, which cannot be pivoted away. A process with
// CAP_SYS_ADMIN can get out of such a container.
func (r *Root) Pivot(noPivot bool) error {
	if err := r.in.Fchdir(r.fd, r.cfg.Rootfs.Path); err != nil {
		return err
	}
	if noPivot {
		return r.moveRoot()
	}
	if err := r.in.PivotRoot(".", "."); err != nil {
		return err
	}
	// The old root's mounts must not be unmounted on the host as well.
	if err := r.in.SetPropagation(".", unix.MS_SLAVE|unix.MS_REC); err != nil {
		return fmt.Errorf("make the old root a slave: %w", err)
	}
	if err := r.in.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount the old root: %w", err)
	}
	return r.in.Chdir("/")
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
// made, and gives the root its propagation.
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
	if p := r.cfg.Rootfs.Propagation; p != 0 {
		if err := r.in.SetPropagation("/", p); err != nil {
			return fmt.Errorf("set the propagation of the root: %w", err)
		}
	}
	return nil
}
