package security

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/specconv"
	"github.com/mocker-runtime/mocker/tests/drive"
)

// way is how a container comes to be: by which verbs, by whom, and what for.
type way struct {
	name     string
	split    bool // create and start
	userns   bool // in a user namespace whose root is somebody else
	rootless bool // by an ordinary user, who is its root
	overlay  bool // on an overlay
}

var (
	byRun      = way{name: "run"}
	byCreate   = way{name: "create", split: true}
	inUserns   = way{name: "userns", userns: true}
	asUser     = way{name: "rootless", rootless: true}
	onOverlay  = way{name: "overlay", overlay: true}
	everyWay   = []way{byRun, byCreate, inUserns, asUser, onOverlay}
	everyOwner = []way{byRun, inUserns, asUser}
)

const (
	mappedRoot = 700000 // on the host, the root of a user namespace
	ordinary   = 54321  // the ordinary user
)

// owner is who the container's root is on the host.
func (w way) owner() int {
	switch {
	case w.userns:
		return mappedRoot
	case w.rootless:
		return ordinary
	}
	return 0
}

// box is a bundle with a canary beside its rootfs. Both belong to who is root
// in the container, so that owners and modes protect neither.
func (w way) box(t *testing.T, edit func(*specs.Spec)) (bundle, root string, c *canary) {
	t.Helper()
	bundle = drive.Bundle(t, func(s *specs.Spec) {
		w.edit(s)
		if edit != nil {
			edit(s)
		}
	})
	must(t, os.Chmod(filepath.Dir(bundle), 0o755))
	c = newCanary(t, filepath.Join(bundle, "canary"))
	w.own(t, bundle)
	c.before = c.look(t)
	return bundle, filepath.Join(bundle, "rootfs"), c
}

// edit makes a config.json one for this way.
func (w way) edit(s *specs.Spec) {
	ids := func(n uint32) []specs.LinuxIDMapping {
		return []specs.LinuxIDMapping{{HostID: uint32(w.owner()), Size: n}}
	}
	switch {
	case w.userns:
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
		s.Linux.UIDMappings, s.Linux.GIDMappings = ids(65536), ids(65536)
	case w.rootless:
		specconv.Rootless(s, ids(1), ids(1))
	}
}

// own gives a tree to who is root in the container.
func (w way) own(t *testing.T, dir string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(p, w.owner(), w.owner())
	}))
}

// mountRoot makes the rootfs of a bundle the lower layer of an overlay on the
// same place, as an engine would.
func (w way) mountRoot(t *testing.T, root string, c *canary) {
	t.Helper()
	if !w.overlay {
		return
	}
	layers := filepath.Join(filepath.Dir(root), "layers")
	for _, d := range []string{"", "upper", "work"} {
		must(t, os.Mkdir(filepath.Join(layers, d), 0o755))
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%[2]s/upper,workdir=%[2]s/work", root, layers)
	if err := unix.Mount("overlay", root, "overlay", 0, options); err != nil {
		t.Fatalf("mount an overlay: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(root, unix.MNT_DETACH) })
	c.mounts = mounts(t)
}

// command is the command line of the runtime with these arguments, by whom
// the way wants it.
func (w way) command(t *testing.T, args ...string) []string {
	t.Helper()
	if !w.rootless {
		return append([]string{drive.Runtime(t)}, args...)
	}
	home, runtime := filepath.Join(userHome(t), "home"), fmt.Sprintf("/run/user/%d", ordinary)
	for _, dir := range []string{home, runtime} {
		must(t, os.MkdirAll(dir, 0o755))
		must(t, os.Chown(dir, ordinary, ordinary))
		must(t, os.Chmod(dir, 0o700))
	}
	id := fmt.Sprint(ordinary)
	line := []string{"setpriv", "--reuid", id, "--regid", id, "--clear-groups", "env", "-i", "-C", home,
		"PATH=/usr/bin:/bin:/usr/sbin", "HOME=" + home, "XDG_RUNTIME_DIR=" + runtime, filepath.Join(userHome(t), "runtime")}
	return append(line, args...)
}

// userHome is a place where an ordinary user finds the runtime, as long as the
// test lasts. It is the user's own: root inside could write to it.
func userHome(t *testing.T) string {
	t.Helper()
	if dir, ok := homes.Load(t.Name()); ok {
		return dir.(string)
	}
	dir := t.TempDir()
	must(t, os.Chmod(filepath.Dir(dir), 0o755))
	data, err := os.ReadFile(lookPath(t, drive.Runtime(t)))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "runtime"), data, 0o755))
	must(t, os.Chown(filepath.Join(dir, "runtime"), ordinary, ordinary))
	homes.Store(t.Name(), dir)
	t.Cleanup(func() { homes.Delete(t.Name()) })
	return dir
}

