package exec

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/drive"
)

var kinds = []string{"user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"}

// detached starts a process that stays, and gives its pid.
func (b *box) detached(flags ...string) int {
	b.Helper()
	file := filepath.Join(b.TempDir(), "pid")
	if r := b.exec("exec sleep 1000", append([]string{"--detach", "--pid-file", file}, flags...)...); r.Code != 0 || r.Stdout+r.Stderr != "" {
		b.Fatalf("exec --detach: %v", r)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		b.Fatal(err)
	}
	pid, err := strconv.Atoi(string(data)) // digits alone
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { reap(pid) })
	return pid
}

// reap ends a process that was left to the test, as an engine would: the init
// of a pid namespace cannot end while one of its processes has not been reaped.
func reap(pid int) {
	_ = unix.Kill(pid, unix.SIGKILL)
	_, _ = unix.Wait4(pid, nil, 0, nil)
}

// TestNamespaces: a process is in the namespaces of the first one, whether
// they are its own, another container's or the host's.
func TestNamespaces(t *testing.T) {
	other := created(t)
	types := []struct{ file, name string }{{"net", "network"}, {"ipc", "ipc"}, {"uts", "uts"}, {"cgroup", "cgroup"}, {"pid", "pid"}}
	check := func(name string, want func(kind string) bool, edits ...edit) {
		t.Helper()
		b := running(t, edits...)
		for _, pid := range []int{b.pid, b.detached()} {
			for _, kind := range kinds {
				link := func(pid any) string { l, _ := os.Readlink(fmt.Sprintf("/proc/%v/ns/%s", pid, kind)); return l }
				if got := link(pid); got != link(b.pid) {
					t.Errorf("%s: the %s namespace is %s, the first process's %s", name, kind, got, link(b.pid))
				} else if own := got != link("self"); own != want(kind) {
					t.Errorf("%s: the %s namespace is the host's: %t", name, kind, !own)
				}
			}
		}
	}
	own := func(kind string) bool { return kind != "user" && kind != "time" && kind != "cgroup" }
	without := func(s *specs.Spec, typ string) {
		s.Linux.Namespaces = slices.DeleteFunc(s.Linux.Namespaces, func(ns specs.LinuxNamespace) bool { return string(ns.Type) == typ })
	}
	check("default", own, func(s *specs.Spec) { without(s, "cgroup") }) // which it has on cgroup v2
	for _, typ := range types {
		check(typ.name+" shared", func(kind string) bool { return own(kind) && kind != typ.file }, func(s *specs.Spec) {
			s.Hostname = ""
			without(s, "cgroup")
			without(s, typ.name)
		})
		if typ.file == "pid" || typ.file == "cgroup" {
			continue
		}
		check(typ.name+" joined", own, func(s *specs.Spec) {
			s.Hostname = ""
			without(s, "cgroup")
			for i := range s.Linux.Namespaces {
				if ns := &s.Linux.Namespaces[i]; string(ns.Type) == typ.name {
					ns.Path = fmt.Sprintf("/proc/%d/ns/%s", other.pid, typ.file)
				}
			}
		})
	}
	check("cgroup new", func(kind string) bool { return own(kind) || kind == "cgroup" }, func(s *specs.Spec) {
		without(s, "cgroup")
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.CgroupNamespace})
	})
}

// TestRoot: the root and the mounts are the container's, with --no-pivot too.
func TestRoot(t *testing.T) {
	b := running(t)
	if got := b.prints("ls -di / | cut -d' ' -f1; cat /proc/self/mountinfo"); got != b.prints("ls -di /proc/1/root/. | cut -d' ' -f1; cat /proc/1/mountinfo") {
		t.Errorf("another root or other mounts than those of process 1: %s", got)
	}
	moved := &box{TB: t, id: b.id + "-moved", bundle: drive.Bundle(t, func(s *specs.Spec) { s.Process.Args = []string{"sleep", "1000"} })}
	t.Cleanup(func() { drive.Run(t, "delete", "--force", moved.id) })
	drive.OK(t, "run", "--no-pivot", "--detach", "--bundle", moved.bundle, moved.id)
	if got := moved.prints("ls / | tr '\\n' ' '; cd ..; pwd"); got != "bin dev etc proc sys tmp /\n" {
		t.Errorf("with --no-pivot: %q", got)
	}
}

// TestCgroup: in every hierarchy a process is where the first one is.
func TestCgroup(t *testing.T) {
	b := running(t)
	first, got := read(t, fmt.Sprintf("/proc/%d/cgroup", b.pid)), read(t, fmt.Sprintf("/proc/%d/cgroup", b.detached()))
	if os.Getenv("RUNTIME") != "" {
		first, got = withoutUnified(first), withoutUnified(got)
	}
	if got != first {
		t.Errorf("got\n%s\nthe first process is in\n%s", got, first)
	}
}

