package inside

import (
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/openat2"
)

// The calls below are several of calls.go in one program, for where nothing is
// to be decided between them. Each program is a way to the child and back, and
// where the two have one processor that is two switches between processes. An
// error is that of the call that failed, as if it had been made alone.

// runCounted is Run, and tells how many calls have been executed before the
// one that failed.
func (p *Program) runCounted() (done int, err error) {
	if p.in.dead == nil {
		p.in.region.failed = failure{} // of an earlier program, if this one is not posted
	}
	err = p.Run()
	if err == nil {
		return len(p.calls), nil
	}
	if p.in.dead != nil || p.in.region.failed.slot == 0 {
		return 0, err
	}
	return int((p.in.region.failed.slot - 1) & slotMask), err
}

// MaxOptions is how many options NewMount takes.
const MaxOptions = 64

// NewMount makes a file system, sets its options, "key" or "key=value", in
// their order, and makes a mount of it, with attrs, which are MOUNT_ATTR_*, on
// the place that target stands for, or with -1 a detached one (fsopen(2),
// fsconfig(2), fsmount(2), move_mount(2)). If the file system cannot be
// configured, fs is its context, which has more to say about it and is to be
// closed; else it is -1.
func (in *Child) NewMount(fstype string, options []string, attrs uint64, target int) (mnt, fs int, err error) {
	p := in.NewProgram()
	context := p.Add("fsopen", fstype, unix.SYS_FSOPEN, fstype, unix.FSOPEN_CLOEXEC)
	for _, option := range options {
		key, value, ok := strings.Cut(option, "=")
		if ok {
			p.Add("fsconfig", option, unix.SYS_FSCONFIG, context, unix.FSCONFIG_SET_STRING, key, value, 0)
		} else {
			p.Add("fsconfig", key, unix.SYS_FSCONFIG, context, unix.FSCONFIG_SET_FLAG, key, nil, 0)
		}
	}
	p.Add("fsconfig", "create", unix.SYS_FSCONFIG, context, unix.FSCONFIG_CMD_CREATE, nil, nil, 0)
	mount := p.Add("fsmount", "", unix.SYS_FSMOUNT, context, unix.FSMOUNT_CLOEXEC, attrs)
	if target >= 0 {
		p.moveMount(mount, target)
	}
	done, err := p.runCounted()
	switch {
	case err == nil:
		unix.Close(p.Value(context))
		return p.Value(mount), -1, nil
	case done == 0:
		return -1, -1, err
	case done < int(mount):
		return -1, p.Value(context), err
	}
	unix.Close(p.Value(context))
	if done > int(mount) {
		unix.Close(p.Value(mount))
	}
	return -1, -1, err
}

// OpenBelow opens name, which is no path, in the directory at path below dir,
// itself even if it is a symbolic link (openat2(2)). resolve is for the
// directory.
func (in *Child) OpenBelow(dir int, path, name string, resolve uint64) (fd int, err error) {
	above := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: resolve}
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH}
	err = openat2.Retry(func() error {
		p := in.NewProgram()
		parent := p.Add("open", path, unix.SYS_OPENAT2, dir, path, bytesOf(&above), unix.SizeofOpenHow)
		it := p.Add("open", name, unix.SYS_OPENAT2, parent, name, bytesOf(&how), unix.SizeofOpenHow)
		done, err := p.runCounted()
		if done > int(parent) {
			unix.Close(p.Value(parent))
		}
		fd = -1
		if err == nil {
			fd = p.Value(it)
		}
		return err
	})
	return fd, err
}

// MakePlace makes a directory called name in the one at path below dir and
// opens it with O_PATH, from dir again (mkdir(2), openat2(2)). If it fails the
// directory may have been made.
func (in *Child) MakePlace(dir int, path, name string, mode uint32, resolve uint64) (fd int, err error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: resolve}
	p := in.NewProgram()
	parent := p.Add("open", path, unix.SYS_OPENAT2, dir, path, bytesOf(&how), unix.SizeofOpenHow)
	p.Add("mkdir", name, unix.SYS_MKDIRAT, parent, name, int(mode))
	it := p.Add("open", name, unix.SYS_OPENAT2, dir, path+"/"+name, bytesOf(&how), unix.SizeofOpenHow)
	done, err := p.runCounted()
	if done > int(parent) {
		unix.Close(p.Value(parent))
	}
	if err != nil {
		return -1, err
	}
	return p.Value(it), nil
}

// MaxOpened is how many paths OpenEach takes.
const MaxOpened = 32

// OpenEach opens each of several paths below dir with O_PATH, as Openat2 does;
// the fd of one that does not exist is -1. On errors it has opened none.
func (in *Child) OpenEach(dir int, paths []string, resolve uint64) (fds []int, err error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: resolve}
	p := in.NewProgram()
	var opened []Result
	for _, path := range paths {
		opened = append(opened, p.Add("open", path, unix.SYS_OPENAT2, dir, path, bytesOf(&how), unix.SizeofOpenHow))
		p.Accept(unix.ENOENT)
	}
	done, err := p.runCounted()
	for _, res := range opened[:done] {
		fds = append(fds, p.Value(res))
	}
	if err != nil {
		for _, fd := range fds {
			unix.Close(fd)
		}
		return nil, err
	}
	return fds, nil
}

