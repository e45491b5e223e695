package namespaces

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/coverage"
	"github.com/mocker-runtime/mocker/tests/drive"
)

// mapped gives a container a user namespace of 65536 ids from 100000 on.
func mapped(s *specs.Spec) {
	s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	s.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 65536}}
	s.Linux.GIDMappings = s.Linux.UIDMappings
}

// join makes a container's namespaces of some types those of a process.
func join(pid int, names ...specs.LinuxNamespaceType) func(*specs.Spec) {
	files := map[specs.LinuxNamespaceType]string{specs.UserNamespace: "user"}
	for _, k := range kinds {
		files[k.name] = k.file
	}
	return func(s *specs.Spec) {
		for _, name := range names {
			path := fmt.Sprintf("/proc/%d/ns/%s", pid, files[name])
			found := false
			for i := range s.Linux.Namespaces {
				if s.Linux.Namespaces[i].Type == name {
					s.Linux.Namespaces[i].Path, found = path, true
				}
			}
			if !found {
				s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: name, Path: path})
			}
		}
	}
}

func edits(list ...func(*specs.Spec)) func(*specs.Spec) {
	return func(s *specs.Spec) {
		for _, edit := range list {
			edit(s)
		}
	}
}

var count int

// id is a name for a container that goes with the test.
func newID(t testing.TB) string {
	count++
	id := fmt.Sprintf("namespaces-%d-%d", os.Getpid(), count)
	t.Cleanup(func() { drive.Run(t, "delete", "--force", id) })
	return id
}

// prints runs a container and gives what it prints.
func prints(t *testing.T, script string, edit func(*specs.Spec)) string {
	t.Helper()
	return drive.OK(t, "run", "--bundle", drive.Bundle(t, edits(drive.Sh(script), edit)), newID(t))
}

// running starts a container in the background and gives its pid.
func running(t *testing.T, id string, edit func(*specs.Spec)) int {
	t.Helper()
	drive.OK(t, "run", "--detach", "--bundle", drive.Bundle(t, edits(drive.Sh("trap 'exit 7' TERM; while :; do usleep 50000; done"), edit)), id)
	return state(t, id).Pid
}

func state(t *testing.T, id string) (st struct {
	Pid    int
	Status string
}) {
	t.Helper()
	if err := json.Unmarshal([]byte(drive.OK(t, "state", id)), &st); err != nil {
		t.Fatal(err)
	}
	return st
}

