package rootfs

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

// remount changes what is mounted at the destination already. Unlike
// mount(2), and like mount(8), it keeps what the options do not name. Of a
// bind mount only attributes change, else the superblock does too; specconv
// has seen to it that this is one of the container's own.
func (r *Root) remount(m *config.Mount) error {
	mnt, err := r.open(m.Destination, unix.O_PATH)
	if err != nil {
		return &fieldError{"destination", err}
	}
	var st unix.Statx_t
	if err := unix.Statx(mnt, "", unix.AT_EMPTY_PATH, unix.STATX_BASIC_STATS, &st); err != nil {
		unix.Close(mnt)
		return fmt.Errorf("statx %s: %w", m.Destination, err)
	}
	if st.Attributes&unix.STATX_ATTR_MOUNT_ROOT == 0 {
		unix.Close(mnt)
		return &fieldError{"destination", fmt.Errorf("remount: nothing is mounted on %s", m.Destination)}
	}
	if m.Clear&unix.MOUNT_ATTR_RDONLY != 0 {
		r.stayWritable(m.Destination)
	}
	data, set := m.Data, m.Set
	delay := set&unix.MOUNT_ATTR_RDONLY != 0 && isTmpfs(mnt)
	if delay {
		set &^= unix.MOUNT_ATTR_RDONLY
		data = slices.DeleteFunc(slices.Clone(data), func(option string) bool { return option == "ro" })
	}
	if m.Type != "bind" && len(data) > 0 {
		err = r.reconfigure(mnt, data)
	}
	if err == nil && set|m.Clear != 0 {
		err = r.in.MountSetattr(mnt, 0, unix.MountAttr{Attr_set: set, Attr_clr: m.Clear})
	}
	if err != nil {
		unix.Close(mnt)
		return err
	}
	return r.afterAttach(mnt, m, delay)
}

// stayWritable takes back what an earlier mount wants to become read-only at
// the end.
func (r *Root) stayWritable(p string) {
	r.late = slices.DeleteFunc(r.late, func(l lateAttr) bool {
		if l.path == p {
			unix.Close(l.fd)
		}
		return l.path == p
	})
}

// reconfigure changes the options of a file system.
func (r *Root) reconfigure(mnt int, data []string) error {
	fs, err := r.in.Fspick(mnt)
	if err != nil {
		return err
	}
	defer unix.Close(fs)
	err = r.configure(fs, data)
	if err == nil {
		err = r.in.FsconfigReconfigure(fs)
	}
	if err != nil {
		return fmt.Errorf("%w%s", err, kernelSays(fs))
	}
	return nil
}

func isTmpfs(fd int) bool {
	var fs unix.Statfs_t
	err := unix.Fstatfs(fd, &fs)
	return err == nil && fs.Type == unix.TMPFS_MAGIC
}
