package inside

import (
	"errors"
	"fmt"
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

	dir, fs, err := in.NewMount("tmpfs", []string{"source=batch", "mode=700", "ro"}, 0, -1)
	if err != nil || fs != -1 {
		t.Fatalf("new mount: %v, context %d", err, fs)
	}
	unix.Close(dir)
	if dir, _, err = in.NewMount("tmpfs", nil, 0, -1); err != nil {
		t.Fatal(err)
	}
	if _, fs, err := in.NewMount("no-such-type", nil, 0, -1); fs != -1 || !fails(err, "fsopen no-such-type: no such device", unix.ENODEV) {
		t.Errorf("unknown type: %v, context %d", err, fs)
	}
	_, fs, err = in.NewMount("tmpfs", []string{"size=1", "mode=x", "size=2"}, 0, -1)
	if fs < 0 || !fails(err, "fsconfig mode=x: invalid argument", unix.EINVAL) {
		t.Errorf("bad option: %v, context %d", err, fs)
	}
	unix.Close(fs)
	if _, fs, err := in.NewMount("tmpfs", nil, 1<<30, -1); fs != -1 || !fails(err, "fsmount: invalid argument", unix.EINVAL) {
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
	for _, c := range []struct{ path, name, want string }{
		{".", "a", ""}, {"b", ".", ""}, {".", "l", ""}, // the link itself, which leads nowhere
		{"l", "a", "open l: no such file or directory"}, {".", "gone", "open gone: no such file or directory"}, {"a", "..", "open ..: invalid cross-device link"},
	} {
		fd, err := in.OpenBelow(dir, c.path, c.name, unix.RESOLVE_IN_ROOT)
		if err == nil {
			unix.Close(fd)
		}
		if got := fmt.Sprint(err); (c.want != "" || err != nil) && got != c.want {
			t.Errorf("open %s below %s: %v, want %q", c.name, c.path, err, c.want)
		}
	}
	for _, c := range []struct{ path, name, want string }{
		{"a", "made", ""}, {"a", "made", "mkdir made: file exists"}, {"gone", "made", "open gone: no such file or directory"}, {"l", "made", "open l: too many levels of symbolic links"},
	} {
		fd, err := in.MakePlace(dir, c.path, c.name, 0o711, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_SYMLINKS)
		if err == nil {
			var st unix.Stat_t
			if err := unix.Fstat(fd, &st); err != nil || st.Mode != unix.S_IFDIR|0o711 {
				t.Errorf("made %s/%s: mode %o, %v", c.path, c.name, st.Mode, err)
			}
			unix.Close(fd)
		}
		if got := fmt.Sprint(err); (c.want != "" || err != nil) && got != c.want {
			t.Errorf("make %s in %s: %v, want %q", c.name, c.path, err, c.want)
		}
	}
	fds, err := in.OpenEach(dir, []string{"a", "gone", "b/gone", "l", "b"}, unix.RESOLVE_IN_ROOT)
	if err != nil || len(fds) != 5 || fds[0] < 0 || fds[1] != -1 || fds[2] != -1 || fds[3] != -1 || fds[4] < 0 {
		t.Fatalf("opened %v: %v", fds, err)
	}
	if mnt, _, err := in.NewMount("tmpfs", []string{"mode=700"}, 0, fds[4]); err != nil {
		t.Errorf("new mount on a place: %v", err)
	} else {
		unix.Close(mnt)
	}
	if _, fs, err := in.NewMount("tmpfs", nil, 0, fds[0]+1000); fs != -1 || !fails(err, "move_mount: bad file descriptor", unix.EBADF) {
		t.Errorf("new mount on no place: %v, context %d", err, fs)
	}
	if err := in.Mkdirat(dir, "b/on top", 0o755); err != nil {
		t.Error(err)
	}
	for _, fd := range []int{fds[0], fds[4]} {
		unix.Close(fd)
	}
	if fds, err := in.OpenEach(dir, []string{"a", "one/x"}, unix.RESOLVE_IN_ROOT); fds != nil || !fails(err, "open one/x: not a directory", unix.ENOTDIR) {
		t.Errorf("opened %v: %v", fds, err)
	}
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
