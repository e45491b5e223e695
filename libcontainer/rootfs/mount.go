package rootfs

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

// Mount does the mounts of the configuration in their order.
func (r *Root) Mount() error {
	for i := range r.cfg.Mounts {
		m := &r.cfg.Mounts[i]
		var err error
		switch m.Type {
		case "bind":
			err = r.bind(m)
		case "cgroup":
			err = r.mountCgroup(m)
		default:
			err = r.mountFS(m)
		}
		if err != nil {
			return fmt.Errorf("mounts[%d] (%s on %s): %w", m.Index, kind(m), m.Destination, err)
		}
	}
	return nil
}

func kind(m *config.Mount) string {
	if m.Type == "bind" {
		return m.Source
	}
	return m.Type
}

// bind attaches a copy of a mount of the host.
func (r *Root) bind(m *config.Mount) error {
	tree, err := r.openTree(m.Source, m.Recursive)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	dir, err := isDirectory(tree)
	if err != nil {
		return fmt.Errorf("stat %s: %w", m.Source, err)
	}
	if err := r.setBindAttrs(tree, m); err != nil {
		return err
	}
	place, err := r.place(m.Destination, dir)
	if err != nil {
		return err
	}
	defer unix.Close(place)
	return r.in.MoveMount(tree, place)
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
	data := m.Data
	if m.Type == "tmpfs" {
		data = append(r.modeOf(m.Destination), data...)
	}
	place, err := r.place(m.Destination, true)
	if err != nil {
		return err
	}
	defer unix.Close(place)

	set, readonly := m.Set, m.Set&unix.MOUNT_ATTR_RDONLY != 0
	delay := m.Type == "tmpfs" && readonly
	if delay {
		set &^= unix.MOUNT_ATTR_RDONLY
		data = slices.DeleteFunc(slices.Clone(data), func(option string) bool { return option == "ro" })
	}
	mnt, err := r.newMount(m.Type, m.Source, data, set)
	if err != nil {
		return err
	}
	if m.CopyUp {
		err = r.copyUp(place, mnt, 0)
	}
	if err == nil {
		err = r.in.MoveMount(mnt, place)
	}
	if err != nil {
		unix.Close(mnt)
		return err
	}
	return r.afterAttach(mnt, m, delay)
}

// modeOf is the option that gives a tmpfs the mode of the directory that it
// covers, as runc does; an option of the configuration comes after it.
func (r *Root) modeOf(p string) []string {
	fd, err := r.open(p, unix.O_PATH)
	if err != nil {
		return nil // it is made; the kernel's default is 1777
	}
	defer unix.Close(fd)
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
	return setPropagation(m.Propagation, func(flags int, attr unix.MountAttr) error { return r.in.MountSetattr(mnt, flags, attr) })
}

// maxOption is the longest value that fsconfig(2) takes.
const maxOption = 255

// newMount makes a detached mount of a new file system. When the kernel
// refuses an option, what it has to say about that is in the error.
func (r *Root) newMount(fstype, source string, data []string, attrs uint64) (int, error) {
	fs, err := r.in.Fsopen(fstype)
	if errors.Is(err, unix.ENODEV) {
		return -1, fmt.Errorf("%w (this kernel has no file system %q)", err, fstype)
	}
	if err != nil {
		return -1, r.refused(fstype, err)
	}
	defer unix.Close(fs)
	if err := r.configure(fs, fstype, source, data); err != nil {
		return -1, r.refused(fstype, fmt.Errorf("%w%s", err, kernelSays(fs)))
	}
	mnt, err := r.in.Fsmount(fs, attrs)
	return mnt, r.refused(fstype, err)
}

// owners are the file systems that show a namespace, and so can be mounted
// only by the user namespace that owns it.
var owners = map[string]struct {
	flag      uintptr
	namespace string
	instead   string
}{
	"proc":   {unix.CLONE_NEWPID, "pid", ": bind-mount /proc instead"},
	"sysfs":  {unix.CLONE_NEWNET, "network", ": bind-mount /sys instead"},
	"mqueue": {unix.CLONE_NEWIPC, "ipc", ""},
}

// refused says what the kernel's EPERM for a file system means.
func (r *Root) refused(fstype string, err error) error {
	o, ok := owners[fstype]
	if !errors.Is(err, unix.EPERM) || !ok {
		return err
	}
	if r.cfg.NewFlags()&o.flag == 0 {
		return fmt.Errorf("%w (the container's user namespace does not own its %s namespace%s)", err, o.namespace, o.instead)
	}
	return fmt.Errorf("%w (mocker itself is in a container, which has a %s that is masked in part)", err, fstype)
}

func (r *Root) configure(fs int, fstype, source string, data []string) error {
	if source == "" {
		source = fstype
	}
	if err := r.in.FsconfigString(fs, "source", source); err != nil {
		return err
	}
	for _, option := range data {
		key, value, ok := strings.Cut(option, "=")
		var err error
		switch {
		case !ok:
			err = r.in.FsconfigFlag(fs, key)
		case len(value) > maxOption:
			err = fmt.Errorf("option %s: a value of more than %d bytes is not supported", key, maxOption)
		default:
			err = r.in.FsconfigString(fs, key, value)
		}
		if err != nil {
			return err
		}
	}
	if fstype == "proc" && r.pidns != nil {
		err := r.in.FsconfigFD(fs, "pidns", int(r.pidns.Fd()))
		if errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("%w (a procfs of a pid namespace that is joined takes Linux 6.17: bind-mount one instead)", err)
		}
		if err != nil {
			return err
		}
	}
	return r.in.FsconfigCreate(fs)
}

// kernelSays reads the messages of a file system context: lines such as
// "e tmpfs: Bad value for 'size'".
func kernelSays(fs int) string {
	var said []string
	buf := make([]byte, 512)
	for len(said) < 4 {
		n, err := unix.Read(fs, buf)
		if err != nil || n <= 0 {
			break
		}
		line := strings.TrimSpace(string(buf[:n]))
		if strings.HasPrefix(line, "e ") {
			said = append(said, line[2:])
		}
	}
	if len(said) == 0 {
		return ""
	}
	return " (" + strings.Join(said, "; ") + ")"
}
