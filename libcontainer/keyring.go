package libcontainer

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/inside"
	"github.com/mocker-runtime/mocker/libcontainer/lsm"
)

// keyring gives the container a session keyring of its own: the caller's may
// hold keys that are none of its business.
func (n *creation) keyring() error {
	if n.opts.NoNewKeyring {
		return nil
	}
	if n.cfg.Process != nil {
		if err := lsm.LabelKeys(n.in, n.cfg.Process.Labels.SELinux); err != nil {
			return err
		}
	}
	key, err := n.in.JoinSessionKeyring(n.keyringName())
	if err == nil {
		permissions := uint32(ownKeyring)
		if n.cfg.Has(unix.CLONE_NEWUSER) {
			permissions |= othersSearch // whose the keyring is depends on when it was made
		}
		err = n.in.SetKeyPermissions(key, permissions)
	}
	if errors.Is(err, unix.ENOSYS) {
		return nil // a kernel without keyrings has none to leak
	}
	if errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("%w: the quota in /proc/sys/kernel/keys is used up; --no-new-keyring goes without", err)
	}
	return err
}

// keyringName is that of the session keyring; "" if the container has none.
func (n *creation) keyringName() string {
	if n.opts.NoNewKeyring {
		return ""
	}
	return keyringName(n.opts.ID)
}

// keyringName is runc's. exec finds the keyring by it.
func keyringName(id string) string { return "_ses." + id }

// joinKeyring brings a joiner into the container's session keyring: "" is
// none. If it cannot be found a new one takes its place, with an SELinux label.
func joinKeyring(in *inside.Child, name, label string) error {
	if name == "" {
		return nil
	}
	err := lsm.LabelKeys(in, label)
	if err == nil {
		_, err = in.JoinSessionKeyring(name)
	}
	if err != nil && !errors.Is(err, unix.ENOSYS) {
		return fmt.Errorf("session keyring: %w", err)
	}
	return nil
}

// The permissions of the session keyring (keyctl(2), KEYCTL_SETPERM): all for
// who has it, and for its user what the kernel gives (view, read, link) and
// to search it, so that a later process can join it.
const (
	ownKeyring   = 0x3f1b0000
	othersSearch = 0x00000008
)
