package rootfs

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// maxDepth bounds the directories within directories that copyUp goes into:
// an image can have more than there are fds.
const maxDepth = 200

// copyUp fills a tmpfs that nobody sees yet with what the directory place
// holds (tmpcopyup). What is there is the image's: nothing is followed,
// nothing is opened that could block, and what is neither file, directory nor
// link is made anew.
func (r *Root) copyUp(place, tmpfs int, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("copy: more than %d directories deep", maxDepth)
	}
	fd, err := r.in.Openat2(place, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0, unix.RESOLVE_BENEATH)
	if err != nil {
		return err
	}
	dir := os.NewFile(uintptr(fd), ".")
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("read the directory: %w", err)
	}
	for _, name := range names {
		if err := r.copyEntry(fd, tmpfs, name, depth); err != nil {
			return fmt.Errorf("copy %s: %w", name, err)
		}
	}
	return nil
}

const below = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS

func (r *Root) copyEntry(from, to int, name string, depth int) error {
	src, err := r.in.Openat2(from, name, unix.O_PATH|unix.O_NOFOLLOW, 0, unix.RESOLVE_BENEATH)
	if err != nil {
		return err
	}
	defer unix.Close(src)
	var st unix.Stat_t
	if err := unix.Fstat(src, &st); err != nil {
		return fmt.Errorf("stat: %w", err)
	}
	switch mode := st.Mode & 0o7777; st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return r.copyDir(src, to, name, &st, depth)
	case unix.S_IFREG:
		return r.copyFile(from, to, name, &st)
	case unix.S_IFLNK:
		target, err := r.in.Readlink(src, name)
		if err != nil {
			return err
		}
		if err := r.in.Symlinkat(target, to, name); err != nil {
			return err
		}
		return r.giveTo(to, name, st.Uid, st.Gid)
	default:
		if err := r.in.Mknodat(to, name, st.Mode&unix.S_IFMT|mode, st.Rdev); err != nil {
			return err
		}
		return r.giveTo(to, name, st.Uid, st.Gid)
	}
}

func (r *Root) copyDir(src, to int, name string, st *unix.Stat_t, depth int) error {
	if err := r.in.Mkdirat(to, name, 0o700); err != nil {
		return err
	}
	dst, err := r.in.Openat2(to, name, unix.O_RDONLY|unix.O_DIRECTORY, 0, below)
	if err != nil {
		return err
	}
	defer unix.Close(dst)
	if err := r.copyUp(src, dst, depth+1); err != nil {
		return err
	}
	return r.copyAttributes(dst, st)
}

func (r *Root) copyFile(from, to int, name string, st *unix.Stat_t) error {
	fd, err := r.in.Openat2(from, name, unix.O_RDONLY|unix.O_NONBLOCK, 0, below)
	if err != nil {
		return err
	}
	src := os.NewFile(uintptr(fd), name)
	defer src.Close()
	fd, err = r.in.Openat2(to, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o600, below)
	if err != nil {
		return err
	}
	dst := os.NewFile(uintptr(fd), name)
	defer dst.Close()
	if _, err := io.Copy(dst, src); err != nil {
		return err
	}
	return r.copyAttributes(fd, st)
}

// copyAttributes gives fd the owner, mode and times of what it was copied
// from: the owner first, a change of which clears set-user-ID.
func (r *Root) copyAttributes(fd int, st *unix.Stat_t) error {
	if err := r.giveTo(fd, "", st.Uid, st.Gid); err != nil {
		return err
	}
	if err := r.in.Fchmod(fd, st.Mode&0o7777); err != nil {
		return err
	}
	return r.in.Futimens(fd, st.Atim, st.Mtim)
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
