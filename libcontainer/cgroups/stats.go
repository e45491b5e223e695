package cgroups

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	oci "github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/fs"
	"github.com/opencontainers/cgroups/fs2"
	"golang.org/x/sys/unix"
)

// Stats reads what the container has used so far, as far as its controllers
// account for it.
func (c *Cgroup) Stats() (*oci.Stats, error) {
	cg := &oci.Cgroup{Path: "/", Resources: &oci.Resources{}}
	var m oci.Manager
	var err error
	if c.unified() {
		m, err = fs2.NewManager(cg, c.paths[""])
	} else {
		m, err = fs.NewManager(cg, c.Paths())
	}
	if err != nil {
		return nil, err
	}
	stats, err := m.GetStats()
	if err != nil {
		return nil, fmt.Errorf("read statistics of cgroup %s: %w", c.dirs()[0], err)
	}
	return stats, nil
}

// OOM tells when the kernel kills for want of memory in a cgroup.
type OOM struct {
	// Poll is readable when Take has something to say.
	Poll unix.PollFd

	dir    string
	file   *os.File // v1: an eventfd; v2: memory.events
	v2     bool
	killed uint64 // v2: how many that file has told of
}

// WatchOOM begins to watch. Where memory is not limited, for want of the
// controller, there is nothing to watch, and the result is nil.
func (c *Cgroup) WatchOOM() (*OOM, error) {
	dir := c.paths["memory"]
	if dir != "" {
		return watchV1(dir)
	}
	w, err := watchV2(c.paths[""])
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return w, err
}

// watchV1 registers an eventfd (cgroup-v1/memory.rst, "OOM Control").
func watchV1(dir string) (*OOM, error) {
	control, err := oci.OpenFile(dir, "memory.oom_control", os.O_RDONLY)
	if err != nil {
		return nil, fmt.Errorf("watch for lack of memory: %w", err)
	}
	defer control.Close() // the registration outlives it
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch for lack of memory: eventfd: %w", err)
	}
	w := &OOM{Poll: unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}, dir: dir, file: os.NewFile(uintptr(fd), "eventfd")}
	if err := oci.WriteFile(dir, "cgroup.event_control", fmt.Sprintf("%d %d", fd, control.Fd())); err != nil {
		w.Close()
		return nil, fmt.Errorf("watch for lack of memory: %w", plain(err))
	}
	return w, nil
}

// watchV2 polls a file whose changes the kernel reports (cgroup-v2.rst,
// "memory.events").
func watchV2(dir string) (*OOM, error) {
	f, err := oci.OpenFile(dir, "memory.events", os.O_RDONLY)
	if err != nil {
		return nil, fmt.Errorf("watch for lack of memory: %w", err)
	}
	w := &OOM{Poll: unix.PollFd{Fd: int32(f.Fd()), Events: unix.POLLPRI}, dir: dir, file: f, v2: true}
	w.killed, err = w.count()
	if err != nil {
		w.Close()
		return nil, fmt.Errorf("watch for lack of memory: %w", err)
	}
	return w, nil
}

// Take reports whether memory has run out since it was last asked.
func (w *OOM) Take() bool {
	if w.v2 {
		killed, err := w.count()
		more := err == nil && killed > w.killed
		w.killed = max(w.killed, killed)
		return more
	}
	var buf [8]byte
	n, err := unix.Read(int(w.Poll.Fd), buf[:])
	if n != len(buf) || err != nil || binary.NativeEndian.Uint64(buf[:]) == 0 {
		return false
	}
	// The removal of a cgroup is told by the same eventfd.
	_, err = os.Lstat(filepath.Join(w.dir, "cgroup.event_control"))
	return err == nil
}

// count reads the number of processes that have been killed, and arms the
// poll.
func (w *OOM) count() (uint64, error) {
	buf := make([]byte, 1024)
	n, err := w.file.ReadAt(buf, 0)
	if n == 0 {
		return 0, err
	}
	for line := range strings.Lines(string(buf[:n])) {
		if number, ok := strings.CutPrefix(line, "oom_kill "); ok {
			return strconv.ParseUint(strings.TrimSpace(number), 10, 64)
		}
	}
	return 0, errors.New("memory.events has no oom_kill")
}

// Close ends the watch.
func (w *OOM) Close() { _ = w.file.Close() }
