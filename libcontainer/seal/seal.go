// Package seal keeps containers away from mocker's own binary
// (CVE-2019-5736). Until the execve of its program, a container's process
// has that binary as /proc/PID/exe, and so has whatever makes itself run it
// again ("#!/proc/self/exe"); a root inside that is root outside could open
// it for writing as soon as it is not running any more.
//
// So mocker, before it enters a container, executes itself again from a copy
// that cannot be written: a detached overlayfs without an upper layer, which
// copies nothing, or a sealed memfd where that cannot be had. It acts on
// mocker's own process only.
//
// The limit of the claim: the overlayfs is a view of the same file. Who can
// write to the file by its path on the host, or to its file system, can
// change it as ever; nothing leads from the view to there.
package seal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/entry"
)

// envMark tells the second start of mocker what it has been started from:
// kind:dev:ino:dev:ino:path, the sealed file and the original one. The
// environment alone is not believed.
const envMark = entry.Mark

const exe = "/proc/self/exe"

// The kinds of sealed copies.
const (
	overlay = entry.Overlay
	memfd   = "memfd"
)

// file is the identity of a file while it exists.
type file struct{ dev, ino uint64 }

// mark is what envMark says.
type mark struct {
	kind     string
	sealed   file
	original file
	path     string // of the original
}

// sealed is set by Ensure, once, when this process runs from a sealed copy.
// It is a variable because the environment it comes from has to be cleaned.
var sealed atomic.Pointer[mark]

// Ensure returns when this process runs from a sealed binary, or from a
// read-only superblock, where there is nothing to seal. Otherwise it does
// not return: it executes the sealed copy with the same arguments and
// environment. root is a directory, created when missing, that overlayfs
// gets as the second layer which it insists on; nothing is written there.
//
// It is to be called before anything else, for open files, goroutines and
// locks do not survive it; a second time it does nothing. The error says why
// no kind of copy works here.
func Ensure(root string) error {
	m, err := adopt()
	if err != nil {
		return err
	}
	if sealed.Load() != nil || readonlySuperblock() {
		return nil
	}
	if m != nil && m.kind == memfd {
		// Both kinds have been tried, or someone plays with the mark. To go
		// on would be a loop.
		return fmt.Errorf("seal %s: the sealed copy is not what this process runs from (is %s set?)", m.path, envMark)
	}
	var errs []error
	if m == nil {
		errs = append(errs, restart(overlay, func(path string) (*os.File, error) { return openOverlay(path, root) }))
	}
	errs = append(errs, restart(memfd, openMemfd))
	return fmt.Errorf("seal mocker's own binary: %w", errors.Join(errs...))
}

// Adopt takes note that this process runs from a sealed binary, for commands
// that do not need to: package entry cannot always tell.
func Adopt() { _, _ = adopt() }

// adopt reads the mark, and gives it back if it is not to be believed.
func adopt() (*mark, error) {
	if sealed.Load() != nil {
		return nil, nil
	}
	m, err := takeMark()
	if m == nil || !m.believed() {
		return m, err
	}
	sealed.Store(m)
	if !entry.Renamed() {
		_ = os.WriteFile("/proc/self/comm", []byte(filepath.Base(m.path)), 0)
	}
	return nil, nil
}

// Needed reports whether a root in a container could write the binary: the
// one that is root outside, or an ordinary user whose own file it is.
func Needed() bool {
	uid := os.Geteuid()
	if uid == 0 {
		return true
	}
	var st unix.Stat_t
	return unix.Stat(exe, &st) != nil || int(st.Uid) == uid || unix.Access(exe, unix.W_OK) == nil
}

// Path is the path of the binary that was started, before it was sealed:
// the path that a hook or another process can be given.
func Path() (string, error) {
	if m := sealed.Load(); m != nil {
		return m.path, nil
	}
	return os.Readlink(exe)
}

