package box

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// Limits as cgroup v1 and v2 show them, whichever is there.
const (
	memory = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null"
	cpus   = "cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu.max 2>/dev/null | cut -d ' ' -f 1"
	pids   = "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null"
	caps   = "grep -h Cap[EP] /proc/self/status | cut -f 2 | uniq"
)

// TestFlags runs a script in a box for each row.
func TestFlags(t *testing.T) {
	t.Setenv("PASSED", "on, with a comma")
	unlimited, noQuota := "9223372036854771712", "-1"
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		unlimited, noQuota = "max", "max"
	}
	const bits = "grep CapBnd /proc/self/status | cut -f 2"
	for _, row := range []struct{ flags, script, want string }{
		{"", memory, "1073741824"},
		{"--memory 512m", memory, "536870912"},
		{"-m 0.5G", memory, "536870912"},
		{"--memory 67108864b", memory, "67108864"},
		{"--memory 0", memory, unlimited},
		{"", cpus, "100000"},
		{"--cpus 1.5", cpus, "150000"},
		{"--cpus .01", cpus, "1000"},
		{"--cpus 0", cpus, noQuota},
		{"", pids, "1024"},
		{"--pids-limit 7", pids, "7"},
		{"--pids-limit 0", pids, "max"},
		{"--pids-limit -1", pids, "max"},

		{"", "env | sort", "HOME=/root\nHOSTNAME=mocker\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nPWD=/\nSHLVL=1"},
		{"--env A=1,2 -e B= --env=A=3,4", `echo "$A,${B-unset}"`, "3,4,"},
		{"-e PASSED -e NOT_THERE", `echo "$PASSED,${NOT_THERE-unset}"`, "on, with a comma,unset"},
		{"-e PATH=/bin", "echo $PATH", "/bin"},

		{"--workdir /new/place", "pwd; stat -c %U:%a .", "/new/place\nroot:755"},
		{"-w /tmp", "pwd", "/tmp"},

		{"", "id", "uid=0(root) gid=0(root) groups=0(root)"},
		{"--user nobody", "id; echo $HOME", "uid=65534(nobody) gid=65534(nobody) groups=65534(nobody)\n/"},
		{"--user 65534", "id -g", "65534"},
		{"-u 1234", "id", "uid=1234 gid=0(root) groups=0(root)"},
		{"-u 1234:tty", "id", "uid=1234 gid=5(tty) groups=5(tty)"},
		{"-u nobody:7", "id -G", "7"},
		{"-u :tty", "id -u -n; id -g -n", "root\ntty"},

		{"", "hostname; cat /etc/hostname; grep -c mocker /etc/hosts", "mocker\nmocker\n1"},
		{"--hostname web", "hostname; cat /etc/hostname; grep -c localhost.web /etc/hosts; echo $HOSTNAME", "web\nweb\n1\nweb"},

		{"", "touch /x && ls /x", "/x"},
		{"--read-only", "touch /x 2>&1; touch /dev/shm/x && echo shm; echo 127.0.0.1 x >>/etc/hosts && echo hosts", "touch: /x: Read-only file system\nshm\nhosts"},

		{"", bits, "00000000a80425fb"}, // docker's
		{"", caps, "00000000a80425fb"},
		{"--user nobody", caps, "0000000000000000"},
		{"--cap-drop ALL", caps, "0000000000000000"},
		{"--cap-drop all --cap-add net_raw --cap-add CAP_KILL", bits, "0000000000002020"},
		{"--cap-add SYS_ADMIN", bits, "00000000a82425fb"},
		{"--cap-drop CAP_MKNOD --cap-drop net_raw", bits, "00000000a00405fb"},
		{"--cap-add kill --cap-drop kill", bits, "00000000a80425fb"},
		{"--cap-drop kill", bits, "00000000a80425db"},

		{"", "grep NoNewPrivs /proc/self/status | cut -f 2", "0"}, // su works, as in docker
		{"", "ls /proc/self/fd | wc -l", "4"},                     // and the directory itself
		{"--tty=false", "tty", "not a tty"},
	} {
		r := box(t, append(strings.Fields(row.flags), "busybox", "sh", "-c", row.script)...)
		if got := strings.TrimSpace(r.Stdout); got != row.want || r.Stderr != "" {
			t.Errorf("%s: %s: %v\nwant %s", row.flags, row.script, r, row.want)
		}
	}
	full := strings.TrimSpace(printed(t, "--cap-add", "ALL", "busybox", "sh", "-c", bits))
	if own := drive.Exec(t, "sh", "-c", bits).Stdout; full != strings.TrimSpace(own) {
		t.Errorf("all capabilities are %s, those of the test %s", full, own)
	}
	if got := printed(t, "--cap-add", "ALL", "--cap-drop", "mknod", "busybox", "sh", "-c", bits); strings.TrimSpace(got) == full {
		t.Errorf("all but one capability are %s", got)
	}
}

