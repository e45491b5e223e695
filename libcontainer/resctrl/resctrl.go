// Package resctrl puts a container into a class of service of the kernel's
// resctrl file system (Intel RDT, AMD QoS, Arm MPAM): its share of the caches
// and of the bandwidth of memory, and a group that measures what it uses.
//
// It acts on the host's side. The rules about what is made, compared and
// removed are those of config-linux.md, "IntelRdt"; what a line of a schemata
// means is the kernel's business (Documentation/filesystems/resctrl.rst).
package resctrl

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

// Find gives the place where resctrl is mounted.
func Find() (string, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(data)) {
		place, fsType, _ := strings.Cut(line, " - ")
		if strings.HasPrefix(fsType, "resctrl ") {
			return strings.Fields(place)[4], nil
		}
	}
	return "", errors.New("no resctrl file system is mounted (mount -t resctrl resctrl /sys/fs/resctrl; it takes a processor and a kernel with RDT)")
}

// Plan says which directories below root a container is going to have. It
// changes nothing. Classes are compared and missed here.
func Plan(root, id string, rdt *config.RDT) (*config.RDTGroup, error) {
	name := rdt.Class
	if name == "" {
		name = id
		if reserved(id) {
			return nil, fmt.Errorf("class of service %s: a name that resctrl has for itself", id)
		}
	}
	g := &config.RDTGroup{Dir: filepath.Join(root, name)}
	if rdt.Monitor {
		g.Monitor = filepath.Join(g.Dir, "mon_groups", id)
	}
	_, err := os.Stat(g.Dir)
	switch exists := err == nil; {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	case rdt.Class == "":
		g.Made = !exists
		return g, nil
	case !exists && len(rdt.Schemata) == 0:
		return nil, fmt.Errorf("linux.intelRdt.closID: %q: no such class of service in %s, and no schemata to make one", rdt.Class, root)
	case !exists:
		return g, nil
	}
	return g, compare(g.Dir, rdt.Schemata)
}

func reserved(name string) bool {
	return name == "info" || name == "mon_data" || name == "mon_groups"
}

// Make makes what Plan has said. If it fails nothing is left of it.
func Make(g *config.RDTGroup, rdt *config.RDT) (err error) {
	made := false
	defer func() {
		if err != nil && made {
			_ = os.RemoveAll(g.Dir)
		}
	}()
	err = os.Mkdir(g.Dir, 0o755)
	made = err == nil
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return explain(g.Dir, fmt.Errorf("make class of service %s: %w", g.Dir, errno(err)))
	}
	if made || rdt.Class == "" {
		if err := Write(g, rdt.Schemata); err != nil {
			return err
		}
	}
	if g.Monitor == "" {
		return nil
	}
	err = os.MkdirAll(filepath.Dir(g.Monitor), 0o755)
	if err == nil {
		err = os.Mkdir(g.Monitor, 0o755)
	}
	if err != nil {
		return explain(g.Dir, fmt.Errorf("make monitoring group %s: %w", g.Monitor, errno(err)))
	}
	return nil
}

// Write changes the shares of a class of service, line by line: in one write
// the kernel takes a second value for the same cache for a mistake.
func Write(g *config.RDTGroup, schemata []string) error {
	for _, line := range schemata {
		if err := write(filepath.Join(g.Dir, "schemata"), line+"\n"); err != nil {
			return explain(g.Dir, err)
		}
	}
	return nil
}

// Update is Write for a class of service that is in use: if a line is refused,
// those before it are taken back.
func Update(g *config.RDTGroup, schemata []string) error {
	if len(schemata) == 0 {
		return nil
	}
	old, err := os.ReadFile(filepath.Join(g.Dir, "schemata"))
	if err != nil {
		return err
	}
	err = Write(g, schemata)
	if err != nil {
		for line := range strings.Lines(string(old)) {
			_ = Write(g, []string{strings.TrimSpace(line)})
		}
	}
	return err
}

// Attach brings a process, which has one thread, into its class of service
// and its monitoring group.
func Attach(g *config.RDTGroup, pid int) error {
	if g == nil {
		return nil
	}
	for _, dir := range []string{g.Dir, g.Monitor} {
		if dir == "" {
			continue
		}
		if err := write(filepath.Join(dir, "tasks"), strconv.Itoa(pid)); err != nil {
			return explain(g.Dir, err)
		}
	}
	return nil
}

// Remove removes what goes with the container; what is gone is no error.
func Remove(g *config.RDTGroup) error {
	if g == nil {
		return nil
	}
	var failed error
	if g.Monitor != "" {
		failed = remove(g.Monitor)
	}
	if g.Made {
		failed = errors.Join(failed, remove(g.Dir))
	}
	return failed
}

// remove is one rmdir(2) in a resctrl file system, whose files go with it.
func remove(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove %s: %w", dir, errno(err))
	}
	return nil
}

// write appends, and makes the file where the directory is not in a real
// resctrl file system, which has it.
func write(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err == nil {
		_, err = f.WriteString(text)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return fmt.Errorf("write %q to %s: %w", strings.TrimSpace(text), path, errno(err))
	}
	return nil
}

func errno(err error) error {
	var number unix.Errno
	if errors.As(err, &number) {
		return number
	}
	return err
}

// explain adds what the kernel says about the last command.
func explain(dir string, err error) error {
	for _, root := range []string{dir, filepath.Dir(dir)} {
		text, e := os.ReadFile(filepath.Join(root, "info", "last_cmd_status"))
		if said := strings.TrimSpace(string(text)); e == nil && said != "" && said != "ok" {
			return fmt.Errorf("%w (%s)", err, said)
		}
	}
	return err
}