// SameFile reports whether a file, open in any mode (O_PATH is enough), is
// mocker's own binary, the sealed copy or the original. Containers have no
// business with either.
func SameFile(fd int) (bool, error) {
	it, err := identify(fd)
	if err != nil {
		return false, fmt.Errorf("stat fd %d: %w", fd, err)
	}
	if m := sealed.Load(); m != nil {
		return it == m.sealed || it == m.original, nil
	}
	var st unix.Stat_t
	if err := unix.Stat(exe, &st); err != nil {
		return false, fmt.Errorf("stat %s: %w", exe, err)
	}
	return it == file{st.Dev, st.Ino}, nil
}

func identify(fd int) (file, error) {
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	return file{st.Dev, st.Ino}, err
}

// restart makes a sealed copy and executes it. It returns only on errors.
func restart(kind string, open func(path string) (*os.File, error)) error {
	path, err := os.Readlink(exe)
	if err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	f, err := open(path)
	if err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	// The file is close-on-exec and looked up before it is closed. That does
	// for an ELF binary; a script's interpreter would come too late.
	defer f.Close()
	m := mark{kind: kind, path: path}
	if m.sealed, err = identify(int(f.Fd())); err != nil {
		return fmt.Errorf("%s: stat: %w", kind, err)
	}
	var st unix.Stat_t
	if err := unix.Stat(exe, &st); err != nil {
		return fmt.Errorf("%s: stat %s: %w", kind, exe, err)
	}
	m.original = file{st.Dev, st.Ino}
	env := append(os.Environ(), envMark+"="+m.String())
	// Not execveat: syscall.Exec gives the next start the RLIMIT_NOFILE back
	// that this one was started with.
	entry.Unbound(func() { err = syscall.Exec("/proc/self/fd/"+strconv.Itoa(int(f.Fd())), os.Args, env) })
	return fmt.Errorf("%s: execute %s: %w", kind, f.Name(), err)
}

// takeMark reads the mark and removes it from the environment, from where it
// would go on to hooks.
func takeMark() (*mark, error) {
	text, ok := os.LookupEnv(envMark)
	if !ok {
		return nil, nil
	}
	if err := os.Unsetenv(envMark); err != nil {
		return nil, fmt.Errorf("seal: unset %s: %w", envMark, err)
	}
	m, err := parseMark(text)
	if err != nil {
		return nil, fmt.Errorf("seal: %s=%q: %w", envMark, text, err)
	}
	return m, nil
}

// String and parseMark are inverse to each other.
func (m *mark) String() string {
	return fmt.Sprintf("%s:%d:%d:%d:%d:%s",
		m.kind, m.sealed.dev, m.sealed.ino, m.original.dev, m.original.ino, m.path)
}

func parseMark(text string) (*mark, error) {
	f := strings.SplitN(text, ":", 6)
	if len(f) != 6 || f[0] != overlay && f[0] != memfd || f[5] == "" {
		return nil, errors.New("not of the form kind:dev:ino:dev:ino:path")
	}
	var n [4]uint64
	for i := range n {
		var err error
		if n[i], err = strconv.ParseUint(f[1+i], 10, 64); err != nil {
			return nil, err
		}
	}
	return &mark{kind: f[0], sealed: file{n[0], n[1]}, original: file{n[2], n[3]}, path: f[5]}, nil
}

// believed checks the mark against what this process really runs from.
func (m *mark) believed() bool {
	fd, err := unix.Open(exe, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	if it, err := identify(fd); err != nil || it != m.sealed {
		return false
	}
	if m.kind == memfd {
		have, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
		return err == nil && have&seals == seals
	}
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil || st.Type != unix.OVERLAYFS_SUPER_MAGIC {
		return false
	}
	// An overlayfs with an upper layer, a container's root for one, would
	// answer ETXTBSY to the write of what is running, even on a read-only
	// mount; a superblock that is read-only says so first.
	w, err := unix.Open(exe, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		_ = unix.Close(w)
	}
	return errors.Is(err, unix.EROFS)
}
