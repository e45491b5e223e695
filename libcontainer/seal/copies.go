package seal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// seals make a memfd immutable for good, for every owner of an fd.
const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE

// openOverlay opens the running binary below a new overlayfs that has only
// lower layers. Such a superblock is read-only and cannot become anything
// else: there is no layer to write to (a read-only mount of the original's
// file system can be undone with mount_setattr(2) by whoever gets at it).
// It is never attached to a mount namespace and goes with the last user.
func openOverlay(path, root string) (*os.File, error) {
	if err := os.MkdirAll(root, 0o700|os.ModeSticky); err != nil {
		return nil, fmt.Errorf("create lower layer: %w", err)
	}
	dir, err := openPath(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("open lower layer: %w", err)
	}
	defer dir.Close()
	second, err := openPath(root)
	if err != nil {
		return nil, fmt.Errorf("open lower layer: %w", err)
	}
	defer second.Close()
	mnt, err := mountOverlay(dir, second)
	if err != nil {
		return nil, err
	}
	defer mnt.Close()
	name := filepath.Base(path)
	fd, err := unix.Openat(int(mnt.Fd()), name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	f := os.NewFile(uintptr(fd), path)
	if err := checkSame(fd); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

func openPath(path string) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// mountOverlay names the layers by their fds in /proc/self/fd. Their paths
// would have to be escaped, differently before and after Linux 6.5, and kept
// below the 256 bytes of an fsconfig(2) string.
func mountOverlay(first, second *os.File) (*os.File, error) {
	ctx, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("fsopen overlay: %w", err)
	}
	defer unix.Close(ctx)
	layers := fmt.Sprintf("/proc/self/fd/%d:/proc/self/fd/%d", first.Fd(), second.Fd())
	if err := unix.FsconfigSetString(ctx, "lowerdir", layers); err != nil {
		return nil, fmt.Errorf("fsconfig lowerdir=%s:%s: %w", first.Name(), second.Name(), err)
	}
	if err := unix.FsconfigCreate(ctx); err != nil {
		return nil, fmt.Errorf("create overlay of %s and %s: %w", first.Name(), second.Name(), err)
	}
	mnt, err := unix.Fsmount(ctx, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_RDONLY)
	if err != nil {
		return nil, fmt.Errorf("fsmount overlay: %w", err)
	}
	return os.NewFile(uintptr(mnt), "overlay"), nil
}

// checkSame makes sure that the overlay shows the running binary: its path
// may lead to another by now, after an upgrade or below a bind mount. The
// number of the inode is the same only where overlayfs can map it, so what
// counts is what a new file cannot have by accident.
func checkSame(fd int) error {
	var a, b unix.Stat_t
	if err := unix.Stat(exe, &a); err != nil {
		return fmt.Errorf("stat %s: %w", exe, err)
	}
	if err := unix.Fstat(fd, &b); err != nil {
		return fmt.Errorf("stat: %w", err)
	}
	if a.Size != b.Size || a.Mtim != b.Mtim || a.Ctim != b.Ctim || a.Mode != b.Mode || a.Uid != b.Uid || a.Gid != b.Gid {
		return errors.New("the file at this path is not the one that runs")
	}
	return nil
}

// openMemfd copies the running binary, some megabytes, into a sealed memfd.
func openMemfd(path string) (*os.File, error) {
	src, err := os.Open(exe)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	name := filepath.Base(path)
	flags := unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate(name, flags|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3
		fd, err = unix.MemfdCreate(name, flags)
	}
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	dst := os.NewFile(uintptr(fd), path)
	defer dst.Close()
	if err := copyAll(fd, int(src.Fd())); err != nil {
		return nil, fmt.Errorf("copy %s: %w", path, err)
	}
	if err := unix.Fchmod(fd, 0o555); err != nil {
		return nil, fmt.Errorf("chmod: %w", err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		return nil, fmt.Errorf("add seals: %w", err)
	}
	// A file that is open for writing cannot be executed, so dst has to be
	// closed and this one opened instead.
	ro, err := unix.Open("/proc/self/fd/"+strconv.Itoa(fd), unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("reopen: %w", err)
	}
	return os.NewFile(uintptr(ro), path), nil
}

// readonlySuperblock reports whether the binary's file system is read-only
// as a whole. statfs(2) cannot tell that from a read-only mount of a
// writable one, which is no protection; it only saves the look into
// mountinfo in the common case. Whoever can make the file system writable
// again has the run of the host anyway.
func readonlySuperblock() bool {
	var fs unix.Statfs_t
	if err := unix.Statfs(exe, &fs); err != nil || fs.Flags&unix.ST_RDONLY == 0 {
		return false
	}
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, exe, 0, unix.STATX_MNT_ID, &st)
	if err != nil || st.Mask&unix.STATX_MNT_ID == 0 {
		return false
	}
	data, err := os.ReadFile("/proc/self/mountinfo")
	return err == nil && superblockReadonly(data, st.Mnt_id)
}

// superblockReadonly looks a mount up in a mountinfo, the last field of
// which are the options of the superblock (proc_pid_mountinfo(5)). An
// overlayfs calls itself read-only when its own layers are, so it does not
// count: what it shows may be writable elsewhere.
func superblockReadonly(mountinfo []byte, id uint64) bool {
	start := strconv.FormatUint(id, 10) + " "
	for line := range bytes.Lines(mountinfo) {
		if !bytes.HasPrefix(line, []byte(start)) {
			continue
		}
		_, tail, _ := strings.Cut(string(line), " - ")
		f := strings.Fields(tail) // type, source, options
		if len(f) < 3 || f[0] == "overlay" {
			return false
		}
		first, _, _ := strings.Cut(f[len(f)-1], ",")
		return first == "ro"
	}
	return false
}

// copyAll copies within the kernel: io.Copy would read and write some 250
// times.
func copyAll(dst, src int) error {
	for {
		n, err := unix.Sendfile(dst, src, nil, 1<<30)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			return err
		}
	}
}
