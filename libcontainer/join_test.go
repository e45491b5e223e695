//go:build !race

// A joiner drops its memory, which a child of the race detector needs.

package libcontainer

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/cgroups"
	"github.com/mocker-runtime/mocker/libcontainer/config"
	"github.com/mocker-runtime/mocker/libcontainer/inside"
	"github.com/mocker-runtime/mocker/libcontainer/process"
)

// TestJoinUserNamespace joins a process in a user namespace of its own, which
// owns all the others: ids and capabilities are those in there.
func TestJoinUserNamespace(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: joins namespaces of another user")
	}
	const first = 100000 // outside, root's inside
	const all = unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWNET
	host, err := inside.New(inside.Birth{Namespaces: all, CgroupFD: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer host.Release()
	defer host.Close()
	defer host.Kill()
	for _, kind := range []string{"uid", "gid"} {
		file := fmt.Sprintf("/proc/%d/%s_map", host.PID, kind)
		if err := os.WriteFile(file, fmt.Appendf(nil, "0 %d 65536", first), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := host.TakeIDs(0, 0, false); err != nil {
		t.Fatal(err)
	}
	run := func(p *config.Process) int {
		t.Helper()
		in, err := place{pid: host.PID, pidfd: host.Pidfd, cgroup: new(cgroups.Cgroup)}.join()
		if err != nil {
			t.Fatal(err)
		}
		defer in.Release()
		defer in.Close()
		defer in.Kill()
		last := process.Last{Process: p}
		root, err := in.Openat2(unix.AT_FDCWD, "/", unix.O_PATH, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := lookUp(in, root, &last, nil); err != nil {
			t.Fatal(err)
		}
		unix.Close(root)
		pid, err := process.Join(in, last)
		if err != nil {
			t.Fatal(err)
		}
		for kind, want := range map[string]uint32{"Uid": first + p.UID, "Gid": first + p.GID} {
			if got := statusID(t, pid, kind); got != want {
				t.Errorf("%s %d of the host, want %d", kind, got, want)
			}
		}
		status, err := inside.Reap(pid)
		if err != nil {
			t.Fatal(err)
		}
		return exitStatus(status)
	}
	// Long enough for a look from outside; then the namespaces, ids and
	// capabilities as they are inside.
	sh := func(uid uint32, caps uint64, groups ...uint32) *config.Process {
		list := fmt.Sprint(uid + 1)
		for _, g := range groups {
			list += fmt.Sprint(" ", g)
		}
		return &config.Process{
			Args: []string{"sh", "-c", fmt.Sprintf(`sleep 0.2; [ "$(id -u) $(id -G)" = "%d %s" ] || exit 1
				grep -q "CapBnd:.%016x" /proc/self/status || exit 2; exit 7`, uid, list, caps)},
			Env: []string{"PATH=/usr/bin:/bin"}, Cwd: "/", UID: uid, GID: uid + 1, Groups: groups,
			Caps: config.Capabilities{Bounding: caps, Permitted: caps, Effective: caps},
		}
	}
	for _, p := range []*config.Process{sh(0, 1<<unix.CAP_NET_ADMIN, 5, 65535), sh(1000, 0)} {
		if got := run(p); got != 7 {
			t.Errorf("user %d: exit %d", p.UID, got)
		}
	}
}

// statusID is the first number of a line of /proc/PID/status.
func statusID(t *testing.T, pid int, name string) (id uint32) {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if _, err := fmt.Sscanf(line, name+":\t%d", &id); err == nil {
			return id
		}
	}
	t.Fatalf("no %s in the status of process %d", name, pid)
	return 0
}
