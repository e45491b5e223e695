package lsm

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/inside"
)

// The text begins with runc's words.
var errNoSELinux = errors.New("selinux is disabled or not supported by the kernel")

func selinuxError(label string, err error) error {
	return fmt.Errorf("unable to apply selinux label %q: %w", label, err)
}

func (k kernel) checkSELinux(label string) error {
	if label == "" {
		return nil
	}
	if !k.hasSELinux() {
		return selinuxError(label, errNoSELinux)
	}
	_, err := k.canonical(label)
	if errors.Is(err, unix.EINVAL) {
		return selinuxError(label, errors.New("the policy that is loaded has no such label"))
	}
	return nil // who may not ask gets the answer with the attempt to apply it
}

// hasSELinux reports whether a policy is in force: without one everything has
// the label "kernel".
func (k kernel) hasSELinux() bool {
	var fs unix.Statfs_t
	if err := unix.Statfs(filepath.Join(k.sys, "fs/selinux"), &fs); err != nil || !k.fake && fs.Type != unix.SELINUX_MAGIC {
		return false
	}
	own, err := os.ReadFile(filepath.Join(k.proc, "self/attr/current"))
	return err == nil && trimLabel(string(own)) != "kernel"
}

// canonical is how the kernel writes a label: it sorts the categories.
func (k kernel) canonical(label string) (string, error) {
	f, err := os.OpenFile(filepath.Join(k.sys, "fs/selinux/context"), os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if _, err := f.WriteString(label); err != nil {
		return "", err
	}
	text := make([]byte, unix.PathMax) // a page, which is what there is of it
	n, err := f.ReadAt(text, 0)
	if n == 0 {
		return "", err
	}
	return trimLabel(string(text[:n])), nil
}

// applySELinux is setexeccon(3) or setkeycreatecon(3) of the child, by the
// name of the attribute.
func (k kernel) applySELinux(in *inside.Child, attribute, label string) error {
	if label == "" {
		return nil
	}
	if !k.hasSELinux() { // attributes without a module of their name are those of another module
		return selinuxError(label, errNoSELinux)
	}
	said, err := k.setAttribute(in, attribute, label)
	if err != nil {
		return selinuxError(label, err)
	}
	said = trimLabel(said)
	if said == label {
		return nil
	}
	if canonical, err := k.canonical(label); err != nil || said != canonical {
		return selinuxError(label, fmt.Errorf("the kernel is going to apply %q", said))
	}
	return nil
}

func trimLabel(text string) string { return strings.TrimRight(text, "\x00\n") }
