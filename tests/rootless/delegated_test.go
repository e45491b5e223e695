package rootless

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// TestDelegatedTree: on cgroup v2, in a part of the tree that belongs to the
// user as systemd does it (Delegate=), a container has limits, exec and the
// end of it; a controller that was not delegated is an error that says what
// root has to do.
func TestDelegatedTree(t *testing.T) {
	var st unix.Statfs_t
	if err := unix.Statfs("/sys/fs/cgroup", &st); err != nil || st.Type != unix.CGROUP2_SUPER_MAGIC {
		t.Skip("needs cgroup v2 alone: this machine has cgroup v1 hierarchies")
	}
	have, err := os.ReadFile("/sys/fs/cgroup/cgroup.controllers")
	check(t, err)
	if !strings.Contains(string(have), "memory pids") && !strings.Contains(string(have), "pids") {
		t.Skipf("needs the controllers memory and pids: the machine's cgroup v2 tree has %s", have)
	}
	u := newUser(t, true)
	slice := fmt.Sprintf("/sys/fs/cgroup/rootless-%d.slice", os.Getpid())
	service := slice + "/user@54321.service"
	session := service + "/session"
	check(t, os.MkdirAll(session, 0o755))
	t.Cleanup(func() {
		for _, dir := range []string{session, service, slice} {
			check(t, os.Remove(dir))
		}
	})
	check(t, os.WriteFile(slice+"/cgroup.subtree_control", []byte("+memory +pids"), 0))
	for _, dir := range []string{service, session} {
		for _, file := range []string{"", "/cgroup.procs", "/cgroup.subtree_control", "/cgroup.threads"} {
			check(t, os.Chown(dir+file, uid, uid))
		}
	}
	mocker := func(args ...string) drive.Result {
		t.Helper()
		args = append([]string{"-c", `echo $$ >"$0/cgroup.procs" && exec setpriv "$@"`, session}, u.command(append([]string{u.mocker}, args...)...)...)
		return drive.Exec(t, "sh", args...)
	}
	pids, memory := int64(17), int64(64<<20)
	bundle := u.bundle(func(s *specs.Spec) {
		s.Process.Args = []string{"sh", "-c", "exec sleep 100"}
		s.Linux.Resources = &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &pids}, Memory: &specs.LinuxMemory{Limit: &memory}}
	})
	id := u.id()
	if r := mocker("run", "--detach", "--bundle", bundle, id); r.Code != 0 {
		t.Fatal(r)
	}
	box := service + "/mocker-" + id
	for file, want := range map[string]string{"pids.max": "17\n", "memory.max": "67108864\n"} {
		if got, err := os.ReadFile(box + "/" + file); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", file, got, err)
		}
	}
	if r := mocker("exec", id, "cat", "/proc/self/cgroup"); r.Code != 0 || r.Stdout != "0::/\n" {
		t.Errorf("exec: %v", r)
	}
	for _, args := range [][]string{{"update", "--pids-limit", "18", id}, {"pause", id}, {"resume", id}, {"events", "--stats", id}, {"ps", id}} {
		if r := mocker(args...); r.Code != 0 {
			t.Errorf("%v: %v", args, r)
		}
	}
	want := fmt.Sprintf(`linux.resources.cpu: the cpu controller is not available in %s: root has to enable it by writing "+cpu" to %s/cgroup.subtree_control, or systemd, with Delegate=cpu in the unit user@54321.service: permission denied`, box, slice)
	if r := mocker("update", "--cpu-quota", "5000", id); r.Code != 1 || !strings.Contains(r.Stderr, want) {
		t.Errorf("update of what was not delegated: %v\nwant %s", r, want)
	}
	if r := mocker("delete", "--force", id); r.Code != 0 {
		t.Error(r)
	}
	if _, err := os.Stat(box); !os.IsNotExist(err) {
		t.Errorf("%s: %v", box, err)
	}
	quota := int64(5000)
	drive.Edit(t, bundle, func(s *specs.Spec) { s.Linux.Resources = &specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: &quota}} })
	if r := mocker("run", "--bundle", bundle, id); r.Code != 1 || !strings.Contains(r.Stderr, "cgroup: "+want) {
		t.Errorf("create with what was not delegated: %v\nwant %s", r, want)
	}
}
