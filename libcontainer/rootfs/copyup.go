package rootfs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// maxDepth bounds the directories within directories that copyUp goes into:
// an image can have more than there are fds.
const maxDepth = 200

// copier fills a tmpfs that nobody sees yet with what a directory holds
// (tmpcopyup). What is there is the image's: nothing is followed, nothing is
// opened that could block, and what is neither file, directory nor link is
// made anew. What the files take is the container's memory, not mocker's: the
// child copies, in the container's cgroup.
type copier struct {
	r     *Root
	tmpfs int
	names map[inode]string // in the tmpfs, of files that have more than one
}

type inode struct {
	dev, ino uint64
}

// copyUp copies the directory place into a tmpfs.
func (r *Root) copyUp(place, tmpfs int) error {
	c := copier{r: r, tmpfs: tmpfs, names: make(map[inode]string)}
	if err := c.dir(place, tmpfs, ".", 0); err != nil {
		return fmt.Errorf("tmpcopyup: %w", err)
	}
	return nil
}

// dir copies what from holds into to, and the extended attributes of from.
// at is the path of to in the tmpfs.
func (c *copier) dir(from, to int, at string, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("more than %d directories deep", maxDepth)
	}
	fd, err := c.r.in.Openat2(from, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0, unix.RESOLVE_BENEATH)
	if err != nil {
		return err
	}
	dir := os.NewFile(uintptr(fd), at)
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("read the directory %s: %w", at, err)
	}
	for _, name := range names {
		if err := c.entry(fd, to, path.Join(at, name), depth); err != nil {
			return err
		}
	}
	if err := copyXattrs(fd, to); err != nil {
		return fmt.Errorf("copy %s: %w", at, err)
	}
	return nil
}

const below = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS

func (c *copier) entry(from, to int, at string, depth int) error {
	name := path.Base(at)
	src, err := c.r.in.Openat2(from, name, unix.O_PATH|unix.O_NOFOLLOW, 0, unix.RESOLVE_BENEATH)
	if err != nil {
		return err
	}
	defer unix.Close(src)
	var st unix.Stat_t
	if err := unix.Fstat(src, &st); err != nil {
		return fmt.Errorf("stat %s: %w", at, err)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return c.subdir(src, to, at, depth, &st)
	}
	key := inode{st.Dev, st.Ino}
	if first, ok := c.names[key]; ok {
		return c.r.in.Linkat(c.tmpfs, first, to, name)
	}
	if st.Nlink > 1 {
		c.names[key] = at
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		err = c.file(from, to, name, &st)
	case unix.S_IFLNK:
		err = c.link(src, to, name, &st)
	default:
		err = c.r.in.Mknodat(to, name, st.Mode, st.Rdev)
		if err == nil {
			err = c.r.giveTo(to, name, st.Uid, st.Gid)
		}
	}
	if err != nil {
		return fmt.Errorf("copy %s: %w", at, err)
	}
	return nil
}

func (c *copier) subdir(src, to int, at string, depth int, st *unix.Stat_t) error {
	name := path.Base(at)
	if err := c.r.in.Mkdirat(to, name, 0o700); err != nil {
		return fmt.Errorf("copy %s: %w", at, err)
	}
	dst, err := c.r.in.Openat2(to, name, unix.O_RDONLY|unix.O_DIRECTORY, 0, below)
	if err != nil {
		return err
	}
	defer unix.Close(dst)
	if err := c.dir(src, dst, at, depth+1); err != nil {
		return err
	}
	return c.attributes(dst, st)
}

func (c *copier) link(src, to int, name string, st *unix.Stat_t) error {
	target, err := c.r.in.Readlink(src, name)
	if err != nil {
		return err
	}
	if err := c.r.in.Symlinkat(target, to, name); err != nil {
		return err
	}
	return c.r.giveTo(to, name, st.Uid, st.Gid)
}

