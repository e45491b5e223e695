package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/lazyjson"
)

// ErrNotExist says that there is no container of that id.
var ErrNotExist = errors.New("container does not exist")

// ErrExist says that the id is taken.
var ErrExist = errors.New("container with given ID already exists")

// DefaultRoot is where states are kept unless mocker is told otherwise.
const DefaultRoot = "/run/mocker"

// trash is the directory below the root into which a container's directory
// is moved before it is removed. ValidID never allows the name.
const trash = "@removed"

// tries bounds the loops that lose a race against a delete. Each turn needs
// another process to have created and removed the same name just then.
const tries = 100

// Dir is an open directory of a container. It refers to the directory, not
// to the name: when the container is removed and another of the same id
// created, it stays with the old one and its methods answer ErrNotExist.
//
// The lock is an flock(2) of the directory itself. It belongs to the open
// file description, so a process that inherits or shares the descriptor
// holds it too; the descriptor is close-on-exec.
type Dir struct {
	root, id string
	f        *os.File
	types    lazyjson.Types
}

// Reserve creates the directory of a new container, and the root where it is
// missing, and returns it locked. The error wraps ErrExist when the id is
// taken.
func Reserve(root, id string) (*Dir, error) {
	if err := ValidID(id); err != nil {
		return nil, err
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("state directory %q: %w", root, err)
	}
	path := filepath.Join(root, id)
	for range tries {
		if err := makeRoot(root); err != nil {
			return nil, err
		}
		sweep(root)
		if err := os.Mkdir(path, 0o700); errors.Is(err, os.ErrExist) {
			return nil, fmt.Errorf("%w: %q", ErrExist, id)
		} else if errors.Is(err, os.ErrNotExist) {
			continue // the last container has just gone, and the root with it
		} else if err != nil {
			return nil, fmt.Errorf("create container directory: %w", err)
		}
		d, err := Open(root, id)
		if err == nil {
			if err = d.Lock(0); err == nil {
				return d, nil
			}
			_ = d.Close()
		}
		// A delete --force may take the directory away before it is locked.
		if !errors.Is(err, ErrNotExist) {
			return nil, errors.Join(err, os.Remove(path))
		}
	}
	return nil, fmt.Errorf("create container directory %s: it was removed %d times in a row", path, tries)
}

// Open opens the directory of an existing container without locking it. The
// error wraps ErrNotExist when there is none.
func Open(root, id string) (*Dir, error) {
	if err := ValidID(id); err != nil {
		return nil, err
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("state directory %q: %w", root, err)
	}
	if err := checkRoot(root); err != nil {
		return nil, err
	}
	d := &Dir{root: root, id: id, types: lazyjson.Types{}}
	fd, err := unix.Open(d.Path(""), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return nil, d.errNotExist()
	case err != nil:
		return nil, fmt.Errorf("open container directory %s: %w", d.Path(""), err)
	}
	d.f = os.NewFile(uintptr(fd), d.Path(""))
	return d, nil
}

// ID is the container's name.
func (d *Dir) ID() string { return d.id }

// Root is the absolute path of the directory of all states.
func (d *Dir) Root() string { return d.root }

// Path is the absolute path of a file in the directory; of the directory
// itself for "".
func (d *Dir) Path(name string) string {
	return filepath.Join(d.root, d.id, name)
}

// Lock waits until nobody else holds the lock, without bound if timeout is
// 0. The error wraps ErrNotExist when the container has been removed
// meanwhile; the lock is not held then.
func (d *Dir) Lock(timeout time.Duration) error {
	if timeout <= 0 {
		if err := d.flock(unix.LOCK_EX); err != nil {
			return err
		}
		return d.locked()
	}
	deadline := time.Now().Add(timeout)
	// flock has no timeout of its own. A lock is held for milliseconds or
	// for as long as a hook takes; the pauses suit both.
	for pause := 500 * time.Microsecond; ; pause = min(2*pause, 20*time.Millisecond) {
		ok, err := d.TryLock()
		if ok || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("lock container %q: another mocker has held it for %v", d.id, timeout)
		}
		time.Sleep(pause)
	}
}

