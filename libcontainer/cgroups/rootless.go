package cgroups

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	oci "github.com/opencontainers/cgroups"
	"golang.org/x/sys/unix"
)

// forgo leaves out a directory that an ordinary user may not make or fill;
// dir "" is all of them. Nobody has asked for it unless there is a limit that
// needs it: then the error names that.
func (c *Cgroup) forgo(dir string, why error, asked *oci.Resources) error {
	if c.delegate != "" {
		return fmt.Errorf("annotations.run.oci.delegate-cgroup: an ordinary user can have it only in a cgroup that was delegated: %w", why)
	}
	wants, err := wanted(asked, c.unified())
	if err != nil {
		return err
	}
	for _, w := range wants {
		controller := w.controller
		if c.unified() {
			controller = ""
		}
		if dir == "" || c.paths[controller] == dir {
			return fmt.Errorf("%s: an ordinary user can have limits only in a cgroup that was delegated: %w", w.member, why)
		}
	}
	maps.DeleteFunc(c.paths, func(_, d string) bool { return dir == "" || d == dir })
	return nil
}

// Forgo leaves all of the cgroup out, when it turns out that nobody may be
// born into it: the way from where mocker is leads through one that belongs
// to another (cgroups(7), "Cgroups delegation containment"). What has been
// made is removed.
func (c *Cgroup) Forgo(why error) error {
	if !c.rootless {
		return why
	}
	dirs := c.dirs()
	if err := c.forgo("", why, c.res); err != nil {
		return err
	}
	for _, dir := range dirs {
		_ = unix.Rmdir(dir) // nobody is in there
	}
	return nil
}

// denied reports whether it was the lack of a right that made a file of
// cgroups fail.
func denied(err error) bool {
	return errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EROFS)
}

// usable reports why the processes of an ordinary user cannot be put into an
// existing directory.
func (c *Cgroup) usable(dir string) error {
	if !c.rootless {
		return nil
	}
	file := filepath.Join(dir, "cgroup.procs")
	if err := unix.Access(file, unix.W_OK); err != nil {
		return fmt.Errorf("write to %s: %w", file, err)
	}
	return nil
}

// makeOne makes one directory, or goes without it. It returns what it has
// made, parents first, on errors too.
func (c *Cgroup) makeOne(dir string) ([]string, error) {
	made, err := makeDir(dir)
	if err == nil {
		err = c.usable(dir)
	}
	switch {
	case err == nil && slices.Contains(made, dir):
		return made, nil // new, so nobody is in it
	case err == nil:
		return made, checkEmpty(dir)
	}
	if !c.rootless || !denied(err) {
		return made, err
	}
	for _, d := range slices.Backward(made) {
		_ = unix.Rmdir(d)
	}
	return nil, c.forgo(dir, err, c.res)
}
