package specconv

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/openat2"
)

// shell is what an image runs when no command is given.
const shell = "/bin/sh"

// Image is what the words of `mocker run` mean: a root file system and a
// command in it.
type Image struct {
	Name string   // as it was given; "" when the first word is the command
	Dir  string   // absolute path of a directory that is used in place; "" for the busybox root
	Args []string // the program and its arguments, never empty

	busybox *busybox // what to make the root of; nil with Dir
}

// Missing reports whether the image does not exist and the busybox root
// stands in for it.
func (i *Image) Missing() bool {
	return i.Dir == "" && i.Name != "" && i.Name != "busybox" && i.Name != "busybox:latest"
}

// ReadImage reads the words. A first word that is an applet of busybox, is no
// directory and has neither ":" nor "/" is the command; any other names the
// image: a directory is a root file system, `busybox` is built in, and any
// other name stands for the busybox root. A path that is no directory is an
// error.
func ReadImage(words []string) (*Image, error) {
	first := words[0]
	if first == "" {
		return nil, errors.New("the name of the image is empty")
	}
	if st, err := os.Stat(first); err == nil && st.IsDir() {
		return directoryImage(first, words[1:])
	}
	// No image has such a name, and a path with a slip in it must not run on
	// something else.
	if strings.HasPrefix(first, "/") || strings.HasPrefix(first, "./") || strings.HasPrefix(first, "../") {
		return nil, fmt.Errorf("image %s: %w", first, notDirectory(first))
	}
	b, err := lookUpBusybox("")
	if err != nil {
		return nil, err
	}
	// Busybox is an applet of itself.
	if first != "busybox" && !strings.ContainsAny(first, ":/") && b.has(first) {
		return &Image{Args: words, busybox: b}, nil
	}
	return &Image{Name: first, Args: orShell(words[1:]), busybox: b}, nil
}

func notDirectory(name string) error {
	if _, err := os.Stat(name); err != nil {
		return bare(err)
	}
	return errors.New("not a directory (a program of busybox: mocker run busybox " + name + ")")
}

func orShell(args []string) []string {
	if len(args) == 0 {
		return []string{shell}
	}
	return args
}

func directoryImage(name string, args []string) (*Image, error) {
	dir, err := filepath.Abs(name)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", name, bare(err))
	}
	if dir == "/" {
		return nil, fmt.Errorf("image %s: the host's own root directory", name)
	}
	if len(args) == 0 {
		f, err := openInRoot(dir, shell, unix.O_PATH)
		if err != nil {
			return nil, fmt.Errorf("image %s: no command is given, and it has no %s: %w", name, shell, err)
		}
		f.Close()
	}
	return &Image{Name: name, Dir: dir, Args: orShell(args)}, nil
}

// openInRoot opens a file of an image as a process in it would: no link in it
// leads out.
func openInRoot(root, name string, flags uint64) (*os.File, error) {
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(dir)
	fd, err := openat2.Open(dir, name, flags, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_MAGICLINKS)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// maxImageFile is how much of a file of an image is read.
const maxImageFile = 1 << 20

// readInRoot reads a regular file of an image; one that is not there, or is
// something else, is empty.
func readInRoot(root, name string) (string, error) {
	// Not blocking: the image may have a FIFO there.
	f, err := openInRoot(root, name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxImageFile))
	return string(text), err
}
