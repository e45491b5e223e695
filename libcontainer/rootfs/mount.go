package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

// Mount does the mounts of the configuration in their order.
func (r *Root) Mount() error {
	for i := range r.cfg.Mounts {
		m := &r.cfg.Mounts[i]
		var err error
		switch {
		case m.Remount:
			err = r.remount(m)
		case m.Type == "bind":
			err = r.bind(m)
		case m.Type == "cgroup" || m.Type == "cgroup2":
			err = r.mountCgroup(m)
		default:
			err = r.mountFS(m)
		}
		var wrong *fieldError
		switch {
		case errors.As(err, &wrong):
			return fmt.Errorf("mounts[%d].%s: %w", m.Index, wrong.field, wrong.err)
		case err != nil:
			return fmt.Errorf("mounts[%d] (%s on %s): %w", m.Index, m.Type, m.Destination, err)
		}
	}
	return nil
}

// fieldError is an error that one property of a mount is to blame for.
type fieldError struct {
	field string // its name in config.json
	err   error
}

func (e *fieldError) Error() string { return e.field + ": " + e.err.Error() }
func (e *fieldError) Unwrap() error { return e.err }

// target opens the place that a mount goes to.
func (r *Root) target(m *config.Mount, dir bool) (int, error) {
	fd, err := r.place(m.Destination, dir)
	if err != nil {
		return -1, &fieldError{"destination", err}
	}
	return fd, nil
}

// bind attaches a copy of a mount of the host.
func (r *Root) bind(m *config.Mount) error {
	tree, err := r.openTree(m.Source, m.Recursive)
	if m.MayMiss && errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return &fieldError{"source", err}
	}
	defer unix.Close(tree)
	dir, err := isDirectory(tree)
	if err != nil {
		return fmt.Errorf("stat %s: %w", m.Source, err)
	}
	if m.IDMap != nil {
		if err := r.mapIDs(tree, m); err != nil {
			return err
		}
	}
	if err := r.setBindAttrs(tree, m); err != nil {
		return err
	}
	place, err := r.target(m, dir)
	if err != nil {
		return err
	}
	defer unix.Close(place)
	if err := r.in.MoveMount(tree, place); err != nil {
		return err
	}
	return r.keepPropagation(tree, m)
}

// setBindAttrs gives the copy its attributes while nobody sees it yet. It was
// made in the host's mount namespace: where the root is not to be shared, it
// must stop sending its mounts there.
func (r *Root) setBindAttrs(tree int, m *config.Mount) error {
	def := unix.MountAttr{Propagation: unix.MS_SLAVE}
	switch {
	case r.cfg.Rootfs.Propagation&unix.MS_SHARED != 0:
		def.Propagation = 0
	case r.cfg.Rootfs.Propagation&unix.MS_PRIVATE != 0:
		def.Propagation = unix.MS_PRIVATE
	}
	def.Attr_set, def.Attr_clr = m.RecSet, m.RecClear
	if err := r.setattr(tree, unix.AT_RECURSIVE, def); err != nil {
		return err
	}
	if err := r.setattr(tree, 0, unix.MountAttr{Attr_set: m.Set, Attr_clr: m.Clear}); err != nil {
		return err
	}
	return setPropagation(m.Propagation, func(flags int, attr unix.MountAttr) error { return r.setattr(tree, flags, attr) })
}

// setPropagation applies MS_* flags in order, by the parent or by the child.
func setPropagation(list []uintptr, set func(flags int, attr unix.MountAttr) error) error {
	for _, flag := range list {
		flags := 0
		if flag&unix.MS_REC != 0 {
			flags = unix.AT_RECURSIVE
		}
		if err := set(flags, unix.MountAttr{Propagation: uint64(flag &^ unix.MS_REC)}); err != nil {
			return err
		}
	}
	return nil
}

