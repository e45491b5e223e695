package rootless

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/drive"
)

func TestMain(m *testing.M) { drive.Main(m) }

const (
	uid   = 54321
	first = 700000 // of the subordinate ids
)

// user is an ordinary user with a home, a runtime directory and a mocker.
type user struct {
	testing.TB
	home, runtime, mocker string
	env                   []string
	ids                   int
}

// newUser makes a user of this test's mount namespace, with 65536 subordinate
// ids or with none.
func newUser(t testing.TB, subordinate bool) *user {
	t.Helper()
	drive.NeedRoot(t)
	base := t.TempDir()
	u := &user{TB: t, home: filepath.Join(base, "home"), runtime: fmt.Sprintf("/run/user/%d", uid), mocker: filepath.Join(base, "mocker")}
	passwd, err := os.ReadFile("/etc/passwd")
	check(t, err)
	cover(t, base, "/etc/passwd", string(passwd)+fmt.Sprintf("roofless:x:%d:%d::%s:/bin/sh\n", uid, uid, u.home))
	ids := ""
	if subordinate {
		ids = fmt.Sprintf("somebody:100000:10\nroofless:%d:65536\n", first)
	}
	cover(t, base, "/etc/subuid", ids)
	cover(t, base, "/etc/subgid", ids)
	check(t, os.Chmod(filepath.Dir(base), 0o755))
	check(t, os.Chmod(base, 0o755))
	for _, dir := range []string{u.home, u.runtime} {
		check(t, os.MkdirAll(dir, 0o755))
		check(t, os.Chown(dir, uid, uid))
		check(t, os.Chmod(dir, 0o700))
	}
	t.Cleanup(func() { check(t, os.RemoveAll(u.runtime)) })
	copyFile(t, drive.Mocker(t), u.mocker)
	u.env = []string{"PATH=/usr/bin:/bin:/usr/sbin", "HOME=" + u.home, "USER=roofless", "XDG_RUNTIME_DIR=" + u.runtime}
	return u
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// cover puts a file over one of the machine, in this mount namespace alone.
func cover(t testing.TB, dir, path, text string) {
	t.Helper()
	file := filepath.Join(dir, strings.ReplaceAll(path, "/", "-"))
	check(t, os.WriteFile(file, []byte(text), 0o644))
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: install the package uidmap", err)
	}
	check(t, unix.Mount(file, path, "", unix.MS_BIND, ""))
	t.Cleanup(func() { check(t, unix.Unmount(path, unix.MNT_DETACH)) })
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	check(t, err)
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	check(t, err)
	_, err = io.Copy(out, in)
	check(t, err)
	check(t, out.Close())
	check(t, os.Chmod(to, 0o755)) // whatever the umask
}

// run runs a program as the user.
func (u *user) run(args ...string) drive.Result {
	u.Helper()
	return drive.Exec(u, "setpriv", u.command(args...)...)
}

// command are the arguments of setpriv(1) for it.
func (u *user) command(args ...string) []string {
	id := fmt.Sprint(uid)
	list := append([]string{"--reuid", id, "--regid", id, "--clear-groups", "env", "-i", "-C", u.home}, u.env...)
	return append(list, args...)
}

// ok runs mocker, which must succeed, and gives what was printed.
func (u *user) ok(args ...string) string {
	u.Helper()
	r := u.run(append([]string{u.mocker}, args...)...)
	if r.Code != 0 {
		u.Fatalf("mocker %s: %v", strings.Join(args, " "), r)
	}
	return r.Stdout
}

// bundle makes a bundle as the user, and changes its config.json.
func (u *user) bundle(edit func(*specs.Spec)) string {
	u.Helper()
	u.ids++
	dir := filepath.Join(u.home, fmt.Sprintf("box%d", u.ids))
	u.ok("spec", "--busybox", "--rootless", "--bundle", dir)
	drive.Edit(u, dir, func(s *specs.Spec) {
		s.Process.Terminal = false
		edit(s)
	})
	return dir
}

func (u *user) id() string {
	u.ids++
	id := fmt.Sprintf("rootless-%d-%d", os.Getpid(), u.ids)
	u.Cleanup(func() { u.run(u.mocker, "delete", "--force", id) })
	return id
}

// state is what `state` says.
func (u *user) state(id string) (st struct {
	Pid                   int
	Status, Owner, Rootfs string
}) {
	u.Helper()
	check(u, json.Unmarshal([]byte(u.ok("state", id)), &st))
	return st
}

func status(t testing.TB, pid int, name string) string {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	check(t, err)
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func owner(info os.FileInfo) int {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return -1
	}
	return int(st.Uid)
}
