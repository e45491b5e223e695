package libcontainer

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// CheckKernel reports what is missing for any container to be made or
// entered, before anything has been. The newest call that every container
// needs is asked for, since a version tells neither what a distribution has
// added nor what a sandbox forbids; it takes a microsecond.
func CheckKernel() error {
	// No kernel knows all flags, and one that has the call looks at them first.
	if err := unix.MountSetattr(-1, "", ^uint(0), &unix.MountAttr{}); !errors.Is(err, unix.ENOSYS) {
		return nil
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return fmt.Errorf("uname: %w", err)
	}
	return lacking(unix.ByteSliceToString(name.Release[:]))
}

// lacking is the error where a kernel of this release answers that it has no
// mount_setattr, which is of Linux 5.12.
func lacking(release string) error {
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err == nil && (major > 5 || major == 5 && minor >= 12) {
		return fmt.Errorf("mount_setattr: %w: Linux %s has it, so a sandbox keeps it from mocker", unix.ENOSYS, release)
	}
	return fmt.Errorf("the kernel is too old: Linux 5.14 or newer is needed, and %s lacks mount_setattr", release)
}
