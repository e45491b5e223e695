package rootfs

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// open opens a path of the container, links followed inside the root.
func (r *Root) open(p string, flags uint64) (int, error) {
	return r.in.Openat2(r.fd, relative(p), flags, 0, inRoot)
}

// relative is p without its leading slashes, "." for the root itself.
func relative(p string) string {
	if p = strings.TrimLeft(p, "/"); p == "" {
		return "."
	}
	return p
}

// place opens the path to mount something on, and makes it, with its parents,
// if it is missing: as a directory or as an empty file.
func (r *Root) place(p string, dir bool) (int, error) {
	fd, err := r.existing(p, dir)
	if errors.Is(err, unix.ENOENT) {
		return r.missing(p, dir)
	}
	return fd, err
}

// missing is place of what is not there.
func (r *Root) missing(p string, dir bool) (int, error) {
	fd, err := r.create(p, dir)
	if err != nil {
		return -1, err
	}
	return ofKind(fd, p, dir)
}

// existing is place of what must be there already.
func (r *Root) existing(p string, dir bool) (int, error) {
	fd, err := r.open(p, unix.O_PATH)
	if err != nil {
		return -1, err
	}
	return ofKind(fd, p, dir)
}

// ofKind gives fd back if it is a directory or is none, as wanted, and closes
// it if not.
func ofKind(fd int, p string, dir bool) (int, error) {
	if isDir, err := isDirectory(fd); err != nil || isDir != dir {
		unix.Close(fd)
		if err != nil {
			return -1, fmt.Errorf("stat %s: %w", p, err)
		}
		if dir {
			return -1, fmt.Errorf("mount a directory on the file %s: %w", p, unix.ENOTDIR)
		}
		// What the kernel says of either, and engines make exit status 127 of.
		return -1, fmt.Errorf("mount a file on the directory %s: %w", p, unix.ENOTDIR)
	}
	return fd, nil
}

// parent opens the directory that p stands in, made if missing, and gives the
// name of p in it.
func (r *Root) parent(p string) (int, string, error) {
	dir, name := path.Split(path.Clean(p))
	fd, err := r.place(dir, true)
	return fd, name, err
}

// maxLinks is how many symbolic links a path may go through (the kernel's
// MAXSYMLINKS).
const maxLinks = 40

// create makes p, whose end or whose parents are missing. Links are followed
// inside the root, also links to what does not exist yet (images without /run
// have /var/run -> /run): the walk keeps the path without links that it has
// come to, and opens that with RESOLVE_NO_SYMLINKS, so a link put there in the
// meantime is an error and not followed.
func (r *Root) create(p string, dir bool) (int, error) {
	names := strings.Split(relative(p), "/")
	if last := len(names) - 1; dir && !slices.ContainsFunc(names, isDots) {
		parent := "./" + strings.Join(names[:last], "/")
		fd, err := r.in.MakePlace(r.fd, parent, names[last], 0o755, inRoot|unix.RESOLVE_NO_SYMLINKS)
		if err == nil {
			return fd, nil
		}
		// Somebody was faster, or it is not that simple.
	}
	done, todo := r.known(names)
	links := 0
	for len(todo) > 0 {
		name := todo[0]
		todo = todo[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			done = done[:max(0, len(done)-1)]
			continue
		}
		target, err := r.step(done, name, dir || len(todo) > 0)
		if err != nil {
			return -1, fmt.Errorf("make %s: %w", p, err)
		}
		if target == "" {
			done = append(done, name)
			continue
		}
		if links++; links > maxLinks {
			return -1, fmt.Errorf("make %s: %w", p, unix.ELOOP)
		}
		if strings.HasPrefix(target, "/") {
			done = nil
		}
		todo = append(strings.Split(target, "/"), todo...)
	}
	return r.openPlain(done)
}

// known divides a path that is to be made where its end alone is missing, which
// saves the walk; done is empty if it is not that simple.
func (r *Root) known(names []string) (done, todo []string) {
	last := len(names) - 1
	if last < 1 || slices.ContainsFunc(names, isDots) {
		return nil, names
	}
	fd, err := r.openPlain(names[:last])
	if err != nil {
		return nil, names
	}
	unix.Close(fd)
	return slices.Clone(names[:last]), names[last:]
}

// isDots says that a part of a path names nothing in the directory that it
// stands in.
func isDots(name string) bool { return name == "" || name == "." || name == ".." }

// openPlain opens a path that has no links in it.
func (r *Root) openPlain(names []string) (int, error) {
	return r.in.Openat2(r.fd, relative(strings.Join(names, "/")), unix.O_PATH, 0, inRoot|unix.RESOLVE_NO_SYMLINKS)
}

// step makes name in the directory done if it is missing. If it is a symbolic
// link, it gives its target.
func (r *Root) step(done []string, name string, dir bool) (target string, err error) {
	parent, err := r.openPlain(done)
	if err != nil {
		return "", err
	}
	defer unix.Close(parent)
	if dir {
		err = r.in.Mkdirat(parent, name, 0o755)
	} else {
		err = r.touch(parent, name)
	}
	if err == nil || !errors.Is(err, unix.EEXIST) {
		return "", err
	}
	fd, err := r.in.Openat2(parent, name, unix.O_PATH|unix.O_NOFOLLOW, 0, unix.RESOLVE_BENEATH)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return "", fmt.Errorf("stat %s: %w", name, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		return "", nil
	}
	return r.in.Readlink(fd, name)
}

// touch makes an empty file that was not there.
func (r *Root) touch(parent int, name string) error {
	fd, err := r.in.Openat2(parent, name, unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0o644, unix.RESOLVE_BENEATH)
	if err == nil {
		unix.Close(fd)
	}
	return err
}

func isDirectory(fd int) (bool, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return false, err
	}
	return st.Mode&unix.S_IFMT == unix.S_IFDIR, nil
}

// MakeDir makes a directory of the container, with its parents, if there is
// nothing at its path; what else may be wrong with the path is left to who
// uses it.
func (r *Root) MakeDir(p string) error {
	fd, err := r.open(p, unix.O_PATH)
	if errors.Is(err, unix.ENOENT) {
		fd, err = r.create(p, true)
		if err != nil {
			return err
		}
	}
	if err == nil {
		unix.Close(fd)
	}
	return nil
}
