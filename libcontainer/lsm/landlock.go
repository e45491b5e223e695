package lsm

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
	"github.com/mocker-runtime/mocker/libcontainer/inside"
)

// What the letters of a rule stand for. A right that is not given by any rule
// is denied everywhere, as far as the kernel knows it.
const (
	landlockRead    = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	landlockExecute = unix.LANDLOCK_ACCESS_FS_EXECUTE
	landlockWrite   = unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV |
		unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE | unix.LANDLOCK_ACCESS_FS_REFER |
		unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK |
		unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK | unix.LANDLOCK_ACCESS_FS_MAKE_SYM

	// landlockFile are those that a file, which is no directory, can have.
	landlockFile = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_READ_FILE |
		unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
)

// CheckLandlock reports why this kernel cannot confine a process by these
// rules. None is none.
func CheckLandlock(rules []config.LandlockRule) error {
	if rules == nil {
		return nil
	}
	_, err := landlockKnown()
	return err
}

// landlockKnown are the rights that the kernel knows (landlock(7), "VERSIONS").
func landlockKnown() (uint64, error) {
	abi, err := inside.LandlockABI()
	switch {
	case errors.Is(err, unix.ENOSYS):
		return 0, errors.New("the kernel has no Landlock (it takes Linux 5.13 with CONFIG_SECURITY_LANDLOCK)")
	case errors.Is(err, unix.EOPNOTSUPP):
		return 0, errors.New("Landlock is not among the security modules that the kernel was booted with (lsm= on its command line)")
	case err != nil:
		return 0, fmt.Errorf("ask the kernel for Landlock: %w", err)
	}
	known := uint64(landlockRead | landlockExecute | landlockWrite)
	if abi < 2 {
		known &^= unix.LANDLOCK_ACCESS_FS_REFER
	}
	if abi < 3 {
		known &^= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	if abi < 5 {
		known &^= unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	}
	return known, nil
}

// Landlock confines the child by rules, whose paths it finds from where it is.
// It is the last thing to be done that is about files: from then on the child
// opens only what the program may.
func Landlock(in *inside.Child, rules []config.LandlockRule) error {
	if rules == nil {
		return nil
	}
	known, err := landlockKnown()
	if err != nil {
		return err
	}
	ruleset, err := in.LandlockRuleset(known)
	if err != nil {
		return err
	}
	defer unix.Close(ruleset)
	for _, rule := range rules {
		if err := allow(in, ruleset, rule, known); err != nil {
			return err
		}
	}
	err = in.LandlockRestrict(ruleset)
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%w (it takes CAP_SYS_ADMIN of mocker, or process.noNewPrivileges)", err)
	}
	return err
}

func allow(in *inside.Child, ruleset int, rule config.LandlockRule, known uint64) error {
	fd, err := in.Openat2(unix.AT_FDCWD, rule.Path, unix.O_PATH, 0, unix.RESOLVE_NO_MAGICLINKS)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var rights uint64
	for _, part := range []struct {
		given  bool
		rights uint64
	}{{rule.Read, landlockRead}, {rule.Write, landlockWrite}, {rule.Execute, landlockExecute}} {
		if part.given {
			rights |= part.rights
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("stat %s: %w", rule.Path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		rights &= landlockFile
	}
	return in.LandlockAllow(ruleset, rights&known, fd, rule.Path)
}
