package engines

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mocker-runtime/mocker/tests/drive"
)

const (
	rootless = 54321  // id of an ordinary user
	subIDs   = 700000 // first of its subordinate ids
)

// TestPodmanRootless is podman of an ordinary user, who has subordinate ids.
// On cgroup v1 it makes no cgroups.
func TestPodmanRootless(t *testing.T) {
	leaveNothing(t)
	addUser(t)
	b := newBench(t)
	for _, p := range b.podmans {
		p.makeRootless(t)
	}
	t.Cleanup(func() {
		for _, p := range b.podmans {
			p.ok("system", "migrate") // ends the process that keeps the user namespace
		}
	})
	same := fmt.Sprintf("0 %d 1 1 %d 65536\n", rootless, subIDs)
	for _, s := range []struct{ name, flags, script, want string }{
		{"root of a user namespace", "", "id -u; echo $(cat /proc/self/uid_map); stat -c '%u:%g %n' /dev/mqueue /dev/shm /dev/pts /bin", "0\n" + same + "0:0 /dev/mqueue\n0:0 /dev/shm\n0:0 /dev/pts\n0:0 /bin\n"},
		{"status", "", "echo out; echo err >&2; exit 7", "exit 7\nout\n! err\n"},
		{"user", "--user 1000:1001 --group-add 7", "id -u; id -g; id -G", "1000\n1001\n1001 7\n"},
		{"host network", "--network host", "ls /sys/class/net; touch /sys/file", "exit 1\n" + links(t) + "! touch: /sys/file: Read-only file system\n"},
		{"keep-id", "--userns keep-id", "id -u; id -g; stat -c '%u:%g %n' /dev/mqueue /dev/shm /bin; touch /data/file", "exit 1\n54321\n54321\n0:0 /dev/mqueue\n0:0 /dev/shm\n0:0 /bin\n! touch: /data/file: Permission denied\n"},
		{"keep-id for root", "--userns keep-id --user 0", "touch /data/file && stat -c %u:%g /data/file", "0:0\n"},
		{"nomap", "--userns nomap", "echo $(cat /proc/self/uid_map)", "0 1 65536\n"},
		{"auto", "--userns auto:size=1000", "echo $(cat /proc/self/uid_map); stat -c '%u:%g %n' /dev/mqueue", "0 1 1000\n0:0 /dev/mqueue\n"},
		{"no limits", "--memory 64m", "echo out", "out\n! Resource limits are not supported and ignored on cgroups V1 rootless systems\n"},
		{"privileged", "--privileged", "mount -t tmpfs none /tmp && grep -c ' /tmp ' /proc/self/mountinfo", "1\n"},
		{"volume", "-v VOLUME:/v", "cat /v/file; echo new >/v/made; stat -c %u /v/made", "shared\n0\n"},
		{"capabilities", "--cap-drop all --cap-add chown", "grep CapEff /proc/self/status", "CapEff:\t0000000000000001\n"},
	} {
		b.scenario(s.name, s.want, func(p *podman) { p.sh(s.flags, s.script) })
	}
	b.scenario("not there", "exit 127\n! Error: exec: \"nosuch\": executable file not found in $PATH: OCI runtime attempted to invoke a command that was not found\n",
		func(p *podman) { p.run("--rm", "nosuch") })
	b.scenario("terminal", "/dev/pts/0\nc\nresized\n", (*podman).terminal)
	b.scenario("exec", "id\nuid=1000 gid=1001\nexit 7\nbox Up\nsleep 1000\nbox\n137\nbox\n", func(p *podman) {
		p.background("", "sleep", "1000")
		p.do("exec", "--user", "1000:1001", "box", "sh", "-c", "id | cut -d' ' -f1,2")
		p.do("exec", "box", "sh", "-c", "exit 7")
		p.status()
		p.note("%s", strings.TrimSpace(strings.TrimPrefix(p.ok("top", "box", "args"), "COMMAND\n")))
		p.do("kill", "box")
		p.do("wait", "box")
		p.do("rm", "box")
	})
	b.scenario("pod", "id\nin pod\nid\n", func(p *podman) {
		p.ok("pod", "create", "--name", "pod", "--infra-image", "box", "--infra-command", "sleep 1000", "--network", "none")
		p.note("id")
		p.do("run", "--rm", "--pod", "pod", "box", "echo", "in pod")
		p.removePod("pod")
	})
	b.scenario("exec that follows the container", "id\nrootless\nbox\n", func(p *podman) {
		p.background("--userns keep-id", "sleep", "1000")
		p.do("exec", "box", "id", "-un")
		p.remove("box")
	})
}

// addUser gives the machine, as this test binary sees it, an ordinary user.
func addUser(t *testing.T) {
	t.Helper()
	for path, line := range map[string]string{
		"/etc/passwd": fmt.Sprintf("rootless:x:%d:%d::/nonexistent:/bin/sh\n", rootless, rootless),
		"/etc/group":  fmt.Sprintf("rootless:x:%d:\n", rootless),
		"/etc/subuid": fmt.Sprintf("rootless:%d:65536\n", subIDs),
		"/etc/subgid": fmt.Sprintf("rootless:%d:65536\n", subIDs),
	} {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatalf("%v (package uidmap)", err)
		}
		cover(t, path, string(data)+line)
	}
}

// makeRootless turns a podman into one of the ordinary user, with a store of
// its own.
func (p *podman) makeRootless(t *testing.T) {
	t.Helper()
	image := filepath.Join(p.dir, "box.tar")
	p.ok("save", "--output", image, "box")
	for _, dir := range []string{"root", "runroot", "tmp"} {
		if err := os.RemoveAll(filepath.Join(p.dir, dir)); err != nil {
			t.Fatal(err)
		}
	}
	// The binary, and all directories on the way, for everybody to see.
	path := filepath.Join(p.dir, filepath.Base(p.path))
	data, err := os.ReadFile(p.path)
	if err == nil {
		err = os.WriteFile(path, data, 0o755)
	}
	for dir := p.dir; err == nil && dir != filepath.Dir(os.TempDir()) && dir != "/"; dir = filepath.Dir(dir) {
		if dir != os.TempDir() {
			err = os.Chmod(dir, 0o755)
		}
	}
	run := filepath.Join(p.dir, "run")
	if err == nil {
		err = os.Mkdir(run, 0o700)
	}
	if err == nil {
		err = filepath.WalkDir(p.dir, func(file string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return os.Lchown(file, rootless, rootless)
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	id := fmt.Sprint(rootless)
	p.path, p.parent = path, ""
	p.as = []string{
		"setpriv", "--reuid", id, "--regid", id, "--clear-groups",
		"env", "-i", "PATH=/usr/bin:/bin:/usr/sbin:/sbin", "HOME=" + p.dir, "USER=rootless", "XDG_RUNTIME_DIR=" + run,
	}
	p.ok("load", "--input", image)
	if r := drive.Exec(t, "stat", "-c", "%u", p.dir+"/root"); r.Stdout != id+"\n" {
		t.Fatalf("podman keeps its images elsewhere: %v", r)
	}
}

// links are the names of the machine's network interfaces, as ls lists them.
func links(t *testing.T) string {
	t.Helper()
	entries, err := os.ReadDir("/sys/class/net")
	if err != nil {
		t.Fatal(err)
	}
	var list strings.Builder
	for _, e := range entries {
		fmt.Fprintln(&list, e.Name())
	}
	return list.String()
}
