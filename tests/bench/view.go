package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	viewVariable = "MOCKER_BENCH_VIEW"
	partVariable = "MOCKER_BENCH_PART"

	top     = "/sys/fs/cgroup"
	unified = "/sys/fs/cgroup/unified"
)

// lacks says why this machine cannot show a view, "" if it can.
func lacks(view string) string {
	switch v2Alone, hybrid := isV2(top), isV2(unified); {
	case view == "v1" && v2Alone:
		return "this machine has cgroup v2 alone"
	case view == "v2" && !v2Alone && !hybrid:
		return "this machine has no cgroup v2 tree"
	}
	return ""
}

func isV2(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC
}

// sendInto runs this program in namespaces of its own and gives what it found.
func sendInto(view string) (*Results, error) {
	file, err := os.CreateTemp("", "mocker-bench-*.json")
	if err != nil {
		return nil, err
	}
	file.Close()
	defer os.Remove(file.Name())
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), viewVariable+"="+view, partVariable+"="+file.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS}
	if err := cmd.Run(); err != nil {
		return nil, err
	}
	return readResults(file.Name())
}

// settle makes the new namespaces usable: nothing propagates back, /run is
// empty, lo is up, and the containers become children of this process, which
// reaps them as an engine does.
func settle(view string) error {
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	if err := os.Mkdir("/run/lock", 0o755); err != nil { // of iptables
		return err
	}
	switch {
	case view == "v1" && isV2(unified):
		// Debian's crun does not know hybrid machines.
		if err := unix.Unmount(unified, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", unified, err)
		}
	case view == "v2" && !isV2(top):
		if err := unix.Mount(unified, top, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind %s to %s: %w", unified, top, err)
		}
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return fmt.Errorf("bring up lo: %w: %s", err, out)
	}
	return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
}