func withoutUnified(cgroups string) string {
	list := strings.Split(cgroups, "\n")
	return strings.Join(slices.DeleteFunc(list, func(line string) bool { return strings.HasPrefix(line, "0::") }), "\n")
}

// TestSubCgroup: --cgroup for all controllers and for some.
func TestSubCgroup(t *testing.T) {
	b := running(t)
	drive.NeedV1(t)
	var all []string
	for line := range strings.Lines(withoutUnified(read(t, fmt.Sprintf("/proc/%d/cgroup", b.pid)))) {
		if f := strings.SplitN(strings.TrimSpace(line), ":", 3); f[1] != "" && strings.Contains(f[2], b.id) {
			all = append(all, strings.Split(f[1], ",")[0])
		}
	}
	mkdir := func(controller, sub string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(drive.Cgroup(t, b.pid, controller), sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	in := func(pid int, controller string) string { return filepath.Base(drive.Cgroup(t, pid, controller)) }
	mkdir("memory", "some")
	pid := b.detached("--cgroup", "memory:some")
	if m, p := in(pid, "memory"), in(pid, "pids"); m != "some" || p != b.id {
		t.Errorf("memory:some: memory in %s, pids in %s", m, p)
	}
	for _, controller := range all {
		mkdir(controller, "all")
		if controller == "cpuset" { // which takes no process before it has both
			dir := drive.Cgroup(t, b.pid, controller)
			for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
				if err := os.WriteFile(filepath.Join(dir, "all", name), []byte(read(t, filepath.Join(dir, name))), 0); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if os.Getenv("RUNTIME") != "" {
		_ = os.Mkdir(filepath.Join("/sys/fs/cgroup/unified", b.id, "all"), 0o755) // mocker goes without
	}
	pid = b.detached("--cgroup", "/all")
	for _, controller := range []string{"memory", "pids", "cpu"} {
		if got := in(pid, controller); got != "all" {
			t.Errorf("/all: %s in %s", controller, got)
		}
	}
	if r := b.exec("true", "--cgroup", "/none"); r.Code != 255 || !strings.Contains(r.Stderr, "no such file or directory") {
		t.Errorf("a cgroup that is not there: %v", r)
	}
}

// TestBusyCgroup: a v2 cgroup that has given a controller away takes no
// process; exec follows the first process to where that has moved.
func TestBusyCgroup(t *testing.T) {
	drive.MockersOwn(t, "runc does so on a machine with v2 alone")
	const root, controller = "/sys/fs/cgroup/unified", "hugetlb" // not one of threads: those can be given away
	given, err := os.ReadFile(root + "/cgroup.subtree_control")
	if err != nil || !slices.Contains(strings.Fields(string(given)), controller) {
		t.Skipf("needs a machine whose %s gives %s to cgroups below it", root, controller)
	}
	parent := fmt.Sprintf("/exec-busy-%d", os.Getpid())
	b := running(t, func(s *specs.Spec) { s.Linux.CgroupsPath = parent + "/box" })
	t.Cleanup(func() {
		drive.OK(t, "delete", "--force", b.id)
		dirs, _ := filepath.Glob("/sys/fs/cgroup/*" + parent)
		for _, dir := range dirs {
			_ = os.Remove(dir)
		}
	})
	box := root + parent + "/box"
	if err := os.Mkdir(box+"/init", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, write := range []struct{ file, text string }{
		{root + parent + "/cgroup.subtree_control", "+" + controller},
		{box + "/init/cgroup.procs", strconv.Itoa(b.pid)},
		{box + "/cgroup.subtree_control", "+" + controller},
	} {
		if err := os.WriteFile(write.file, []byte(write.text), 0); err != nil {
			t.Fatal(err)
		}
	}
	if got := read(t, fmt.Sprintf("/proc/%d/cgroup", b.detached())); !strings.HasSuffix(got, "0::"+parent+"/box/init") {
		t.Errorf("the process is in\n%s", got)
	}
}

// TestUnified: where v2 is all there is, a process is born in the container's
// cgroup, or in one below it.
func TestUnified(t *testing.T) {
	drive.MockersOwn(t, "runc looks at the machine's mounts")
	if _, err := os.Stat("/sys/fs/cgroup/unified/cgroup.controllers"); err != nil {
		t.Skip("needs a hybrid machine: /sys/fs/cgroup/unified is not there")
	}
	b := &box{TB: t, id: fmt.Sprintf("exec-unified-%d", os.Getpid()), bundle: drive.Bundle(t, func(s *specs.Spec) { s.Process.Args = []string{"sleep", "1000"} })}
	t.Cleanup(func() { drive.Run(t, "delete", "--force", b.id) })
	const script = `mount -n --bind /sys/fs/cgroup/unified /sys/fs/cgroup && cd /sys/fs/cgroup && exec 2>&1
		"$1" run --detach --bundle "$2" "$3" && "$1" exec "$3" grep ^0 /proc/self/cgroup
		mkdir "mocker/$3/sub" && "$1" exec --cgroup sub "$3" grep ^0 /proc/self/cgroup
		"$1" exec --cgroup none "$3" true
		"$1" exec --cgroup memory:sub "$3" true
		"$1" delete --force "$3"`
	r := drive.Exec(t, "unshare", "-m", "sh", "-c", script, "sh", drive.Mocker(t), b.bundle, b.id)
	want := "0::/\n0::/sub\nmocker: --cgroup: open cgroup: stat /sys/fs/cgroup/mocker/" + b.id + "/none: no such file or directory\n" +
		"mocker: --cgroup: the container has no cgroup of a controller \"memory\"\n"
	if got := strings.ReplaceAll(r.Stdout, "/mocker/"+b.id+"\n", "/\n"); strings.ReplaceAll(got, "/mocker/"+b.id+"/sub\n", "/sub\n") != want {
		t.Errorf("%v\nwant %q", r, want)
	}
}

// TestKeyring: the session keyring is the container's, not the caller's, and
// no new one for each process.
func TestKeyring(t *testing.T) {
	b := running(t, func(s *specs.Spec) {
		s.Linux.MaskedPaths = nil
		s.Process.Args = []string{"sh", "-c", "cat /proc/keys | grep _ses >/keys; exec sleep 1000"}
	})
	drive.Eventually(t, "the first process has written /keys", func() bool {
		data, err := os.ReadFile(b.bundle + "/rootfs/keys")
		return err == nil && strings.HasSuffix(string(data), "\n")
	})
	serial := func(keys string) string {
		for line := range strings.Lines(keys) {
			if strings.Contains(line, "_ses."+b.id+":") {
				return strings.Fields(line)[0]
			}
		}
		return "none in " + keys
	}
	want := serial(read(t, b.bundle+"/rootfs/keys"))
	if got := serial(b.prints("grep _ses /proc/keys")); got != want {
		t.Errorf("keyring %s, that of the first process is %s", got, want)
	}
}

// TestCreated: a container that waits for start takes processes.
func TestCreated(t *testing.T) {
	b := created(t)
	if got := b.prints("echo in; ls /proc/1/exe >/dev/null 2>&1 && echo seen; true"); got != "in\n" && os.Getenv("RUNTIME") == "" {
		t.Errorf("got %q", got)
	}
	drive.OK(t, "start", b.id)
	if r := b.exec("exit 3"); r.Code != 3 {
		t.Errorf("once it has been started: %v", r)
	}
}

// TestPaused: a paused container takes no process, and with --ignore-paused
// one that waits until it is resumed.
func TestPaused(t *testing.T) {
	b := running(t)
	drive.OK(t, "pause", b.id)
	if r := b.exec("true"); r.Code != 255 || !strings.Contains(r.Stderr, "cannot exec in a paused container (use --ignore-paused to override)") {
		t.Errorf("%v", r)
	}
	waiting := drive.Start(t, drive.Runtime(t), b.args("exit 7", "--ignore-paused")...)
	time.Sleep(300 * time.Millisecond)
	drive.OK(t, "resume", b.id)
	if r := waiting.Wait(); r.Code != 7 {
		t.Errorf("--ignore-paused: %v", r)
	}
}

// TestPausedInterrupted: such an exec can be given up.
func TestPausedInterrupted(t *testing.T) {
	drive.MockersOwn(t, "runc cannot be interrupted there")
	b := running(t)
	drive.OK(t, "pause", b.id)
	waiting := drive.Start(t, drive.Runtime(t), b.args("touch /came", "--ignore-paused")...)
	time.Sleep(200 * time.Millisecond)
	if err := waiting.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if r := waiting.Wait(); r.Code != 130 {
		t.Errorf("%v", r)
	}
	drive.OK(t, "resume", b.id)
	time.Sleep(200 * time.Millisecond)
	if _, err := os.Stat(b.bundle + "/rootfs/came"); err == nil {
		t.Error("the program has been executed after all")
	}
}