// TryLock takes the lock if nobody else holds it, and reports whether it is
// held now. Errors are those of Lock.
func (d *Dir) TryLock() (bool, error) {
	err := d.flock(unix.LOCK_EX | unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	if err == nil {
		err = d.locked()
	}
	return err == nil, err
}

// Unlock gives the lock back.
func (d *Dir) Unlock() error {
	return d.flock(unix.LOCK_UN)
}

// Close gives the lock back, if it is held, and closes the directory.
func (d *Dir) Close() error {
	return d.f.Close()
}

func (d *Dir) flock(how int) error {
	for {
		err := unix.Flock(int(d.f.Fd()), how)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("lock %s: %w", d.Path(""), err)
		}
	}
}

// locked makes sure that what has been locked still is the container.
func (d *Dir) locked() error {
	if err := d.check(); err != nil {
		_ = d.Unlock()
		return err
	}
	return nil
}

// check compares the open directory with the one that has the name now.
func (d *Dir) check() error {
	var open, named unix.Stat_t
	if err := unix.Fstat(int(d.f.Fd()), &open); err != nil {
		return fmt.Errorf("stat %s: %w", d.Path(""), err)
	}
	err := unix.Lstat(d.Path(""), &named)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("stat %s: %w", d.Path(""), err)
	}
	if err != nil || open.Dev != named.Dev || open.Ino != named.Ino {
		return d.errNotExist()
	}
	return nil
}

func (d *Dir) errNotExist() error {
	return fmt.Errorf("%w: %q", ErrNotExist, d.id)
}

// Remove takes the name away at once and then removes the directory, so that
// nobody ever sees half of a container. The caller holds the lock. What a
// killed Remove leaves is removed by the next one or the next Reserve.
func (d *Dir) Remove() error {
	if err := d.check(); err != nil {
		return err
	}
	bin := filepath.Join(d.root, trash)
	var st unix.Stat_t
	err := unix.Fstat(int(d.f.Fd()), &st)
	if err != nil {
		return fmt.Errorf("stat %s: %w", d.Path(""), err)
	}
	name := strconv.FormatUint(st.Ino, 10) // no other directory has it as long as this one exists
	for range tries {
		if err = os.Mkdir(bin, 0o700); errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
			return d.removeInPlace()
		} else if err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("remove container %q: %w", d.id, err)
		}
		err = os.Rename(d.Path(""), filepath.Join(bin, name))
		// Another Remove may just have swept the bin away.
		if !errors.Is(err, os.ErrNotExist) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("remove container %q: %w", d.id, err)
	}
	if err := os.RemoveAll(filepath.Join(bin, name)); err != nil {
		return fmt.Errorf("remove container %q: %w", d.id, err)
	}
	Tidy(d.root)
	return nil
}

// removeInPlace removes the directory where not even one more can be made to
// move it to. The state goes last, so that a Remove that was killed here can be
// repeated.
func (d *Dir) removeInPlace() error {
	entries, err := os.ReadDir(d.Path(""))
	for _, e := range entries {
		if e.Name() != stateFile {
			err = errors.Join(err, os.RemoveAll(d.Path(e.Name())))
		}
	}
	if err == nil {
		err = os.RemoveAll(d.Path(""))
	}
	if err != nil {
		return fmt.Errorf("remove container %q: %w", d.id, err)
	}
	Tidy(d.root)
	return nil
}

// Tidy removes what a Reserve or a Remove that was killed has left below the
// root besides containers, and a default root itself when it is empty:
// nobody else's, it goes with the last container.
func Tidy(root string) {
	if checkRoot(root) != nil {
		return
	}
	sweep(root)
	if root == DefaultRoot || root == UserRoot() {
		_ = os.Remove(root)
	}
}

// sweep removes what earlier removals have left. Several may do so at the
// same time, and what stays is left to the next: nothing depends on it.
func sweep(root string) {
	bin := filepath.Join(root, trash)
	if err := os.Remove(bin); err == nil || errors.Is(err, os.ErrNotExist) {
		return
	}
	entries, err := os.ReadDir(bin)
	if err != nil {
		return
	}
	for _, e := range entries {
		_ = os.RemoveAll(filepath.Join(bin, e.Name()))
	}
	_ = os.Remove(bin)
}

// IDs lists the containers below root, sorted. Entries that cannot be
// containers are left out; a root that does not exist has none. A container
// of the list may have been removed, or have no state yet, when it is
// opened.
func IDs(root string) ([]string, error) {
	entries, err := os.ReadDir(root)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	ids := make([]string, 0, len(entries))
	for _, e := range entries {
		if e.IsDir() && ValidID(e.Name()) == nil {
			ids = append(ids, e.Name())
		}
	}
	return ids, nil
}