func (c *copier) file(from, to int, name string, st *unix.Stat_t) error {
	src, err := c.r.in.Openat2(from, name, unix.O_RDONLY|unix.O_NONBLOCK, 0, below)
	if err != nil {
		return err
	}
	defer unix.Close(src)
	dst, err := c.r.in.Openat2(to, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o600, below)
	if err != nil {
		return err
	}
	defer unix.Close(dst)
	if err := c.content(dst, src, st.Size); err != nil {
		return err
	}
	if err := c.attributes(dst, st); err != nil {
		return err
	}
	return copyXattrs(src, dst) // after a change of owner, which takes capabilities away
}

// content copies the parts of a file that hold data, and leaves the holes: a
// file can claim to be bigger than all memory.
func (c *copier) content(dst, src int, size int64) error {
	for at := int64(0); at < size; {
		data, err := unix.Seek(src, at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break // a hole up to the end
		}
		if err != nil {
			return fmt.Errorf("look for data: %w", err)
		}
		end, err := unix.Seek(src, data, unix.SEEK_HOLE)
		if err != nil {
			return fmt.Errorf("look for a hole: %w", err)
		}
		if _, err := unix.Seek(src, data, unix.SEEK_SET); err != nil {
			return err
		}
		if _, err := unix.Seek(dst, data, unix.SEEK_SET); err != nil {
			return err
		}
		for at = data; at < end; {
			n, err := c.r.in.Sendfile(dst, src, int(min(end-at, 1<<30)))
			if err != nil {
				return err
			}
			if n == 0 {
				return errors.New("the file has become shorter meanwhile")
			}
			at += int64(n)
		}
	}
	if err := unix.Ftruncate(dst, size); err != nil {
		return fmt.Errorf("truncate: %w", err)
	}
	return nil
}

// attributes gives fd the owner, mode and times of what it was copied from:
// the owner first, a change of which clears set-user-ID.
func (c *copier) attributes(fd int, st *unix.Stat_t) error {
	if err := c.r.giveTo(fd, "", st.Uid, st.Gid); err != nil {
		return err
	}
	if err := c.r.in.Fchmod(fd, st.Mode&0o7777); err != nil {
		return err
	}
	return c.r.in.Futimens(fd, st.Atim, st.Mtim)
}

// giveTo changes an owner to ids as this process sees them. One that the
// container's user namespace has no name for cannot own anything new there:
// that stays with who made it.
func (r *Root) giveTo(dir int, name string, uid, gid uint32) error {
	u, g := -1, -1
	if id, ok := r.cfg.UIDMap.Inside(uid); ok {
		u = int(id)
	}
	if id, ok := r.cfg.GIDMap.Inside(gid); ok {
		g = int(id)
	}
	return r.in.Fchownat(dir, name, u, g)
}

// copyXattrs copies extended attributes: capabilities, access lists, labels.
// What this tmpfs, or the kernel, does not keep is left out, as cp does.
func copyXattrs(from, to int) error {
	n, err := unix.Flistxattr(from, nil)
	if errors.Is(err, unix.ENOTSUP) || n == 0 && err == nil {
		return nil
	}
	names := make([]byte, 64<<10) // XATTR_LIST_MAX
	if err == nil {
		n, err = unix.Flistxattr(from, names)
	}
	if err != nil {
		return fmt.Errorf("list extended attributes: %w", err)
	}
	value := make([]byte, 64<<10) // XATTR_SIZE_MAX
	for name := range bytes.SplitSeq(bytes.TrimSuffix(names[:n], []byte{0}), []byte{0}) {
		size, err := unix.Fgetxattr(from, string(name), value)
		if err == nil {
			err = unix.Fsetxattr(to, string(name), value[:size], 0)
		}
		if err != nil && !errors.Is(err, unix.ENOTSUP) && !errors.Is(err, unix.ENODATA) && !errors.Is(err, unix.EPERM) {
			return fmt.Errorf("copy extended attribute %s: %w", name, err)
		}
	}
	return nil
}
