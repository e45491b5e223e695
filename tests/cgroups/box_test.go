package cgroups

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/drive"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == threads {
		time.Sleep(time.Hour)
		return
	}
	drive.Main(m)
}

const root = "/sys/fs/cgroup"

// needV2 skips a test on a machine that has cgroup v1, or v2 without the
// controllers.
func needV2(t testing.TB, controllers ...string) {
	t.Helper()
	if !unified() {
		t.Skip("needs cgroup v2 alone: this machine has cgroup v1 hierarchies")
	}
	have := strings.Fields(read(t, root+"/cgroup.controllers"))
	for _, name := range controllers {
		if !strings.Contains(" "+strings.Join(have, " ")+" ", " "+name+" ") {
			t.Skipf("needs the controller %s: the machine's cgroup v2 tree has %q", name, have)
		}
	}
}

func unified() bool {
	var st unix.Statfs_t
	return unix.Statfs(root, &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC
}

// box is one container, in the cgroup /cgroups-test-PID-N/box.
type box struct {
	testing.TB
	id, bundle  string
	parent, dir string // of cgroup v2
	started     *drive.Cmd
}

var boxes atomic.Int32

const forever = "trap 'exit 0' TERM; while :; do sleep 1000 & wait $!; done"

func newBox(t testing.TB, script string, edits ...func(*specs.Spec)) *box {
	t.Helper()
	b := &box{TB: t, id: fmt.Sprintf("cgroups-test-%d-%d", os.Getpid(), boxes.Add(1))}
	b.parent = filepath.Join(root, b.id)
	b.dir = filepath.Join(b.parent, "box")
	b.bundle = drive.Bundle(t, func(s *specs.Spec) {
		s.Process.Args = []string{"sh", "-c", script}
		s.Linux.CgroupsPath = "/" + b.id + "/box"
		for _, edit := range edits {
			edit(s)
		}
	})
	t.Cleanup(func() {
		drive.Run(t, "delete", "--force", b.id)
		if exists(b.dir) {
			t.Errorf("%s is left", b.dir)
		}
		places, _ := filepath.Glob(root + "/*/" + b.id)
		for _, dir := range append(places, b.parent) {
			_ = os.Remove(dir) // a parent that mocker has made stays
		}
	})
	return b
}

// run makes the container and starts it.
func (b *box) run() *box {
	b.Helper()
	b.started = drive.Start(b, drive.Runtime(b), "run", "--detach", "--bundle", b.bundle, b.id)
	if r := b.started.Wait(); r.Code != 0 {
		b.Fatalf("run: %v", r)
	}
	return b
}

// refused checks that the container cannot be made, for a reason, and that
// nothing is left of it.
func (b *box) refused(want string) {
	b.Helper()
	r := drive.Run(b, "create", "--bundle", b.bundle, b.id)
	if r.Code != 1 || !strings.Contains(r.Stderr, want) {
		b.Errorf("%v\nwant %s", r, want)
	}
	if exists(b.dir) {
		b.Errorf("%s is left", b.dir)
	}
}

func (b *box) exec(script string) drive.Result {
	b.Helper()
	return drive.Run(b, "exec", b.id, "sh", "-c", script)
}

// prints is what a script prints in the container.
func (b *box) prints(script string) string {
	b.Helper()
	r := b.exec(script)
	if r.Code != 0 || r.Stderr != "" {
		b.Fatalf("%s: %v", script, r)
	}
	return r.Stdout
}

// v2 leaves out what /proc/PID/cgroup says about cgroup v1: in a view of a
// hybrid machine's v2 tree, its hierarchies are still there.
func v2(text string) string {
	var lines strings.Builder
	for line := range strings.Lines(text + "\n") {
		if strings.HasPrefix(line, "0::") {
			lines.WriteString(line)
		}
	}
	return lines.String()
}

// file is the content of a file of the container's cgroup.
func (b *box) file(name string) string {
	b.Helper()
	return read(b, filepath.Join(b.dir, name))
}

// has checks files of the container's cgroup.
func (b *box) has(files map[string]string) {
	b.Helper()
	for name, want := range files {
		if got := b.file(name); got != want {
			b.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// resources replaces linux.resources by JSON.
func resources(t testing.TB, text string) func(*specs.Spec) {
	return func(s *specs.Spec) {
		given := new(specs.LinuxResources)
		if err := json.Unmarshal([]byte(text), given); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		s.Linux.Resources = given
	}
}

func read(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0); err != nil {
		t.Fatal(err)
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// namespace adds a new cgroup namespace, in which the cgroup file system can
// be written to.
func namespace(s *specs.Spec) {
	noNamespace(s)
	s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.CgroupNamespace})
	for i := range s.Mounts {
		if m := &s.Mounts[i]; m.Type == "cgroup" {
			m.Options = []string{"nosuid", "noexec", "nodev"}
		}
	}
}

// noNamespace takes out the one that the example has on cgroup v2.
func noNamespace(s *specs.Spec) {
	s.Linux.Namespaces = slices.DeleteFunc(s.Linux.Namespaces, func(ns specs.LinuxNamespace) bool { return ns.Type == specs.CgroupNamespace })
}

// userNamespace makes root in the container user 200000 of the host. The
// bundle becomes that user's.
func userNamespace(t testing.TB) func(*specs.Spec) {
	return func(s *specs.Spec) {
		ids := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 200000, Size: 65536}}
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
		s.Linux.UIDMappings, s.Linux.GIDMappings = ids, ids
	}
}

// block is the number of a disk of this machine, "254:0".
func block(t testing.TB) string {
	t.Helper()
	for _, pattern := range []string{"/sys/block/vd*/dev", "/sys/block/sd*/dev", "/sys/block/nvme*/dev"} {
		if list, _ := filepath.Glob(pattern); len(list) > 0 {
			return read(t, list[0])
		}
	}
	t.Skip("needs a disk: this machine has none")
	return ""
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func inCgroup(path string) func(*specs.Spec) {
	return func(s *specs.Spec) { s.Linux.CgroupsPath = path }
}

// inhabit makes a cgroup with a process in it, until the end of the test.
func (b *box) inhabit(dir string) int {
	b.Helper()
	check(b, os.MkdirAll(dir, 0o755))
	cmd := exec.Command("sleep", "1000")
	check(b, cmd.Start())
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = os.Remove(dir)
	})
	write(b, dir+"/cgroup.procs", fmt.Sprint(cmd.Process.Pid))
	return cmd.Process.Pid
}