// TestUserNamespace is a container as `mocker spec` writes it, in a bundle
// that nobody but root can walk to, with a root that belongs to another.
func TestUserNamespace(t *testing.T) {
	coverage.Shows(t, "linux.uidMappings", "linux.gidMappings")
	got := prints(t, `id; cat /proc/self/uid_map /proc/self/gid_map | tr -s ' '; head -c 3 /dev/zero | wc -c; echo x >/dev/null && echo null
		touch /dev/shm/x && stat -c %u:%g /dev/shm/x; grep CapPrm /proc/self/status; hostname; cat /proc/sys/net/ipv4/ip_forward
		cat /proc/keys | wc -c; touch /x 2>/dev/null || echo not its own; ulimit -n; stat -c %a:%u /proc/self/fd/1/. 2>/dev/null; mknod /dev/shm/n c 1 3 2>/dev/null || echo no nodes`,
		edits(mapped, func(s *specs.Spec) { s.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1"} }))
	want := "uid=0(root) gid=0\n 0 100000 65536\n 0 100000 65536\n3\nnull\n0:0\nCapPrm:\t0000000020000420\nrunc\n1\n0\nnot its own\n1024\nno nodes\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestDevicesOfUserNamespaceAgain: where no device node can be made the host's
// are mounted, on files that are still there the next time. Anything else that
// is there stays.
func TestDevicesOfUserNamespaceAgain(t *testing.T) {
	bundle := drive.Bundle(t, edits(drive.Sh("head -c 3 /dev/zero | wc -c"), mapped, func(s *specs.Spec) {
		s.Mounts = slices.DeleteFunc(s.Mounts, func(m specs.Mount) bool { return strings.HasPrefix(m.Destination, "/dev") })
	}))
	dev := filepath.Join(bundle, "rootfs/dev")
	if err := os.MkdirAll(dev, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dev, 100000, 100000); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := drive.OK(t, "run", "--bundle", bundle, newID(t)); got != "3\n" {
			t.Errorf("got %q", got)
		}
	}
	if err := os.WriteFile(filepath.Join(dev, "zero"), []byte("the image's"), 0o644); err != nil {
		t.Fatal(err)
	}
	if r := drive.Run(t, "run", "--bundle", bundle, newID(t)); r.Code != 1 || !strings.Contains(r.Stderr, "device /dev/zero: something else is there") {
		t.Errorf("with a file of the image's: %v", r)
	}
}

// TestUserOfUserNamespace: ids and groups of the process are the container's.
func TestUserOfUserNamespace(t *testing.T) {
	coverage.Shows(t, "process.user.uid", "process.user.gid", "process.user.additionalGids")
	id := newID(t)
	pid := running(t, id, edits(mapped, func(s *specs.Spec) {
		s.Process.User = specs.User{UID: 1000, GID: 2000, AdditionalGids: []uint32{3000, 4}}
		s.Process.Capabilities = nil
	}))
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Uid:\t101000\t101000\t101000\t101000\n", "Gid:\t102000\t102000\t102000\t102000\n", "Groups:\t100004 103000 \n"} {
		if !strings.Contains(string(status), want) {
			t.Errorf("no %q in\n%s", want, status)
		}
	}
}

// TestLowestID: a container without an id 0 is built with the lowest that it
// has.
func TestLowestID(t *testing.T) {
	got := prints(t, "id -u; id -g; cat /proc/self/uid_map | tr -s ' '", edits(mapped, func(s *specs.Spec) {
		s.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 2000, HostID: 300000, Size: 10}, {ContainerID: 1000, HostID: 200000, Size: 10}}
		s.Linux.GIDMappings = []specs.LinuxIDMapping{{ContainerID: 5, HostID: 200000, Size: 10}}
		s.Process.User = specs.User{UID: 2001, GID: 7}
	}))
	if want := "2001\n7\n 2000 300000 10\n 1000 200000 10\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestCopyUpOfUserNamespace: what a tmpfs starts with belongs to the same ids
// inside, where these have a name there.
func TestCopyUpOfUserNamespace(t *testing.T) {
	bundle := drive.Bundle(t, edits(drive.Sh("stat -c '%n %u:%g %a' /data/*"), mapped, func(s *specs.Spec) {
		s.Mounts = append(s.Mounts, specs.Mount{Destination: "/data", Type: "tmpfs", Source: "tmpfs", Options: []string{"tmpcopyup"}})
	}))
	data := filepath.Join(bundle, "rootfs/data")
	if err := os.Mkdir(data, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, owner := range map[string]int{"/hers": 100042, "/nobodys": 5} {
		if err := os.WriteFile(data+name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(data+name, owner, owner); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := drive.OK(t, "run", "--bundle", bundle, newID(t)), "/data/hers 42:42 644\n/data/nobodys 0:0 644\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestMapsOfJoined: maps beside a user namespace that is joined must be its
// own; ids that it does not have are refused.
func TestMapsOfJoined(t *testing.T) {
	first := newID(t)
	pid := running(t, first, mapped)
	other := func(s *specs.Spec) {
		s.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 200000, Size: 65536}}
	}
	enter := join(pid, specs.UserNamespace)
	for name, row := range map[string]struct {
		edit func(*specs.Spec)
		want string
	}{
		"none": {enter, ""},
		"same": {edits(mapped, enter), ""},
		"podman's": {edits(enter, func(s *specs.Spec) {
			s.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 0, Size: 1}}
			s.Linux.GIDMappings = s.Linux.UIDMappings
		}), ""},
		"other": {edits(enter, other), fmt.Sprintf(`namespaces: linux.uidMappings: "0 200000 65536", but the user namespace /proc/%d/ns/user is joined and has "0 100000 65536"`, pid)},
		"id":    {edits(enter, func(s *specs.Spec) { s.Process.User.UID = 70000 }), fmt.Sprintf("namespaces: process.user.uid: 70000: not mapped in the user namespace /proc/%d/ns/user", pid)},
	} {
		r := drive.Run(t, "run", "--bundle", drive.Bundle(t, edits(drive.Sh("id -u"), row.edit)), newID(t))
		if got := strings.TrimSpace(strings.TrimPrefix(r.Stderr, "mocker: ")); got != row.want || (row.want == "") != (r.Stdout == "0\n") {
			t.Errorf("%s: %v\nwant %s", name, r, row.want)
		}
	}
}

// TestMessageQueues: the directory of the message queues belongs to the root of
// the user namespace, be that new or joined.
func TestMessageQueues(t *testing.T) {
	drive.MockersOwn(t, "runc leaves it to nobody's group, or to nobody")
	pid := running(t, newID(t), mapped)
	for name, edit := range map[string]func(*specs.Spec){"new": mapped, "joined": join(pid, specs.UserNamespace), "none": edits()} {
		if got := prints(t, "stat -c '%u:%g %a' /dev/mqueue && touch /dev/mqueue/queue", edit); got != "0:0 1777\n" {
			t.Errorf("%s: %q", name, got)
		}
	}
	var st unix.Stat_t
	if err := unix.Stat(fmt.Sprintf("/proc/%d/root/dev/mqueue", pid), &st); err != nil || st.Uid != 100000 || st.Gid != 100000 {
		t.Errorf("on the host it belongs to %d:%d, %v", st.Uid, st.Gid, err)
	}
}

// TestTimeOffsets: the clocks are off by what was asked, and the container
// starts in its time namespace.
func TestTimeOffsets(t *testing.T) {
	coverage.Shows(t, "linux.timeOffsets")
	got := prints(t, "tr -s ' ' </proc/self/timens_offsets; cut -d. -f1 /proc/uptime", func(s *specs.Spec) {
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.TimeNamespace})
		s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Secs: 1000000}, "monotonic": {Secs: 5, Nanosecs: 7}}
	})
	var uptime int
	lines := strings.Split(strings.TrimSpace(got), "\n")
	_, err := fmt.Sscan(lines[len(lines)-1], &uptime)
	if err != nil || uptime < 1000000 || lines[0] != "monotonic 5 7" || lines[1] != "boottime 1000000 0" {
		t.Errorf("%q (%v)", got, err)
	}
}