// AttachCopy puts a copy of the mount that fd is the root of on the place that
// target stands for (open_tree(2), move_mount(2)).
func (in *Child) AttachCopy(fd, target int) error {
	p := in.NewProgram()
	tree := p.Add("open_tree", "", unix.SYS_OPEN_TREE, fd, "", unix.OPEN_TREE_CLONE|unix.AT_EMPTY_PATH|unix.OPEN_TREE_CLOEXEC)
	p.moveMount(tree, target)
	done, err := p.runCounted()
	if done > int(tree) {
		unix.Close(p.Value(tree))
	}
	return err
}

// CoverCopy puts a copy of what is at path below dir, with all that is mounted
// there, over it, and gives the copy attr before anybody can see it
// (openat2(2), open_tree(2), mount_setattr(2), move_mount(2)). If it is not
// found the error is that of opening it.
func (in *Child) CoverCopy(dir int, path string, resolve uint64, attr unix.MountAttr) (found bool, err error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: resolve}
	err = openat2.Retry(func() error {
		p := in.NewProgram()
		place := p.Add("open", path, unix.SYS_OPENAT2, dir, path, bytesOf(&how), unix.SizeofOpenHow)
		tree := p.Add("open_tree", "", unix.SYS_OPEN_TREE, place, "",
			unix.OPEN_TREE_CLONE|unix.AT_EMPTY_PATH|unix.AT_RECURSIVE|unix.OPEN_TREE_CLOEXEC)
		p.Add("mount_setattr", "", unix.SYS_MOUNT_SETATTR, tree, "", unix.AT_EMPTY_PATH, bytesOf(&attr), unix.MOUNT_ATTR_SIZE_VER0)
		p.moveMount(tree, place)
		done, err := p.runCounted()
		for _, fd := range []Result{place, tree} {
			if done > int(fd) {
				unix.Close(p.Value(fd))
			}
		}
		found = done > 0
		return err
	})
	return found, err
}

func (p *Program) moveMount(fd, target any) {
	p.Add("move_mount", "", unix.SYS_MOVE_MOUNT, fd, "", target, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}

// MoveMounts attaches mounts, each to its place, until one cannot be, and says
// how many have been (move_mount(2)).
func (in *Child) MoveMounts(fds, targets []int) (done int, err error) {
	p := in.NewProgram()
	for i, fd := range fds {
		p.moveMount(fd, targets[i])
	}
	return p.runCounted()
}

// MakePlaces makes directories in dir and opens them with O_PATH, until
// something fails. It gives what it has opened, on errors too.
func (in *Child) MakePlaces(dir int, names []string, mode uint32, resolve uint64) (fds []int, err error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: resolve}
	p := in.NewProgram()
	var opened []Result
	for _, name := range names {
		p.Add("mkdir", name, unix.SYS_MKDIRAT, dir, name, int(mode))
		opened = append(opened, p.Add("open", name, unix.SYS_OPENAT2, dir, name, bytesOf(&how), unix.SizeofOpenHow))
	}
	done, err := p.runCounted()
	for _, res := range opened {
		if int(res) < done {
			fds = append(fds, p.Value(res))
		}
	}
	return fds, err
}

// Node is a file that Mknodsat makes.
type Node struct {
	Name string
	Mode uint32 // with the type
	Dev  uint64 // makedev's
}

// Mknodsat makes nodes in dir until one cannot be made, and says how many have
// been (mknod(2)).
func (in *Child) Mknodsat(dir int, nodes []Node) (done int, err error) {
	p := in.NewProgram()
	for _, n := range nodes {
		p.Add("mknod", n.Name, unix.SYS_MKNODAT, dir, n.Name, int(n.Mode), n.Dev)
	}
	return p.runCounted()
}

// Link is a symbolic link that Symlinksat makes.
type Link struct{ Name, Target string }

// Symlinksat makes symbolic links in dir until one cannot be made, and says
// how many have been; a name that is there already is left as it is
// (symlink(2)).
func (in *Child) Symlinksat(dir int, links []Link) (done int, err error) {
	p := in.NewProgram()
	for _, l := range links {
		p.Add("symlink", l.Name, unix.SYS_SYMLINKAT, l.Target, dir, l.Name)
		p.Accept(unix.EEXIST)
	}
	return p.runCounted()
}

// WriteEach writes data to each of several files, as Write does, until one
// refuses it; objects are what they are.
func (in *Child) WriteEach(fds []int, objects []string, data string) error {
	p := in.NewProgram()
	for i, fd := range fds {
		p.Add("write to", objects[i], unix.SYS_WRITE, fd, data, len(data))
	}
	return p.Run()
}

// ReplaceRoot makes newRoot, an fd of the directory called object, the root,
// and takes the old one away, as pivot_root(2) shows; unmounting reports that
// it was the second that failed.
func (in *Child) ReplaceRoot(newRoot int, object string) (unmounting bool, err error) {
	p := in.NewProgram()
	p.Add("fchdir", object, unix.SYS_FCHDIR, newRoot)
	p.Add("pivot_root", ".", unix.SYS_PIVOT_ROOT, ".", ".")
	unmount := p.Add("umount", ".", unix.SYS_UMOUNT2, ".", unix.MNT_DETACH)
	p.Add("chdir", "/", unix.SYS_CHDIR, "/")
	done, err := p.runCounted()
	return err != nil && done == int(unmount), err
}
