package namespaces

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/coverage"
	"github.com/mocker-runtime/mocker/tests/drive"
)

// withoutMount takes the mount namespace away from a container.
func withoutMount(s *specs.Spec) {
	s.Linux.Namespaces = slices.DeleteFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.MountNamespace })
}

// TestHostsMountNamespace: a container that lists none lives in mocker's. It
// has its root and its mounts all the same, so have exec and hooks in it, and
// nothing is left of them.
func TestHostsMountNamespace(t *testing.T) {
	coverage.Shows(t, "linux.namespaces.type")
	drive.MockersOwn(t, "leaves its mounts behind, and runs exec in the host's root")
	bundle := drive.Bundle(t, edits(withoutMount, func(s *specs.Spec) {
		s.Process.Args = []string{"sh", "-c", "cat /mark; until [ -e /tmp/go ]; do sleep 0.01; done; touch /ro 2>/dev/null || echo read-only"}
		s.Root.Readonly = true
		s.Mounts = append(s.Mounts, specs.Mount{Destination: "/tmp", Type: "tmpfs", Source: "tmpfs"})
		s.Linux.MaskedPaths = []string{"/mark2"}
		hook := specs.Hook{Path: "/bin/sh", Args: []string{"sh", "-c", "cat /mark > /tmp/hook"}}
		s.Hooks = &specs.Hooks{StartContainer: []specs.Hook{hook}}
	}))
	for name, text := range map[string]string{"mark": "the container's root\n", "mark2": "masked\n"} {
		if err := os.WriteFile(filepath.Join(bundle, "rootfs", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	before := drive.TakeSnapshot(t)
	id := newID(t)
	created := drive.Start(t, drive.Runtime(t), "create", "--bundle", bundle, id)
	if r := created.Wait(); r.Code != 0 {
		t.Fatal(r)
	}
	drive.OK(t, "start", id)
	if got := drive.OK(t, "exec", id, "sh", "-c", "cat /mark /tmp/hook /mark2; ls /tmp; pwd"); got != strings.Repeat("the container's root\n", 2)+"hook\n/\n" {
		t.Errorf("exec sees %q", got)
	}
	if n := mountsOn(t, os.Getpid(), bundle); n != 2 {
		t.Errorf("%d mounts on the rootfs", n)
	}
	drive.OK(t, "exec", id, "touch", "/tmp/go")
	drive.Eventually(t, "the container ends", func() bool { return strings.Contains(drive.OK(t, "state", id), `"stopped"`) })
	if got, want := created.Output(), "the container's root\nread-only\n"; got != want {
		t.Errorf("the process says %q, not %q", got, want)
	}
	drive.OK(t, "delete", id)
	before.Unchanged(t)

	drive.Edit(t, bundle, func(s *specs.Spec) { s.Process.Args = []string{"/no/such/program"} })
	if r := drive.Run(t, "create", "--bundle", bundle, id); r.Code == 0 {
		t.Fatal("created without its program")
	}
	before.Unchanged(t)
}

// mountsOn counts those on the rootfs of a bundle in a process's namespace.
func mountsOn(t *testing.T, pid int, bundle string) (n int) {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if strings.Fields(line)[4] == filepath.Join(bundle, "rootfs") {
			n++
		}
	}
	return n
}

// TestHostsMountNamespaceShared: where mounts are shared with other
// namespaces, as systemd does it, those see that something is mounted on the
// rootfs, nothing of what is in it, and lose it again with the container.
func TestHostsMountNamespaceShared(t *testing.T) {
	drive.MockersOwn(t, "leaves its mounts behind")
	bundle := drive.Bundle(t, withoutMount)
	if err := unix.Mount(bundle, bundle, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(bundle, unix.MNT_DETACH) })
	if err := unix.Mount("", bundle, "", unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
	other := exec.Command("unshare", "--mount", "--propagation", "unchanged", "sleep", "60")
	other.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Process.Kill(); _ = other.Wait() })
	there := func() int { return mountsOn(t, other.Process.Pid, bundle) }
	drive.Eventually(t, "the other namespace", func() bool { return link(other.Process.Pid, "mnt") != link(os.Getpid(), "mnt") })
	id := newID(t)
	drive.OK(t, "create", "--bundle", bundle, id)
	if n := there(); n != 1 {
		t.Errorf("the other namespace sees %d mounts on the rootfs", n)
	}
	drive.OK(t, "delete", id)
	if n := there(); n != 0 {
		t.Errorf("the other namespace still sees %d mounts on the rootfs", n)
	}
}

// TestHostsMountNamespaceCovered: delete takes away its own mounts, or says
// why it cannot.
func TestHostsMountNamespaceCovered(t *testing.T) {
	drive.MockersOwn(t, "leaves its mounts behind")
	bundle := drive.Bundle(t, withoutMount)
	rootfs := filepath.Join(bundle, "rootfs")
	before := drive.TakeSnapshot(t)
	id := newID(t)
	drive.OK(t, "create", "--bundle", bundle, id)
	if err := unix.Mount("tmpfs", rootfs, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	want := "unmount " + rootfs + ": something else is mounted on it since"
	if r := drive.Run(t, "delete", "--force", id); r.Code == 0 || !strings.Contains(r.Stderr, want) {
		t.Errorf("delete under another mount: %v", r)
	}
	if err := unix.Unmount(rootfs, 0); err != nil {
		t.Fatal(err)
	}
	drive.OK(t, "delete", "--force", id)
	before.Unchanged(t)
}
