package inside

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/openat2"
)

// call1 executes one system call inside and waits for its result.
func (in *Child) call1(name, object string, nr uintptr, args ...any) (int, error) {
	p := in.NewProgram()
	res := p.Add(name, object, nr, args...)
	if err := p.Run(); err != nil {
		return -1, err
	}
	return p.Value(res), nil
}

func (in *Child) do(name, object string, nr uintptr, args ...any) error {
	_, err := in.call1(name, object, nr, args...)
	return err
}

// The calls below are those of the manual pages, with close-on-exec forced on
// every fd: no fork of the parent may carry one of them into another program.
// The fds are the parent's too; it can close, fstat and read them itself.

// Openat2 opens path below dir (openat2(2)); resolve are RESOLVE_* flags.
//
// The parent holds dir too and must not do it in the child's place: what a
// procfs on the way shows depends on who asks (sys/net is that of the
// caller's network namespace, self the caller).
//
// It is tried again where package openat2 says so.
func (in *Child) Openat2(dir int, path string, flags uint64, mode uint64, resolve uint64) (fd int, err error) {
	how := unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Mode: mode, Resolve: resolve}
	err = openat2.Retry(func() (err error) {
		fd, err = in.call1("open", path, unix.SYS_OPENAT2, dir, path, bytesOf(&how), unix.SizeofOpenHow)
		return err
	})
	return fd, err
}

// Fsopen makes a context for a new file system (fsopen(2)).
func (in *Child) Fsopen(fstype string) (int, error) {
	return in.call1("fsopen", fstype, unix.SYS_FSOPEN, fstype, unix.FSOPEN_CLOEXEC)
}

// FsconfigFlag sets an option without a value (fsconfig(2)).
func (in *Child) FsconfigFlag(fs int, key string) error {
	return in.do("fsconfig", key, unix.SYS_FSCONFIG, fs, unix.FSCONFIG_SET_FLAG, key, nil, 0)
}

// FsconfigString sets an option to a value (fsconfig(2)).
func (in *Child) FsconfigString(fs int, key, value string) error {
	return in.do("fsconfig", key+"="+value, unix.SYS_FSCONFIG, fs, unix.FSCONFIG_SET_STRING, key, value, 0)
}

// FsconfigFD sets an option to an open file (fsconfig(2)).
func (in *Child) FsconfigFD(fs int, key string, fd int) error {
	return in.do("fsconfig", key, unix.SYS_FSCONFIG, fs, unix.FSCONFIG_SET_FD, key, nil, fd)
}

// FsconfigCreate makes the superblock (fsconfig(2)).
func (in *Child) FsconfigCreate(fs int) error {
	return in.do("fsconfig", "create", unix.SYS_FSCONFIG, fs, unix.FSCONFIG_CMD_CREATE, nil, nil, 0)
}

// Fspick makes a context to change the superblock of the mount that fd is the
// root of (fspick(2)).
func (in *Child) Fspick(fd int) (int, error) {
	return in.call1("fspick", "", unix.SYS_FSPICK, fd, "", unix.FSPICK_CLOEXEC|unix.FSPICK_EMPTY_PATH)
}

// FsconfigReconfigure changes the superblock (fsconfig(2)).
func (in *Child) FsconfigReconfigure(fs int) error {
	return in.do("fsconfig", "reconfigure", unix.SYS_FSCONFIG, fs, unix.FSCONFIG_CMD_RECONFIGURE, nil, nil, 0)
}

// Fsmount makes a detached mount of the superblock; attrs are MOUNT_ATTR_*.
func (in *Child) Fsmount(fs int, attrs uint64) (int, error) {
	return in.call1("fsmount", "", unix.SYS_FSMOUNT, fs, unix.FSMOUNT_CLOEXEC, attrs)
}

// OpenTree opens path, or with OPEN_TREE_CLONE a detached copy of the mount
// there (open_tree(2)).
func (in *Child) OpenTree(dir int, path string, flags uint64) (int, error) {
	return in.call1("open_tree", path, unix.SYS_OPEN_TREE, dir, path, flags|unix.OPEN_TREE_CLOEXEC)
}

// MountSetattr changes the mount that fd is the root of (mount_setattr(2));
// flags may be AT_RECURSIVE.
func (in *Child) MountSetattr(fd int, flags int, attr unix.MountAttr) error {
	return in.do("mount_setattr", "", unix.SYS_MOUNT_SETATTR, fd, "", unix.AT_EMPTY_PATH|flags, bytesOf(&attr), unix.MOUNT_ATTR_SIZE_VER0)
}

