package rootfs

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// withLabel gives a new file system the SELinux context linux.mountLabel,
// unless its own options have one. Like runc, it leaves out procfs and sysfs,
// which take none, and mqueue: see labelRoot. The host's, as bind mounts and
// cgroups, have their labels.
func (r *Root) withLabel(fstype string, data []string) []string {
	if r.cfg.MountLabel == "" || fstype == "proc" || fstype == "sysfs" || fstype == "mqueue" ||
		slices.ContainsFunc(data, isContext) {
		return data
	}
	return append(slices.Clip(data), "context="+r.cfg.MountLabel)
}

// isContext reports whether an option of a file system is an SELinux context
// that excludes another one.
func isContext(option string) bool {
	key, _, _ := strings.Cut(option, "=")
	return key == "context" || key == "fscontext" || key == "defcontext" || key == "rootcontext"
}

// quoteContext protects the commas of an SELinux context from mount(2), where
// they stand between options.
func quoteContext(option string) string {
	key, value, _ := strings.Cut(option, "=")
	if isContext(option) && strings.Contains(value, ",") {
		return key + `="` + value + `"`
	}
	return option
}

// labelRoot gives the label to the top directory of a mount, for a file
// system that cannot have it as a whole.
func (r *Root) labelRoot(mnt int) error {
	if r.cfg.MountLabel == "" {
		return nil
	}
	dir, err := r.in.Openat2(mnt, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_XDEV)
	if err != nil {
		return fmt.Errorf("linux.mountLabel: %w", err)
	}
	defer unix.Close(dir)
	if err := r.in.Fsetxattr(dir, "security.selinux", r.cfg.MountLabel); err != nil {
		return fmt.Errorf("linux.mountLabel: %w", err)
	}
	return nil
}