// mountFS mounts a new file system.
func (r *Root) mountFS(m *config.Mount) error {
	place, covers, err := r.targetFS(m)
	if err != nil {
		return err
	}
	defer unix.Close(place)
	data := m.Data
	if m.Type == "tmpfs" && covers {
		data = append(modeOf(place), data...)
	}

	set, readonly := m.Set, m.Set&unix.MOUNT_ATTR_RDONLY != 0
	delay := m.Type == "tmpfs" && readonly
	if delay {
		set &^= unix.MOUNT_ATTR_RDONLY
		data = slices.DeleteFunc(slices.Clone(data), func(option string) bool { return option == "ro" })
	}
	on := place
	if m.CopyUp || m.Type == "mqueue" {
		on = -1 // it is not ready to be seen
	}
	mnt, err := r.mountAt(m.Type, m.Source, r.withLabel(m.Type, data), set, on)
	if m.MayMiss && errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	switch {
	case m.CopyUp:
		err = r.copyUp(place, mnt)
	case m.Type == "mqueue":
		err = errors.Join(r.ownQueues(mnt), r.labelRoot(mnt))
	}
	if on < 0 {
		mnt, err = r.put(mnt, place, err)
	}
	if err != nil {
		return err
	}
	return r.afterAttach(mnt, m, delay)
}

// targetFS opens the place that a new file system goes to; covers says that
// there was one already.
func (r *Root) targetFS(m *config.Mount) (place int, covers bool, err error) {
	if m.Type == "proc" || m.Type == "sysfs" {
		place, err = r.notALink(m)
	} else {
		place, err = r.existing(m.Destination, true)
	}
	covers = err == nil
	if errors.Is(err, unix.ENOENT) {
		place, err = r.missing(m.Destination, true)
	}
	if err != nil {
		return -1, false, &fieldError{"destination", err}
	}
	return place, covers, nil
}

// ownQueues gives the directory of a new ipc namespace's message queues to the
// root of the container. The kernel made it at the birth, as that of whoever
// the child was then, whom a user namespace need not know. One that is joined
// is another container's, or the host's.
func (r *Root) ownQueues(mnt int) error {
	if !r.cfg.Has(unix.CLONE_NEWUSER) || r.cfg.NewFlags()&unix.CLONE_NEWIPC == 0 {
		return nil
	}
	dir, err := r.in.Openat2(mnt, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_XDEV)
	if err != nil {
		return fmt.Errorf("own the message queues: %w", err)
	}
	defer unix.Close(dir)
	uid, gid := r.cfg.UIDMap.First(), r.cfg.GIDMap.First()
	// Root may give them to anybody. An ordinary user may not, but its child
	// may if the user namespace has a name for that user.
	if os.Geteuid() != 0 {
		err = r.in.Fchownat(dir, "", int(uid), int(gid))
	} else {
		uid, _ = r.cfg.UIDMap.Outside(uid)
		gid, _ = r.cfg.GIDMap.Outside(gid)
		err = unix.Fchown(dir, int(uid), int(gid))
	}
	if err != nil && !errors.Is(err, unix.EPERM) { // nobody's, and usable all the same
		return fmt.Errorf("own the message queues: %w", err)
	}
	return nil
}

// notALink refuses an image that leads the mount of a procfs or sysfs astray,
// as runc and crun do: what is written below /proc and /sys, labels above all,
// is taken to arrive in the kernel (CVE-2019-19921, CVE-2023-27561). It gives
// the place.
func (r *Root) notALink(m *config.Mount) (int, error) {
	dir, name := path.Split(m.Destination)
	fd, err := r.in.OpenBelow(r.fd, relative(dir), name, inRoot)
	if err != nil {
		return -1, err
	}
	isDir, err := isDirectory(fd)
	if err == nil && !isDir {
		err = fmt.Errorf("filesystem %q must be mounted on ordinary directory, which %s is not", m.Type, m.Destination)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// modeOf is the option that gives a tmpfs the mode of the directory that it
// covers, as runc does; an option of the configuration comes after it.
// Where there was none, the kernel's default does, 1777.
func modeOf(fd int) []string {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil
	}
	return []string{fmt.Sprintf("mode=%04o", st.Mode&0o7777)}
}

// afterAttach sets what applies to an attached mount, and keeps the fd of a
// tmpfs that becomes read-only only when everything in it has been made.
func (r *Root) afterAttach(mnt int, m *config.Mount, delay bool) error {
	if delay {
		r.late = append(r.late, lateAttr{mnt, m.Destination, unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}})
	} else {
		defer unix.Close(mnt)
	}
	if m.RecSet|m.RecClear != 0 {
		attr := unix.MountAttr{Attr_set: m.RecSet, Attr_clr: m.RecClear}
		if err := r.in.MountSetattr(mnt, unix.AT_RECURSIVE, attr); err != nil {
			return err
		}
	}
	if err := r.setPropagation(mnt, m.Propagation); err != nil {
		return err
	}
	return r.keepPropagation(mnt, m)
}