// TestClocksOfTheProgram: the container's own program has the clocks of its
// time namespace, which before Linux 6.2 not execve but a fork gives it, and
// so has who joins it before it has started.
func TestClocksOfTheProgram(t *testing.T) {
	const ahead = "read now rest </proc/uptime; [ ${now%.*} -ge 1000000 ] && echo ahead"
	shifted := func(s *specs.Spec) {
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.TimeNamespace})
		s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Secs: 1000000}}
	}
	ofHost := func(s *specs.Spec) {
		s.Linux.Namespaces = slices.DeleteFunc(s.Linux.Namespaces, func(ns specs.LinuxNamespace) bool { return ns.Type == specs.PIDNamespace })
	}
	for name, edit := range map[string]func(*specs.Spec){
		"new pid namespace":    func(*specs.Spec) {},
		"host's pid namespace": ofHost,
		"user namespace":       mapped,
	} {
		t.Run(name, func(t *testing.T) {
			if got := prints(t, ahead, edits(shifted, edit)); got != "ahead\n" {
				t.Errorf("the program prints %q", got)
			}
			id := newID(t)
			drive.OK(t, "create", "--bundle", drive.Bundle(t, edits(drive.Sh("exec sleep 100"), shifted, edit)), id)
			if got := drive.OK(t, "exec", id, "sh", "-c", ahead); got != "ahead\n" {
				t.Errorf("exec before start prints %q", got)
			}
			drive.OK(t, "delete", "--force", id)
		})
	}
}

// TestJoinedPID: who joins a pid namespace sees who lives there in its /proc,
// can be ended alone, and leaves no zombie in the way of the first one's end.
func TestJoinedPID(t *testing.T) {
	for name, user := range map[string]func(*specs.Spec){"host's user namespace": func(*specs.Spec) {}, "joined user namespace": mapped} {
		t.Run(name, func(t *testing.T) {
			before := drive.TakeSnapshot(t)
			first, second := newID(t), newID(t)
			pid := running(t, first, user)
			enter := join(pid, specs.PIDNamespace)
			if name != "host's user namespace" {
				enter = join(pid, specs.PIDNamespace, specs.UserNamespace)
			}
			if got := prints(t, "ls /proc | grep -c '^[0-9]'; readlink /proc/1/exe >/dev/null; cat /proc/1/comm; echo $PPID", enter); !strings.HasSuffix(got, "sh\n0\n") || strings.HasPrefix(got, "1\n") {
				t.Errorf("it prints %q", got)
			}
			inner := running(t, second, enter)
			if link(inner, "pid") != link(pid, "pid") {
				t.Error("the pid namespace is another one")
			}
			drive.OK(t, "kill", second, "KILL")
			drive.Eventually(t, "the second has stopped", func() bool { return state(t, second).Status == "stopped" })
			if st := state(t, first); st.Status != "running" {
				t.Errorf("the first is %s", st.Status)
			}
			drive.OK(t, "delete", second)
			// As the machine's init would: until then the pid namespace cannot end.
			_, _ = unix.Wait4(inner, nil, 0, nil)
			drive.OK(t, "delete", "--force", first)
			before.Unchanged(t)
		})
	}
}

// TestTerminalInJoinedPID: the process has its terminal, as the leader of a
// session, although another process has prepared it.
func TestTerminalInJoinedPID(t *testing.T) {
	first := newID(t)
	pid := running(t, first, func(*specs.Spec) {})
	bundle := drive.Bundle(t, edits(join(pid, specs.PIDNamespace), func(s *specs.Spec) {
		s.Process.Terminal = true
		s.Process.Args = []string{"sh"}
	}))
	term := drive.OnTerminal(t, drive.Mocker(t), "run", "--bundle", bundle, newID(t))
	term.Expect("# ")
	term.Type("tty; echo job$((1+1)); sleep 100\r")
	term.Expect("/dev/pts/0")
	term.Expect("job2")
	drive.Eventually(t, "sleep runs, in the foreground then", func() bool {
		comms, _ := filepath.Glob("/proc/[0-9]*/comm")
		for _, file := range comms {
			if comm, _ := os.ReadFile(file); string(comm) == "sleep\n" {
				if ns, _ := os.Readlink(filepath.Dir(file) + "/ns/pid"); ns == link(pid, "pid") && !strings.HasPrefix(file, fmt.Sprintf("/proc/%d/", pid)) {
					return true
				}
			}
		}
		return false
	})
	term.Type("\x03")
	term.Expect("# ")
	term.Type("exit 3\r")
	if code := term.Wait(); code != 3 || strings.Contains(term.Shown(), "job control") {
		t.Errorf("exit %d\n%s", code, term.Shown())
	}
}