// TestUsersOfAnImage: names and groups are those of the image, whatever its
// links say about the host's.
func TestUsersOfAnImage(t *testing.T) {
	dir := root(t)
	write(t, dir+"/etc/real", "root:x:0:0::/:/bin/sh\nweb:x:40:41::/srv:/bin/sh\nbig:x:4294967295:0::/:\n")
	write(t, dir+"/etc/group", "web:x:41:\nlogs:x:42:root,web\nmore:x:43:web\nlogs2:x:42:web\n")
	if err := os.Remove(dir + "/etc/passwd"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/real", dir+"/etc/passwd"); err != nil {
		t.Fatal(err)
	}
	for user, want := range map[string]string{
		"web": "40 41 41 42 43", "40": "40 41 41 42 43", "web:43": "40 43 43", "web:logs": "40 42 42", "44": "44 0 0",
	} {
		got := printed(t, "--user", user, dir, "sh", "-c", "echo $(id -u) $(id -g) $(id -G | tr ' ' '\n' | sort -n)")
		if strings.TrimSpace(got) != want {
			t.Errorf("--user %s: %s, want %s", user, got, want)
		}
	}
	if r := box(t, "--user", "daemon", dir, "true"); r.Code != 125 || r.Stderr != "mocker: --user daemon: no user \"daemon\" in the image's /etc/passwd\n" {
		t.Errorf("a user of the host's: %v", r)
	}
	if err := os.Remove(dir + "/etc/passwd"); err != nil {
		t.Fatal(err)
	}
	// A FIFO must not be waited for.
	if r := drive.Exec(t, "mkfifo", dir+"/etc/passwd"); r.Code != 0 {
		t.Fatal(r)
	}
	if got := printed(t, "--user", "7", dir, "stat", "-c", "%u", "/proc/1"); got != "7\n" {
		t.Errorf("without a passwd: %s", got)
	}
}

