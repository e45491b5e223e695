package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// UserRoot is the root of the calling user: DefaultRoot for the machine's
// root, else, as with runc, mocker in XDG_RUNTIME_DIR. The root of a user
// namespace has that too, unless it calls itself root.
//
// Where no session has set the variable it is what a session would have set
// it to, or a directory of the user's own in /tmp: see checkOwner.
func UserRoot() string {
	runtime := os.Getenv("XDG_RUNTIME_DIR")
	if os.Geteuid() == 0 {
		user, named := os.LookupEnv("USER")
		if runtime == "" || named && user == "root" || !InUserNamespace() {
			return DefaultRoot
		}
		return filepath.Join(runtime, "mocker")
	}
	uid := strconv.Itoa(os.Geteuid())
	if runtime == "" {
		runtime = "/run/user/" + uid
		if checkOwner(runtime) != nil {
			return "/tmp/mocker-" + uid
		}
	}
	return filepath.Join(runtime, "mocker")
}

// InUserNamespace reports whether this process is in a user namespace other
// than the machine's, which maps every id to itself.
func InUserNamespace() bool {
	data, err := readFile(unix.AT_FDCWD, "/proc/self/uid_map")
	return err == nil && strings.Join(strings.Fields(string(data)), " ") != "0 0 4294967295"
}

// makeRoot makes the root. It is sticky: what is not may be pruned from
// XDG_RUNTIME_DIR (XDG Base Directory Specification).
func makeRoot(root string) error {
	if err := os.MkdirAll(root, 0o700|os.ModeSticky); err != nil {
		if pathErr := (*os.PathError)(nil); errors.As(err, &pathErr) && pathErr.Path == root {
			err = pathErr.Err
		}
		return fmt.Errorf("create state directory %s: %w", root, err)
	}
	return checkRoot(root)
}

// checkRoot refuses the states of another user. Root may look at everybody's.
func checkRoot(root string) error {
	if os.Geteuid() == 0 {
		return nil
	}
	if err := checkOwner(root); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("state directory %s: %w", root, err)
	}
	return nil
}

// checkOwner makes sure that no stranger can put anything into a directory.
// States name hooks to run and cgroups to kill: in /tmp anybody could have
// made the root first.
func checkOwner(dir string) error {
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR || st.Uid != uint32(os.Geteuid()) || st.Mode&0o002 != 0 {
		return fmt.Errorf("not a directory of user %d alone: %w", os.Geteuid(), unix.EPERM)
	}
	return nil
}
