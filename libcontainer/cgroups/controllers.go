package cgroups

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	oci "github.com/opencontainers/cgroups"
)

// On cgroup v2 a cgroup has a controller if its parent hands it on, by the
// file cgroup.subtree_control, and so does every cgroup above that one
// (cgroups(7), "Cgroups v2 subtree control").

const subtreeControl = "cgroup.subtree_control"

// above lists the cgroups from the root of the tree down to the parent of
// dir.
func above(dir string) []string {
	var list []string
	for d := filepath.Dir(dir); len(d) >= len(mountpoint); d = filepath.Dir(d) {
		list = append(list, d)
	}
	slices.Reverse(list)
	return list
}

// handOnTo lets the cgroups above dir hand on all controllers that they have,
// as far as they exist. What cannot be handed on is no error, for most of the
// time nobody has asked for it: see checkControllers.
func handOnTo(dir string) error {
	for _, dir := range above(dir) {
		missing, err := keeps(dir)
		if err != nil {
			return gone(err) // what is not there is still to be made
		}
		// A cgroup with processes could still hand on controllers of threads,
		// such as cpu: it would become the root of a threaded subtree by that,
		// and those below it would be good for nothing.
		if len(missing) == 0 || inhabitant(dir) != 0 {
			continue
		}
		if oci.WriteFile(dir, subtreeControl, "+"+strings.Join(missing, " +")) == nil {
			continue
		}
		for _, name := range missing {
			_ = oci.WriteFile(dir, subtreeControl, "+"+name)
		}
	}
	return nil
}

// keeps lists the controllers that a cgroup has and does not hand on.
func keeps(dir string) ([]string, error) {
	have, err := oci.ReadFile(dir, "cgroup.controllers")
	if err != nil {
		return nil, fmt.Errorf("look up controllers: %w", err)
	}
	given, err := oci.ReadFile(dir, subtreeControl)
	if err != nil {
		return nil, fmt.Errorf("look up controllers: %w", err)
	}
	handed := strings.Fields(given)
	return slices.DeleteFunc(strings.Fields(have), func(name string) bool { return slices.Contains(handed, name) }), nil
}

// keepAll ends that a v2 cgroup hands on controllers: the container, or Make
// for a delegated cgroup, has begun it, and nobody could live there.
func keepAll(dir string) error {
	given, err := oci.ReadFile(dir, subtreeControl)
	if err != nil {
		return nil // of v1, or gone
	}
	for name := range strings.FieldsSeq(given) {
		if err := oci.WriteFile(dir, subtreeControl, "-"+name); err != nil {
			return plain(err)
		}
	}
	return nil
}

// inhabitant is a process that lives in dir itself and so keeps it from
// handing on controllers; 0 if there is none, or if it does not matter, at
// the root of the machine's tree. It is -1 if the process cannot be seen from
// here.
func inhabitant(dir string) int {
	if !exists(filepath.Join(dir, "cgroup.type")) {
		return 0 // the root has no type
	}
	pids, err := pidsIn(dir)
	if err != nil || len(pids) == 0 {
		return 0
	}
	if pids[0] == 0 {
		return -1
	}
	return pids[0]
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// checkControllers finds the first of the wanted controllers that does not
// get down to the container's cgroup, whether that exists already or not.
func (c *Cgroup) checkControllers() error {
	wants, err := wanted(c.res, true)
	if err != nil {
		return err
	}
	for _, dir := range above(c.paths[""]) {
		given, err := oci.ReadFile(dir, subtreeControl)
		if err != nil {
			return gone(fmt.Errorf("look up controllers: %w", err))
		}
		handed := strings.Fields(given)
		for _, w := range wants {
			if !pseudo(w.controller) && !slices.Contains(handed, w.controller) {
				return c.kept(w, dir)
			}
		}
	}
	return nil
}

// pseudo reports what is called like a controller and is there in any cgroup:
// device rules are a BPF program, and some files belong to every cgroup.
func pseudo(controller string) bool { return controller == "devices" || controller == "cgroup" }

// kept says why dir does not hand on a controller, and what to do.
func (c *Cgroup) kept(w want, dir string) error {
	lacking := fmt.Sprintf("%s: the %s controller is not available in %s", w.member, w.controller, c.paths[""])
	switch pid := inhabitant(dir); {
	case pid > 0:
		return fmt.Errorf("%s: %s cannot hand it on while processes live in it, such as %d: move them into a cgroup below it, or choose another linux.cgroupsPath",
			lacking, dir, pid)
	case pid < 0:
		return fmt.Errorf("%s: %s cannot hand it on while processes live in it: move them into a cgroup below it, or choose another linux.cgroupsPath",
			lacking, dir)
	}
	err := oci.WriteFile(dir, subtreeControl, "+"+w.controller)
	if err == nil {
		err = errors.New("it was taken away again at once")
	}
	file := filepath.Join(dir, subtreeControl)
	return fmt.Errorf("%s: root has to enable it by writing \"+%s\" to %s%s: %w", lacking, w.controller, file, c.systemdHint(dir, w.controller), errnoOf(err))
}

// systemdHint names the unit on the way to the container's cgroup through
// which systemd would hand a controller on, if there is one
// (systemd.resource-control(5), "Delegate="): the first from dir on.
func (c *Cgroup) systemdHint(dir, controller string) string {
	for _, d := range above(c.paths[""]) {
		unit := filepath.Base(d)
		if len(d) >= len(dir) && (strings.HasSuffix(unit, ".service") || strings.HasSuffix(unit, ".scope")) {
			return fmt.Sprintf(", or systemd, with Delegate=%s in the unit %s", controller, unit)
		}
	}
	return ""
}

// errnoOf takes the path and the value off an error of a cgroup file, for
// messages that have them already.
func errnoOf(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// checkType refuses a place in a threaded subtree: the cgroups of threads
// have no memory to limit, and nobody can be born into a cgroup that is still
// to become one of them (cgroups(7), "Thread mode").
func (c *Cgroup) checkType() error {
	dir := c.paths[""]
	for !exists(dir) && dir != mountpoint {
		dir = filepath.Dir(dir) // of what is in a threaded subtree, so is all that is made below it
	}
	text, err := oci.ReadFile(dir, "cgroup.type")
	if kind := strings.TrimSpace(text); err == nil && kind != "domain" {
		return fmt.Errorf("linux.cgroupsPath: %s is of the type %q: the cgroup of a container cannot be in a threaded subtree: choose another path", dir, kind)
	}
	return nil
}

// checkLeaf refuses an existing cgroup that hands on controllers: no process
// can live in it.
func checkLeaf(dir string) error {
	given, err := oci.ReadFile(dir, subtreeControl)
	if err != nil || strings.TrimSpace(given) == "" {
		return nil //nolint:nilerr // it is still to be made
	}
	return fmt.Errorf("linux.cgroupsPath: %s hands on controllers (cgroup.subtree_control: %s), so that no process can live in it: choose another path, or one below it",
		dir, strings.TrimSpace(given))
}