func TestVolumes(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.MkdirAll("data/below", 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, "data/file", "of the host\n")
	write(t, "one", "one file\n")
	for _, row := range []struct{ flags, script, want string }{
		{"-v ./data:/mnt/deep", "cat /mnt/deep/file; echo kept >/mnt/deep/new; cat /mnt/deep/new", "of the host\nkept"},
		{"-v " + dir + "/data:/mnt:ro", "cat /mnt/new; touch /mnt/x 2>&1; true", "kept\ntouch: /mnt/x: Read-only file system"},
		{"--volume ./one:/etc/one:rw", "cat /etc/one; echo two >/etc/one", "one file"},
		{"-v ./one:/a/b -v ./data:/a", "cat /a/b /a/file", "two\nof the host"}, // the outer first
		{"-v ./missing/dir:/mnt", "touch /mnt/x; stat -c %u:%a /mnt", "0:755"},
		{"-v ./one:/etc/hosts -v ./one:/etc/resolv.conf", "cat /etc/hosts /etc/resolv.conf", "two\ntwo"},
		{"-v ./data:/dev/shm", "cat /dev/shm/file", "of the host"},
		{"--read-only -v ./data:/mnt -w /mnt/below/made", "pwd; touch x && echo ok", "/mnt/below/made\nok"},
		{"-v /proc/self/root/dev:/mnt", "ls /mnt/null", "/mnt/null"},
	} {
		if got := strings.TrimSpace(printed(t, append(strings.Fields(row.flags), "busybox", "sh", "-c", row.script)...)); got != row.want {
			t.Errorf("%s: %s\ngot  %q\nwant %q", row.flags, row.script, got, row.want)
		}
	}
	for path, want := range map[string]string{"data/new": "kept\n", "one": "two\n", "missing/dir/x": "", "data/below/made/x": ""} {
		if got := read(t, path); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}

	// A read-only volume is so with what is mounted below it.
	if r := drive.Exec(t, "mount", "-t", "tmpfs", "none", filepath.Join(dir, "data/below")); r.Code != 0 {
		t.Fatal(r)
	}
	defer drive.Exec(t, "umount", filepath.Join(dir, "data/below"))
	if r := box(t, "-v", "./data:/mnt:ro", "touch", "/mnt/below/x"); r.Code != 1 || !strings.Contains(r.Stderr, "Read-only") {
		t.Errorf("below a read-only volume: %v", r)
	}

	// Directories that were made for a container that never came are gone.
	name := newName(t)
	if r := mocker(t, "run", "-d", "--network", "none", "--name", name, "sleep", "100"); r.Code != 0 {
		t.Fatal(r)
	}
	if r := box(t, "--name", name, "-v", "./never/made:/mnt", "true"); r.Code != 125 {
		t.Errorf("a name that is taken: %v", r)
	}
	if _, err := os.Stat("never"); !os.IsNotExist(err) {
		t.Errorf("never: %v", err)
	}
}

func TestNetworks(t *testing.T) {
	before := drive.TakeSnapshot(t)
	const links = "ls /sys/class/net | tr '\n' ' '"
	for network, want := range map[string]string{"none": "lo ", "veth": "ceth0 lo "} {
		r := mocker(t, "run", "--network", network, "busybox", "sh", "-c", links)
		if r.Code != 0 || r.Stdout != want {
			t.Errorf("--network %s: %v", network, r)
		}
	}
	if r := mocker(t, "run", "sh", "-c", links+"; ip route | grep -c default; cat /etc/resolv.conf >/dev/null && echo ok"); r.Stdout != "ceth0 lo 1\nok\n" {
		t.Errorf("without a flag: %v", r)
	}
	r := mocker(t, "run", "--annotation", "mocker.network.subnet=10.250.9.0/24", "sh", "-c", "ip -o -4 addr show ceth0")
	if r.Code != 0 || !strings.Contains(r.Stdout, "10.250.9.") {
		t.Errorf("a subnet: %v", r)
	}
	// Links that are the host's alone, and its name servers and hosts.
	if r := drive.Exec(t, "ip", "link", "add", "boxhost0", "type", "veth", "peer", "name", "boxhost1"); r.Code != 0 {
		t.Fatal(r)
	}
	r = mocker(t, "run", "--net", "host", "sh", "-c", "ls /sys/class/net | grep boxhost0; cat /etc/resolv.conf; cat /etc/hosts")
	if want := "boxhost0\n" + read(t, "/etc/resolv.conf") + read(t, "/etc/hosts") + "127.0.0.1\tmocker\n"; r.Code != 0 || r.Stdout != want {
		t.Errorf("--network host: %v\nwant %s", r, want)
	}
	if r := drive.Exec(t, "ip", "link", "del", "boxhost0"); r.Code != 0 {
		t.Fatal(r)
	}
	before.Unchanged(t)
}

// TestStdin: it is there unless it is not wanted.
func TestStdin(t *testing.T) {
	for flags, want := range map[string]string{
		"": "typed\n", "-i": "typed\n", "--interactive=false": "", "-i=false": "",
	} {
		r := shell(t, fmt.Sprintf("echo typed | timeout 20 mocker run --network none %s cat", flags))
		if r.Code != 0 || r.Stdout != want {
			t.Errorf("%s: %v", flags, r)
		}
	}
}
