// Package process makes the container's first process out of its child:
// finds the program as the final user, and builds the last program of system
// calls, which ends in execve(2).
//
// It acts through an inside.Child, after the change of root. It owns
// credentials, capabilities, limits, signals, stdio and the wait for start.
package process

import (
	"errors"
	"fmt"
	"os/exec"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
	"github.com/mocker-runtime/mocker/libcontainer/inside"
)

// Enter changes into the working directory: as root, and if that is denied
// as the final user, who may be allowed what root is not on a network file
// system. The directory must lie in the container: a magic link may lead out
// of it (CVE-2024-21626).
func Enter(in *inside.Child, p *config.Process) error {
	err := in.Chdir(p.Cwd)
	if errors.Is(err, unix.EACCES) {
		err = asUser(in, p, func() error { return in.Chdir(p.Cwd) })
	}
	if err != nil {
		return fmt.Errorf("working directory %s: %w", p.Cwd, cause(err))
	}
	cwd, err := in.Getcwd()
	if err != nil {
		return fmt.Errorf("working directory %s: %w", p.Cwd, err)
	}
	if !strings.HasPrefix(cwd, "/") {
		return fmt.Errorf("working directory %s: lies outside the container", p.Cwd)
	}
	return nil
}

// LookUp finds the program that Args[0] names, as execvp(3) would as the
// final user, and returns its path. The texts are those of runc, which
// engines turn into exit statuses 126 and 127.
//
// self reports whether an fd is mocker's own binary, which no container gets
// to execute (CVE-2019-5736).
func LookUp(in *inside.Child, p *config.Process, self func(fd int) (bool, error)) (string, error) {
	name := p.Args[0]
	var found string
	err := asUser(in, p, func() error {
		var err error
		found, err = search(in, name, p.Env, self)
		return err
	})
	return found, err
}

func search(in *inside.Child, name string, env []string, self func(int) (bool, error)) (string, error) {
	if strings.Contains(name, "/") {
		if err := executable(in, name, self); err != nil {
			return "", fmt.Errorf("exec: %q: %w", name, err)
		}
		return name, nil
	}
	var denied error
	for _, dir := range strings.Split(searchPath(env), ":") {
		if dir == "" {
			dir = "."
		}
		file := path.Join(dir, name)
		if !strings.Contains(file, "/") {
			file = "./" + file
		}
		err := executable(in, file, self)
		if err == nil {
			return file, nil
		}
		if denied == nil && (errors.Is(err, unix.EACCES) || errors.Is(err, unix.EISDIR)) {
			denied = err
		}
	}
	if denied != nil {
		return "", fmt.Errorf("exec: %q: %w", name, denied)
	}
	return "", fmt.Errorf("exec: %q: %w", name, exec.ErrNotFound)
}

// searchPath is the PATH that execvp(3) would use, the last of env. A process
// without one gets what a login shell would.
func searchPath(env []string) string {
	list := "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	for _, kv := range env {
		if v, ok := strings.CutPrefix(kv, "PATH="); ok {
			list = v
		}
	}
	return list
}

func executable(in *inside.Child, file string, self func(int) (bool, error)) error {
	fd, err := in.Openat2(unix.AT_FDCWD, file, unix.O_PATH, 0, 0)
	if err != nil {
		return fmt.Errorf("stat %s: %w", file, cause(err))
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("stat %s: %w", file, err)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return unix.EISDIR
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return unix.EACCES
	}
	if own, err := self(fd); err != nil || own {
		if err != nil {
			return fmt.Errorf("compare %s with mocker's own binary: %w", file, err)
		}
		return fmt.Errorf("%s is mocker's own binary: %w", file, unix.EACCES)
	}
	if err := in.Faccessat2(fd, unix.X_OK); err != nil {
		return cause(err)
	}
	return nil
}

// cause is the errno in an error of a call inside, whose object is said in
// other words.
func cause(err error) error {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

// asUser does something with the file system rights of the final user: its
// ids, its groups and its effective capabilities. Root that may override
// permissions has them already.
func asUser(in *inside.Child, p *config.Process, do func() error) error {
	if p.UID == 0 && p.Caps.Effective>>unix.CAP_DAC_OVERRIDE&1 == 1 {
		return do()
	}
	return in.As(inside.Credentials{
		FSUID: p.UID, FSGID: p.GID, Groups: p.Groups, Caps: inside.Caps{Effective: p.Caps.Effective},
	}, do)
}
