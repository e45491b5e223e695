package rootfs

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/inside"
)

// Proc is a procfs that only mocker has: the container's /proc may be covered
// by mounts that lead a write elsewhere (CVE-2019-16884, CVE-2025-52881).
type Proc struct {
	in *inside.Child
	fd int
}

// Proc opens the private procfs, of the child's pid namespace.
func (r *Root) Proc() (*Proc, error) {
	if r.proc != nil {
		return r.proc, nil
	}
	mnt, err := r.newMount("proc", "proc", nil, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a private procfs: %w", err)
	}
	var st unix.Statfs_t
	if err := unix.Fstatfs(mnt, &st); err != nil || st.Type != unix.PROC_SUPER_MAGIC {
		unix.Close(mnt)
		return nil, errors.New("make a private procfs: the kernel gave something else")
	}
	r.proc = &Proc{in: r.in, fd: mnt}
	return r.proc, nil
}

// Write writes data to a file of the procfs, "sys/net/ipv4/ip_forward". No
// link and no mount lies on the way, or it is an error.
func (p *Proc) Write(path, data string) error {
	fd, err := p.in.Openat2(p.fd, path, unix.O_WRONLY, 0,
		unix.RESOLVE_BENEATH|unix.RESOLVE_NO_XDEV|unix.RESOLVE_NO_SYMLINKS|unix.RESOLVE_NO_MAGICLINKS)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return p.in.Write(fd, path, data)
}

// Close lets the procfs go.
func (p *Proc) Close() {
	if p.fd >= 0 {
		unix.Close(p.fd)
		p.fd = -1
	}
}

// Sysctls sets the kernel parameters of the container's namespaces.
func (r *Root) Sysctls() error {
	if len(r.cfg.Sysctls) == 0 {
		return nil
	}
	proc, err := r.Proc()
	if err != nil {
		return err
	}
	for _, s := range r.cfg.Sysctls {
		if err := proc.Write("sys/"+s.Path, s.Value); err != nil {
			return fmt.Errorf("set %s to %q: %w", s.Key, strings.TrimSpace(s.Value), err)
		}
	}
	return nil
}
