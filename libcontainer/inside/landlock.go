package inside

import (
	"golang.org/x/sys/unix"
)

// LandlockABI asks the kernel for the version of Landlock that it has
// (landlock_create_ruleset(2)): ENOSYS, or EOPNOTSUPP where it is switched off.
func LandlockABI() (int, error) {
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0, errno
	}
	return int(abi), nil
}

// LandlockRuleset makes a set of rules, still empty, about these rights
// (LANDLOCK_ACCESS_FS_*).
func (in *Child) LandlockRuleset(rights uint64) (int, error) {
	return in.call1("landlock_create_ruleset", "", unix.SYS_LANDLOCK_CREATE_RULESET, bytesOf(&rights), 8, 0)
}

// LandlockAllow adds a rule: these rights to what fd is, and to all below it.
func (in *Child) LandlockAllow(ruleset int, rights uint64, fd int, path string) error {
	beneath := unix.LandlockPathBeneathAttr{Allowed_access: rights, Parent_fd: int32(fd)}
	return in.do("landlock_add_rule", path, unix.SYS_LANDLOCK_ADD_RULE, ruleset, landlockPathBeneath, bytesOf(&beneath), 0)
}

const landlockPathBeneath = 1 // LANDLOCK_RULE_PATH_BENEATH

// LandlockRestrict confines the child, for good, with all that it becomes and
// starts.
func (in *Child) LandlockRestrict(ruleset int) error {
	return in.do("landlock_restrict_self", "", unix.SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0)
}