// own gives a bundle to the user that is root in the container.
func own(t testing.TB, b *box) {
	t.Helper()
	spec := drive.ReadConfig(t, b.bundle)
	if len(spec.Linux.UIDMappings) == 0 {
		return
	}
	uid := int(spec.Linux.UIDMappings[0].HostID)
	check(t, filepath.WalkDir(b.bundle, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, uid, uid)
	}))
}

// privileged is what a container needs that runs mocker on a bundle: all
// rights, and both in it.
func privileged(mocker, bundle string) func(*specs.Spec) {
	return func(s *specs.Spec) {
		all := manyCapabilities()
		s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: all, Permitted: all, Effective: all}
		s.Process.Env = []string{"PATH=/bin:/sbin:/opt"}
		s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = nil, nil
		s.Linux.Resources = &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}}
		s.Mounts = append(s.Mounts,
			specs.Mount{Destination: "/opt/mocker", Type: "bind", Source: mocker, Options: []string{"bind", "ro"}},
			specs.Mount{Destination: "/inner", Type: "bind", Source: bundle, Options: []string{"rbind"}},
			specs.Mount{Destination: "/tmp", Type: "tmpfs", Source: "tmpfs"},
			specs.Mount{Destination: "/run", Type: "tmpfs", Source: "tmpfs"})
	}
}

func manyCapabilities() []string {
	return []string{
		"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID", "CAP_SETUID",
		"CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE",
		"CAP_SYS_ADMIN", "CAP_SYS_RESOURCE", "CAP_MKNOD", "CAP_AUDIT_WRITE", "CAP_SETFCAP", "CAP_BPF", "CAP_PERFMON",
	}
}