// MoveMount attaches the mount that fd is the root of to the place that
// target stands for (move_mount(2)).
func (in *Child) MoveMount(fd, target int) error {
	return in.do("move_mount", "", unix.SYS_MOVE_MOUNT, fd, "", target, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}

// Mount mounts a file system on target, which the child's working directory
// and root decide (mount(2)).
func (in *Child) Mount(source, target, fstype string, flags uintptr, data string) error {
	return in.do("mount", fstype, unix.SYS_MOUNT, source, target, fstype, flags, data)
}

// SetPropagation changes the propagation of the mount at path, which the
// child's working directory and root decide (mount(2)).
func (in *Child) SetPropagation(path string, flags uintptr) error {
	return in.do("mount", path, unix.SYS_MOUNT, nil, path, nil, flags, nil)
}

// Unmount takes a mount away (umount2(2)).
func (in *Child) Unmount(path string, flags int) error {
	return in.do("umount", path, unix.SYS_UMOUNT2, path, flags)
}

// PivotRoot makes newRoot the root (pivot_root(2)).
func (in *Child) PivotRoot(newRoot, putOld string) error {
	return in.do("pivot_root", newRoot, unix.SYS_PIVOT_ROOT, newRoot, putOld)
}

// Fchdir changes the working directory to what dir stands for.
func (in *Child) Fchdir(dir int, object string) error {
	return in.do("fchdir", object, unix.SYS_FCHDIR, dir)
}

// Chdir changes the working directory.
func (in *Child) Chdir(path string) error { return in.do("chdir", path, unix.SYS_CHDIR, path) }

// Chroot changes the root to a path below the working directory.
func (in *Child) Chroot(path string) error { return in.do("chroot", path, unix.SYS_CHROOT, path) }

// Mkdirat makes the directory name in dir.
func (in *Child) Mkdirat(dir int, name string, mode uint32) error {
	return in.do("mkdir", name, unix.SYS_MKDIRAT, dir, name, int(mode))
}

// Mknodat makes the node name in dir; mode has the type, dev is makedev's.
func (in *Child) Mknodat(dir int, name string, mode uint32, dev uint64) error {
	return in.do("mknod", name, unix.SYS_MKNODAT, dir, name, int(mode), dev)
}

// Symlinkat makes the symbolic link name in dir.
func (in *Child) Symlinkat(target string, dir int, name string) error {
	return in.do("symlink", name, unix.SYS_SYMLINKAT, target, dir, name)
}

// Linkat makes name in dir another name of the file old in oldDir.
func (in *Child) Linkat(oldDir int, old string, dir int, name string) error {
	return in.do("link", name, unix.SYS_LINKAT, oldDir, old, dir, name, 0)
}

// Sendfile copies up to n bytes between two files, from where they stand
// (sendfile(2)). The memory that it takes is the child's, not the parent's.
func (in *Child) Sendfile(to, from int, n int) (int, error) {
	return in.call1("sendfile", "", unix.SYS_SENDFILE, to, from, nil, n)
}

// Unlinkat removes name from dir; flags may be AT_REMOVEDIR.
func (in *Child) Unlinkat(dir int, name string, flags int) error {
	return in.do("unlink", name, unix.SYS_UNLINKAT, dir, name, flags)
}

// Fchownat changes the owner of name in dir, of dir itself if name is "";
// ids are the child's. A symbolic link is not followed.
func (in *Child) Fchownat(dir int, name string, uid, gid int) error {
	return in.do("chown", name, unix.SYS_FCHOWNAT, dir, name, uid, gid, unix.AT_EMPTY_PATH|unix.AT_SYMLINK_NOFOLLOW)
}

// Fchmod changes the mode of what fd is open on.
func (in *Child) Fchmod(fd int, mode uint32) error {
	return in.do("fchmod", "", unix.SYS_FCHMOD, fd, int(mode))
}

// Futimens changes the times of access and modification of what fd is open
// on (utimensat(2)).
func (in *Child) Futimens(fd int, access, modification unix.Timespec) error {
	times := [2]unix.Timespec{access, modification}
	return in.do("utimensat", "", unix.SYS_UTIMENSAT, fd, nil, bytesOf(&times), 0)
}

// Sethostname sets the name of the UTS namespace.
func (in *Child) Sethostname(name string) error {
	return in.do("sethostname", name, unix.SYS_SETHOSTNAME, name, len(name))
}

// Setdomainname sets the NIS domain name of the UTS namespace.
func (in *Child) Setdomainname(name string) error {
	return in.do("setdomainname", name, unix.SYS_SETDOMAINNAME, name, len(name))
}

// Write writes all of data to fd with one call, as files of /proc want it.
func (in *Child) Write(fd int, object, data string) error {
	_, err := in.call1("write to", object, unix.SYS_WRITE, fd, data, len(data))
	return err
}

// Pread reads the beginning of a file, PATH_MAX bytes at most. Some files of
// /proc tell of who reads what they seem to tell of another process.
func (in *Child) Pread(fd int, object string) (string, error) {
	return in.path("read", object, unix.SYS_PREAD64, 1, fd, 0)
}

// Fsetxattr sets an extended attribute of what fd is open on.
func (in *Child) Fsetxattr(fd int, name, value string) error {
	return in.do("setxattr", name+"="+value, unix.SYS_FSETXATTR, fd, name, value, len(value), 0)
}

// Setns enters the namespace that fd stands for (setns(2)).
func (in *Child) Setns(fd int, object string, flag uintptr) error {
	return in.do("setns", object, unix.SYS_SETNS, fd, flag)
}

// Unshare enters new namespaces (unshare(2)).
func (in *Child) Unshare(object string, flags uintptr) error {
	return in.do("unshare", object, unix.SYS_UNSHARE, flags)
}

// JoinSessionKeyring replaces the session keyring by the one of that name, if
// there is one that may be searched, else by a new one (keyctl(2),
// KEYCTL_JOIN_SESSION_KEYRING), and gives its serial number.
func (in *Child) JoinSessionKeyring(name string) (int, error) {
	return in.call1("keyctl", "join session keyring "+name, unix.SYS_KEYCTL, unix.KEYCTL_JOIN_SESSION_KEYRING, name)
}

// SetKeyPermissions changes who may do what with a key (keyctl(2),
// KEYCTL_SETPERM).
func (in *Child) SetKeyPermissions(key int, permissions uint32) error {
	return in.do("keyctl", fmt.Sprintf("set permissions of key %d", key), unix.SYS_KEYCTL, unix.KEYCTL_SETPERM, key, uint64(permissions))
}

// Ioctl calls ioctl(2); name is that of the request.
func (in *Child) Ioctl(fd int, name string, request uintptr, arg any) (int, error) {
	return in.call1("ioctl", name, unix.SYS_IOCTL, fd, request, arg)
}

// Faccessat2 asks whether the child, as its file system ids and effective
// capabilities stand, may access what fd is open on (faccessat2(2)).
func (in *Child) Faccessat2(fd int, mode uint32) error {
	return in.do("faccessat2", "", unix.SYS_FACCESSAT2, fd, "", int(mode), unix.AT_EMPTY_PATH|unix.AT_EACCESS)
}

// Getcwd is the child's working directory; it does not begin with a slash if
// it lies outside the child's root (getcwd(2)).
func (in *Child) Getcwd() (string, error) {
	cwd, err := in.path("getcwd", "", unix.SYS_GETCWD, 0)
	return strings.TrimSuffix(cwd, "\x00"), err
}

// Readlink is the target of the symbolic link that fd, opened with O_PATH,
// stands for (readlinkat(2)); name is for errors.
func (in *Child) Readlink(fd int, name string) (string, error) {
	return in.path("readlink", name, unix.SYS_READLINKAT, 2, fd, "")
}

// path executes a call that fills a buffer of PATH_MAX bytes, which it takes
// as argument number at, and its length after it. args are the others.
func (in *Child) path(name, object string, nr uintptr, at int, args ...any) (string, error) {
	p := in.NewProgram()
	buf := p.room(unix.PathMax, 1) // the beginning of the arena
	args = slices.Insert(args, at, any(buf), any(unix.PathMax))
	res := p.Add(name, object, nr, args...)
	if err := p.Run(); err != nil {
		return "", err
	}
	n := min(max(p.Value(res), 0), unix.PathMax)
	return string(in.region.arena[:n]), nil
}

// Signalfd makes an fd that is readable when a signal of the mask waits for
// the child (signalfd(2)); bit n-1 is signal n.
func (in *Child) Signalfd(mask uint64) (int, error) {
	return in.call1("signalfd", "", unix.SYS_SIGNALFD4, -1, bytesOf(&mask), 8, unix.SFD_CLOEXEC|unix.SFD_NONBLOCK)
}

// ParentFD is what the child watches its parent by: a pidfd, after WatchPipe
// a pipe. A last program that unshares the table of fds keeps it until the
// parent is not needed.
func (in *Child) ParentFD() int { return in.parent }

// Socket makes a socket of the child's network namespace.
func (in *Child) Socket(family, kind, protocol int) (int, error) {
	return in.call1("socket", "", unix.SYS_SOCKET, family, kind|unix.SOCK_CLOEXEC, protocol)
}

// IoctlIfreq calls an ioctl(2) of netdevice(7).
func (in *Child) IoctlIfreq(sock int, name string, request uintptr, ifr *unix.Ifreq) error {
	_, err := in.Ioctl(sock, name, request, bytesOf(ifr))
	return err
}
