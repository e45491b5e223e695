package inside

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// TestBatches: what several calls in one go make, how they fail, and that they
// leave no fd behind.
func TestBatches(t *testing.T) {
	needRoot(t)
	in := birth(t, allNew)
	if err := in.SetPropagation("/", unix.MS_PRIVATE|unix.MS_REC); err != nil {
		t.Fatal(err)
	}
	before := openFDs(t)

	dir, fs, err := in.NewMount("tmpfs", []string{"source=batch", "mode=700", "ro"}, 0)
	if err != nil || fs != -1 {
		t.Fatalf("new mount: %v, context %d", err, fs)
	}
	unix.Close(dir)
	if dir, _, err = in.NewMount("tmpfs", nil, 0); err != nil {
		t.Fatal(err)
	}
	if _, fs, err := in.NewMount("no-such-type", nil, 0); fs != -1 || !fails(err, "fsopen no-such-type: no such device", unix.ENODEV) {
		t.Errorf("unknown type: %v, context %d", err, fs)
	}
	_, fs, err = in.NewMount("tmpfs", []string{"size=1", "mode=x", "size=2"}, 0)
	if fs < 0 || !fails(err, "fsconfig mode=x: invalid argument", unix.EINVAL) {
		t.Errorf("bad option: %v, context %d", err, fs)
	}
	unix.Close(fs)
	if _, fs, err := in.NewMount("tmpfs", nil, 1<<30); fs != -1 || !fails(err, "fsmount: invalid argument", unix.EINVAL) {
		t.Errorf("bad attributes: %v, context %d", err, fs)
	}

	places, err := in.MakePlaces(dir, []string{"a", "b", "a", "c"}, 0o755, 0)
	if len(places) != 2 || !fails(err, "mkdir a: file exists", unix.EEXIST) {
		t.Errorf("made %d places: %v", len(places), err)
	}
	if n, err := in.MoveMounts([]int{dir, -1}, []int{-1, -1}); n != 0 || !fails(err, "move_mount: bad file descriptor", unix.EBADF) {
		t.Errorf("moved %d: %v", n, err)
	}
	n, err := in.Mknodsat(dir, []Node{{"one", unix.S_IFIFO | 0o600, 0}, {"b", unix.S_IFIFO | 0o600, 0}, {"two", unix.S_IFIFO, 0}})
	if n != 1 || !fails(err, "mknod b: file exists", unix.EEXIST) {
		t.Errorf("made %d nodes: %v", n, err)
	}
	n, err = in.Symlinksat(dir, []Link{{"one", "x"}, {"l", "x"}, {"no/dir", "x"}, {"m", "x"}})
	if n != 2 || !fails(err, "symlink no/dir: no such file or directory", unix.ENOENT) {
		t.Errorf("made %d links: %v", n, err)
	}
	at, err := in.Openat2(unix.AT_FDCWD, t.TempDir(), unix.O_PATH, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := in.MoveMounts([]int{dir}, []int{at}); n != 1 || err != nil {
		t.Fatalf("moved %d: %v", n, err)
	}
	unix.Close(at)
	if found, err := in.CoverCopy(dir, "a", unix.RESOLVE_IN_ROOT, unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}); !found || err != nil {
		t.Errorf("cover: %v, %v", found, err)
	}
	if err := in.Mkdirat(dir, "a/new", 0o755); !errors.Is(err, unix.EROFS) {
		t.Errorf("make a directory below a read-only cover: %v", err)
	}
	if found, err := in.CoverCopy(dir, "gone", unix.RESOLVE_IN_ROOT, unix.MountAttr{}); found || !fails(err, "open gone: no such file or directory", unix.ENOENT) {
		t.Errorf("cover what is not there: %v, %v", found, err)
	}
	if err := in.AttachCopy(places[1], -1); !fails(err, "move_mount: bad file descriptor", unix.EBADF) {
		t.Errorf("attach: %v", err)
	}
	if err := in.WriteEach([]int{places[0]}, []string{"a place"}, "0"); !fails(err, "write to a place: bad file descriptor", unix.EBADF) {
		t.Errorf("write: %v", err)
	}
	if unmounting, err := in.ReplaceRoot(-1, "/nowhere"); unmounting || !fails(err, "fchdir /nowhere: bad file descriptor", unix.EBADF) {
		t.Errorf("replace the root: %v, %v", unmounting, err)
	}

	for _, fd := range append(places, dir) {
		unix.Close(fd)
	}
	if after := openFDs(t); after != before {
		t.Errorf("%d fds are open, %d were", after, before)
	}

	in.Kill()
	if n, err := in.Mknodsat(dir, []Node{{"one", unix.S_IFIFO, 0}, {"two", unix.S_IFIFO, 0}}); n != 0 || err == nil {
		t.Errorf("a dead child has made %d nodes: %v", n, err)
	}
}

func fails(err error, text string, errno unix.Errno) bool {
	return err != nil && err.Error() == text && errors.Is(err, errno)
}
