package lsm

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/inside"
)

// unconfined is the name of having no profile. To ask for it means something
// all the same: a profile that the machine attaches to the path of a program
// does not get a process that is to be unconfined.
const unconfined = "unconfined"

var (
	errNoAppArmor = errors.New("apparmor is disabled or not supported by the kernel")
	errNoProfile  = errors.New("no such profile is loaded")
)

func apparmorError(profile string, err error) error {
	return fmt.Errorf("unable to apply apparmor profile %q: %w", profile, err)
}

func (k kernel) checkAppArmor(profile string) error {
	if profile == "" {
		return nil
	}
	if !k.hasAppArmor() {
		if profile == unconfined {
			return nil // so is everything
		}
		return apparmorError(profile, errNoAppArmor)
	}
	for part := range strings.SplitSeq(profile, "//&") {
		if err := k.loaded(strings.TrimPrefix(part, "&")); err != nil {
			return apparmorError(profile, err)
		}
	}
	return nil
}

func (k kernel) hasAppArmor() bool {
	enabled, err := os.ReadFile(filepath.Join(k.sys, "module/apparmor/parameters/enabled"))
	return err == nil && len(enabled) > 0 && enabled[0] == 'Y'
}

// loaded asks the kernel about one profile in the way of aa_query_label(2),
// which is open to everybody, unlike the list of profiles. Where securityfs is
// not mounted the answer comes with the attempt to apply it.
func (k kernel) loaded(profile string) error {
	f, err := os.OpenFile(filepath.Join(k.sys, "kernel/security/apparmor/.access"), os.O_WRONLY, 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	// What is asked about the profile does not matter, only that there is one.
	_, err = f.WriteString("label\x00" + profile + "\x00" + classFile + "/")
	if errors.Is(err, unix.ENOENT) {
		return errNoProfile
	}
	return nil
}

// classFile is AA_CLASS_FILE.
const classFile = "\x02"

// applyAppArmor is aa_change_onexec(2) of the child.
func (k kernel) applyAppArmor(in *inside.Child, profile string) error {
	if profile == "" || profile == unconfined && !k.hasAppArmor() {
		return nil
	}
	said, err := k.setAttribute(in, "apparmor/exec", "exec "+profile)
	switch {
	case err != nil && !k.hasAppArmor():
		err = errNoAppArmor
	case errors.Is(err, errNoAttribute):
	case errors.Is(err, unix.ENOENT):
		err = errNoProfile
	case errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM):
		err = fmt.Errorf("%w (mocker is confined itself, by a profile that does not allow the change)", err)
	case err == nil && !sameProfile(said, profile):
		err = fmt.Errorf("the kernel is going to apply %q", strings.TrimSpace(said))
	}
	if err != nil {
		return apparmorError(profile, err)
	}
	return nil
}

// sameProfile reports whether what an attribute says, "a//&b (enforce)\n",
// stands for the profiles that were asked for. The kernel sorts them, and
// writes a namespace as ":name://".
func sameProfile(said, profile string) bool {
	said = strings.TrimRight(said, "\x00\n")
	if at := strings.LastIndex(said, " ("); at >= 0 && strings.HasSuffix(said, ")") {
		said = said[:at]
	}
	return slices.Equal(parts(said), parts(profile))
}

// parts are the profiles in a stack, in order and without repetition.
func parts(profile string) []string {
	list := strings.Split(profile, "//&")
	for i, part := range list {
		part = strings.TrimPrefix(part, "&")
		if namespace, name, ok := strings.Cut(strings.TrimPrefix(part, ":"), ":"); ok && strings.HasPrefix(part, ":") {
			part = ":" + namespace + "://" + strings.TrimPrefix(name, "//")
		}
		list[i] = part
	}
	slices.Sort(list)
	return slices.Compact(list)
}
