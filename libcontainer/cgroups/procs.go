package cgroups

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	oci "github.com/opencontainers/cgroups"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/ready"
)

// patience bounds the wait for processes that have been killed. It is long
// because the end of a process includes giving back its memory.
const patience = 10 * time.Second

// Procs lists the processes in the cgroup and in the cgroups below it, by
// ascending pid, in any of the hierarchies: a container that may write to
// one could hide a process from the others.
func (c *Cgroup) Procs() ([]int, error) {
	pids := make(map[int]bool)
	for _, dir := range c.dirs() {
		list, err := pidsBelow(dir)
		if err != nil {
			return nil, fmt.Errorf("list processes of cgroup %s: %w", dir, err)
		}
		for _, pid := range list {
			pids[pid] = true
		}
	}
	return slices.Sorted(maps.Keys(pids)), nil
}

// pidsBelow lists the processes in dir and below it. It has none for a cgroup
// that does not exist.
// Processes of a pid namespace that cannot be seen from here read as 0 and are
// left out.
func pidsBelow(dir string) ([]int, error) {
	var pids []int
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return gone(err)
		}
		list, err := pidsIn(path)
		pids = append(pids, list...)
		if err == nil && isLeaf(path) {
			return filepath.SkipDir
		}
		return gone(err)
	})
	return slices.DeleteFunc(pids, func(pid int) bool { return pid == 0 }), err
}

// isLeaf reports whether there are no cgroups below dir: the kernel counts
// them in the number of links (kernfs_refresh_inode in its fs/kernfs/inode.c).
// Reading the directory would list all its files, for nothing.
func isLeaf(dir string) bool {
	var st unix.Stat_t
	return unix.Lstat(dir, &st) == nil && st.Nlink == 2
}

// pidsIn lists the processes in dir itself. A threaded cgroup has threads
// alone; their processes are listed where the threaded subtree begins
// (cgroups(7), "Thread mode"). The library would list the threads.
func pidsIn(dir string) ([]int, error) {
	text, err := oci.ReadFile(dir, oci.CgroupProcesses)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil, nil
	}
	var pids []int
	for word := range strings.FieldsSeq(text) {
		pid, bad := strconv.Atoi(word)
		if bad != nil {
			return nil, fmt.Errorf("read %s: %w", oci.CgroupProcesses, bad)
		}
		pids = append(pids, pid)
	}
	return pids, err
}

// gone is nil for an error that a cgroup gives once it has been removed.
func gone(err error) error {
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

// KillAll sends a signal to every process of the cgroup. SIGKILL it repeats
// until none is left, however fast they fork, and frozen or not; the error
// after ten seconds names one that resists.
func (c *Cgroup) KillAll(sig unix.Signal) error {
	deadline := time.Now().Add(patience)
	for round := 0; ; round++ {
		fds, arrived, err := c.pidfds()
		if err != nil || len(fds) == 0 && (!arrived || sig != unix.SIGKILL) {
			return err
		}
		if sig == unix.SIGKILL {
			c.kill(round)
		}
		err = signal(fds, sig)
		if round > 0 && time.Now().After(deadline) {
			err = errors.Join(err, fmt.Errorf("kill processes of cgroup %s: %d are there after %v", c.dirs()[0], len(fds), patience))
		}
		if sig == unix.SIGKILL {
			c.Release()
			if err == nil {
				err = await(fds, deadline)
			}
		}
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
		if err != nil || sig != unix.SIGKILL {
			return err
		}
	}
}

// pidfds opens a pidfd for every process that lives in the cgroup. A pid
// that is still listed after its pidfd was opened belonged to the same
// process all the time, or to another one of this cgroup. arrived says that
// there are others by now: one that forks and ends between the two looks has
// left somebody behind.
func (c *Cgroup) pidfds() (fds map[int]int, arrived bool, err error) {
	pids, err := c.Procs()
	if err != nil || len(pids) == 0 {
		return nil, false, err
	}
	if slices.Contains(pids, os.Getpid()) {
		return nil, false, fmt.Errorf("signal processes of cgroup %s: mocker itself is in it", c.dirs()[0])
	}
	fds = make(map[int]int)
	for _, pid := range pids {
		fd, e := unix.PidfdOpen(pid, 0)
		if e == nil {
			fds[pid] = fd
		} else if !errors.Is(e, unix.ESRCH) {
			err = fmt.Errorf("open pidfd of process %d: %w", pid, e)
		}
	}
	again, e := c.Procs()
	err = errors.Join(err, e)
	arrived = slices.ContainsFunc(again, func(pid int) bool { return !slices.Contains(pids, pid) })
	for pid, fd := range fds {
		if err != nil || !slices.Contains(again, pid) || exited(fd) {
			_ = unix.Close(fd)
			delete(fds, pid)
		}
	}
	return fds, arrived, err
}

func signal(fds map[int]int, sig unix.Signal) error {
	var errs []error
	for pid, fd := range fds {
		if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			errs = append(errs, fmt.Errorf("send %s to process %d: %w", unix.SignalName(sig), pid, err))
		}
	}
	return errors.Join(errs...)
}

// exited tells a zombie, which some kernels list, from a process.
func exited(pidfd int) bool {
	return ready.Within(pidfd, unix.POLLIN, 0)
}

// kill catches those that fork at the same time: by cgroup.kill, since Linux
// 5.14, on the v2 tree of hybrid machines too; on v1 alone by stopping those
// that a first round has not reached.
func (c *Cgroup) kill(round int) {
	if dir := c.paths[""]; dir != "" {
		_ = oci.WriteFile(dir, "cgroup.kill", "1")
	} else if round > 0 {
		c.freezer(oci.Frozen)
	}
}

// await waits for the end of killed processes.
func await(fds map[int]int, deadline time.Time) error {
	for _, pid := range slices.Sorted(maps.Keys(fds)) {
		gone, err := ready.Until(fds[pid], unix.POLLIN, deadline)
		if err != nil {
			return fmt.Errorf("wait for the end of process %d: %w", pid, err)
		}
		if !gone {
			return fmt.Errorf("kill process %d: it has not ended within %v", pid, patience)
		}
	}
	return nil
}
