// Package lsm has the kernel's security modules confine the processes of a
// container: AppArmor by a profile (apparmor(7)), SELinux by a label
// (selinux(8)).
//
// Both are asked for beforehand: a process writes to a file of its own below
// /proc/PID/attr what is to become of it at its next execve, and a copy that
// it makes of itself until then inherits that. A write that arrives in another
// file leaves a container unconfined, and nobody notices (CVE-2019-16884,
// CVE-2019-19921, CVE-2025-52881). So the child opens the file in mocker's own
// procfs, which nothing in a container reaches, with no link and no mount on
// the way; and what it has written is read back.
//
// The package loads no profiles and no policy: that is for the machine's
// administrator, or for the engine.
package lsm

import (
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
	"github.com/mocker-runtime/mocker/libcontainer/inside"
)

// CheckAppArmor reports why the kernel cannot give a process this profile, as
// far as that shows before there is a process. "" is no profile.
func CheckAppArmor(profile string) error { return machine().checkAppArmor(profile) }

// CheckSELinux reports why the kernel cannot give a process or a mount this
// label, as far as that shows before there is one. "" is no label.
func CheckSELinux(label string) error { return machine().checkSELinux(label) }

// Confine makes the labels those of the child from its next execve on. It is
// to be called before the child sets no_new_privs, which would forbid a change
// of who is confined already.
func Confine(in *inside.Child, labels config.Labels) error {
	if err := machine().applyAppArmor(in, labels.AppArmor); err != nil {
		return err
	}
	return machine().applySELinux(in, "exec", labels.SELinux)
}

// LabelKeys makes the label that of the keys and keyrings which the child
// makes, up to its next execve. "" leaves them what they are.
func LabelKeys(in *inside.Child, label string) error {
	return machine().applySELinux(in, "keycreate", label)
}

// kernel is where the kernel shows its files.
type kernel struct {
	proc string // its procfs
	sys  string // its sysfs, with securityfs and selinuxfs in it
	fake bool   // directories of a test, on any file system
}

func machine() kernel { return kernel{proc: "/proc", sys: "/sys"} }

// setAttribute has the child write text to an attribute of its own,
// "apparmor/exec" for example, and gives what the attribute then is.
//
// The child has to open the file itself: the kernel takes a write only from
// the process that the attribute belongs to, and that has opened it.
func (k kernel) setAttribute(in *inside.Child, name, text string) (string, error) {
	proc, err := k.openProc()
	if err != nil {
		return "", err
	}
	defer unix.Close(proc)
	// By its pid: there is no "self" in this procfs for a child whose pid
	// namespace is below mocker's, and links are not followed.
	file := fmt.Sprintf("%d/attr/%s", in.PID, name)
	fd, err := in.Openat2(proc, file, unix.O_RDWR, 0,
		unix.RESOLVE_BENEATH|unix.RESOLVE_NO_XDEV|unix.RESOLVE_NO_SYMLINKS|unix.RESOLVE_NO_MAGICLINKS)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errNoAttribute, err)
	}
	defer unix.Close(fd)
	if err := in.Write(fd, filepath.Join(k.proc, file), text); err != nil {
		return "", err
	}
	return in.Pread(fd, filepath.Join(k.proc, file))
}

var errNoAttribute = errors.New("the process has no such attribute")

// openProc opens the top of mocker's procfs.
func (k kernel) openProc() (int, error) {
	fd, err := unix.Open(k.proc, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", k.proc, err)
	}
	if !k.fake && !isProc(fd) {
		unix.Close(fd)
		return -1, fmt.Errorf("open %s: not on procfs", k.proc)
	}
	return fd, nil
}

// isProc reports whether an fd is the top of a procfs, whose inode has always
// been number 1 (PROC_ROOT_INO).
func isProc(fd int) bool {
	var fs unix.Statfs_t
	var st unix.Stat_t
	return unix.Fstatfs(fd, &fs) == nil && fs.Type == unix.PROC_SUPER_MAGIC &&
		unix.Fstat(fd, &st) == nil && st.Ino == 1
}
