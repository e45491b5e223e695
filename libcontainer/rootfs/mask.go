package rootfs

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/inside"
)

// Mask hides the masked paths: a directory under an empty read-only tmpfs,
// anything else under /dev/null.
func (r *Root) Mask() error {
	masked := r.cfg.Masked
	for len(masked) > 0 { // as many at once as a program may have
		some := masked[:min(len(masked), inside.MaxOpened)]
		masked = masked[len(some):]
		if err := r.maskSome(some); err != nil {
			return err
		}
	}
	return nil
}

// maskSome looks for all of the paths at once. If one cannot be looked for it
// goes through them one by one.
func (r *Root) maskSome(paths []string) error {
	var names []string
	for _, p := range paths {
		names = append(names, relative(p))
	}
	places, err := r.in.OpenEach(r.fd, names, inRoot)
	if err != nil {
		return each(paths, "mask %s: %w", r.mask)
	}
	defer closeAll(places)
	for i, place := range places {
		if place < 0 {
			continue
		}
		if err := r.maskPlace(place); err != nil {
			return fmt.Errorf("mask %s: %w", paths[i], err)
		}
	}
	return nil
}

// Readonly makes the read-only paths read-only.
func (r *Root) Readonly() error {
	return each(r.cfg.ReadonlySub, "make %s read-only: %w", r.readonly)
}

// each does something with each of some paths. Those that do not exist are
// left out, as the specification's examples list files that not every kernel
// has.
func each(paths []string, doing string, do func(p string) (found bool, err error)) error {
	for _, p := range paths {
		found, err := do(p)
		if !found && (errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR)) {
			continue
		}
		if err != nil {
			return fmt.Errorf(doing, p, err)
		}
	}
	return nil
}

func (r *Root) mask(p string) (found bool, err error) {
	place, err := r.open(p, unix.O_PATH)
	if err != nil {
		return false, err
	}
	defer unix.Close(place)
	return true, r.maskPlace(place)
}

func (r *Root) maskPlace(place int) error {
	dir, err := isDirectory(place)
	if err != nil {
		return fmt.Errorf("stat: %w", err)
	}
	if dir {
		return r.maskDir(place)
	}
	return r.attach(&r.null, place)
}

// openNull copies the mount of the null device of the host: the container's
// may be anything (CVE-2025-31133). Read-only, which a device can be written
// to in spite of: else a chmod of the masked file would be one of the host's
// /dev/null. And private, or what the container mounts on it would show up
// on the host's.
func (r *Root) openNull() (int, error) {
	tree, err := r.openTree("/dev/null", false)
	if err != nil {
		return -1, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(tree, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != unix.Mkdev(1, 3) {
		unix.Close(tree)
		return -1, errors.New("/dev/null of the host is not the null device")
	}
	sealed := unix.MountAttr{
		Attr_set:    unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC,
		Propagation: unix.MS_PRIVATE,
	}
	if err := r.setattr(tree, 0, sealed); err != nil {
		unix.Close(tree)
		return -1, fmt.Errorf("/dev/null: %w", err)
	}
	return tree, nil
}

// cover is a mount that is put on several places.
type cover struct {
	fd       int // -1 before it is needed
	attached bool
}

// attach puts the cover on place: the mount itself the first time, so that
// none is thrown away, for which the kernel charges, and copies from then on.
// (Moving an attached mount again would uncover where it was.)
func (r *Root) attach(c *cover, place int) error {
	if !c.attached {
		c.attached = true
		return r.in.MoveMount(c.fd, place)
	}
	return r.in.AttachCopy(c.fd, place)
}

// maskDir puts an empty directory over place: one tmpfs for all of them.
func (r *Root) maskDir(place int) error {
	if r.empty.fd < 0 {
		fd, err := r.newMount("tmpfs", "tmpfs", r.withLabel("tmpfs", []string{"nr_blocks=1", "nr_inodes=1", "mode=755"}),
			unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
		if err != nil {
			return err
		}
		r.empty.fd = fd
	}
	return r.attach(&r.empty, place)
}

// readonly puts over a path a copy of what is there that has become read-only
// before anybody could see it.
func (r *Root) readonly(p string) (found bool, err error) {
	return r.in.CoverCopy(r.fd, relative(p), inRoot, unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
}