var homes sync.Map // by the name of a test

// drive runs the runtime to its end.
func (w way) drive(t *testing.T, args ...string) drive.Result {
	t.Helper()
	line := w.command(t, args...)
	return drive.Exec(t, line[0], line[1:]...)
}

// id is a name that no other container has, which goes with the test.
func (w way) id(t *testing.T) string {
	t.Helper()
	if w.rootless {
		userHome(t) // it is to go after the container
	}
	ids++
	id := fmt.Sprintf("security-%d-%d", os.Getpid(), ids)
	t.Cleanup(func() { w.drive(t, "delete", "--force", id) })
	return id
}

var ids int

// run runs a container to its end. Whatever comes of it, nothing stays.
func (w way) run(t *testing.T, bundle string) drive.Result {
	t.Helper()
	id := w.id(t)
	if !w.split {
		r := w.drive(t, "run", "--bundle", bundle, id)
		if r.Code != 0 {
			w.drive(t, "delete", "--force", id) // other runtimes leave what failed
		}
		return r
	}
	args := []string{"create", "--bundle", bundle}
	var said <-chan string
	if drive.ReadConfig(t, bundle).Process.Terminal {
		socket := filepath.Join(t.TempDir(), "console")
		said = console(t, socket)
		args = append(args, "--console-socket", socket)
	}
	line := w.command(t, append(args, id)...)
	create := drive.Start(t, line[0], line[1:]...)
	r := create.Wait()
	if r.Code == 0 {
		if start := w.drive(t, "start", id); start.Code != 0 {
			r.Code, r.Stderr = start.Code, start.Stderr
		}
		w.stopped(t, id)
		r.Stdout, r.Stderr = create.Output(), r.Stderr+create.Errors()
		if said != nil {
			r.Stdout += <-said
		}
	}
	w.drive(t, "delete", "--force", id)
	return r
}

// stopped waits until a container has stopped.
func (w way) stopped(t *testing.T, id string) {
	t.Helper()
	drive.Eventually(t, "it has stopped", func() bool {
		var st struct{ Status string }
		r := w.drive(t, "state", id)
		return r.Code != 0 || json.Unmarshal([]byte(r.Stdout), &st) == nil && st.Status == "stopped"
	})
}

// console receives a terminal on a socket, and gives what is said on it.
func console(t *testing.T, path string) <-chan string {
	t.Helper()
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	must(t, unix.Bind(socket, &unix.SockaddrUnix{Name: path}))
	must(t, unix.Listen(socket, 1))
	must(t, unix.SetsockoptTimeval(socket, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10}))
	said := make(chan string, 1)
	go func() {
		defer close(said)
		defer unix.Close(socket)
		conn, _, err := unix.Accept(socket)
		if err != nil {
			return
		}
		defer unix.Close(conn)
		oob := make([]byte, unix.CmsgSpace(4))
		_, n, _, _, err := unix.Recvmsg(conn, make([]byte, 4096), oob, unix.MSG_CMSG_CLOEXEC)
		if err != nil {
			return
		}
		messages, err := unix.ParseSocketControlMessage(oob[:n])
		if err != nil || len(messages) == 0 {
			return
		}
		fds, err := unix.ParseUnixRights(&messages[0])
		if err != nil || len(fds) == 0 {
			return
		}
		var text strings.Builder
		buf := make([]byte, 4096)
		for {
			n, err := unix.Read(fds[0], buf)
			if err != nil || n == 0 {
				break // EIO: nobody has the terminal open any more
			}
			text.Write(buf[:n])
		}
		unix.Close(fds[0])
		said <- text.String()
	}()
	return said
}
