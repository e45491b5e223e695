package namespaces

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
	"github.com/mocker-runtime/mocker/libcontainer/inside"
)

// mapIDs gives a new user namespace its maps, and reads those of one that is
// joined.
func mapIDs(in *inside.Child, cfg *config.Config) error {
	if !cfg.Has(unix.CLONE_NEWUSER) {
		return nil
	}
	if path := cfg.PathOf(unix.CLONE_NEWUSER); path != "" {
		return readMaps(in.PID, cfg, path)
	}
	return writeMaps(in.PID, cfg)
}

// takeIDs gives the child the ids that a container is built with, in its user
// namespace.
func takeIDs(in *inside.Child, cfg *config.Config) error {
	if !cfg.Has(unix.CLONE_NEWUSER) {
		return nil
	}
	denied, err := setgroupsDenied(in.PID)
	if err != nil {
		return err
	}
	if p := cfg.Process; denied && p != nil && len(p.Groups) > 0 {
		return errors.New("process.user.additionalGids: the user namespace denies setgroups, as it must where an ordinary user maps nothing but its own id")
	}
	return in.TakeIDs(cfg.UIDMap.First(), cfg.GIDMap.First(), denied)
}

// writeMaps maps the ids. Root writes what it likes. An ordinary user may map
// its own id alone, and its group only where setgroups(2) is given up;
// anything else newuidmap(1) and newgidmap(1) write, which have the right to
// and look the ranges up in /etc/subuid and /etc/subgid.
func writeMaps(pid int, cfg *config.Config) error {
	root := os.Geteuid() == 0
	for _, m := range []struct {
		file, tool string
		ids        config.IDMap
		own        int
	}{
		{"uid_map", "newuidmap", cfg.UIDMap, os.Geteuid()},
		{"gid_map", "newgidmap", cfg.GIDMap, os.Getegid()},
	} {
		single := len(m.ids) == 1 && m.ids[0].Size == 1 && m.ids[0].HostID == uint32(m.own)
		if !root && !single {
			if err := runTool(m.tool, pid, m.ids); err != nil {
				return err
			}
			continue
		}
		if !root && m.file == "gid_map" {
			if err := writeProc(pid, "setgroups", "deny"); err != nil {
				return err
			}
		}
		if err := writeProc(pid, m.file, lines(m.ids)); err != nil {
			return err
		}
	}
	return nil
}

func lines(m config.IDMap) string {
	var list []string
	for _, r := range m {
		list = append(list, fmt.Sprintf("%d %d %d", r.ContainerID, r.HostID, r.Size))
	}
	return strings.Join(list, "\n")
}

// writeProc writes a file of /proc/PID with one call, as these want it.
func writeProc(pid int, name, data string) error {
	f, err := os.OpenFile(fmt.Sprintf("/proc/%d/%s", pid, name), os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(data)
		f.Close()
	}
	if err != nil {
		var errno unix.Errno
		if errors.As(err, &errno) {
			err = errno
		}
		return fmt.Errorf("write %q to %s: %w", data, name, err)
	}
	return nil
}

func runTool(tool string, pid int, m config.IDMap) error {
	args := []string{strconv.Itoa(pid)}
	for _, r := range m {
		for _, n := range []uint32{r.ContainerID, r.HostID, r.Size} {
			args = append(args, strconv.FormatUint(uint64(n), 10))
		}
	}
	path, err := exec.LookPath(tool)
	if err != nil {
		return fmt.Errorf("map %q: an ordinary user needs the program %s for more than its own id, which is not in PATH (package uidmap)", lines(m), tool)
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("map %q: %s: %w: %s", lines(m), tool, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// readMaps takes the maps of a user namespace that was joined. Maps in
// config.json are good only to say the same.
func readMaps(pid int, cfg *config.Config, path string) error {
	for _, m := range []struct {
		file, at string
		ids      *config.IDMap
	}{
		{"uid_map", "linux.uidMappings", &cfg.UIDMap},
		{"gid_map", "linux.gidMappings", &cfg.GIDMap},
	} {
		has, err := readMap(pid, m.file)
		if err != nil {
			return err
		}
		if len(has) == 0 {
			return fmt.Errorf("join the user namespace %s: it has no %s yet", path, m.file)
		}
		if *m.ids != nil && !slices.Equal(sorted(*m.ids), sorted(has)) {
			return fmt.Errorf("%s: %q, but the user namespace %s is joined and has %q", m.at, lines(*m.ids), path, lines(has))
		}
		*m.ids = has
	}
	return checkIDs(cfg, path)
}

func sorted(m config.IDMap) config.IDMap {
	return slices.SortedFunc(slices.Values(m), func(a, b config.IDRange) int { return cmp.Compare(a.ContainerID, b.ContainerID) })
}

func readMap(pid int, name string) (config.IDMap, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	if err != nil {
		return nil, err
	}
	var m config.IDMap
	for line := range strings.Lines(string(data)) {
		var r config.IDRange
		if _, err := fmt.Sscan(line, &r.ContainerID, &r.HostID, &r.Size); err != nil {
			return nil, fmt.Errorf("read %s: bad line %q", name, line)
		}
		m = append(m, r)
	}
	return m, nil
}

// checkIDs is specconv's check of the process's ids, which it can make only
// where the maps stand in config.json.
func checkIDs(cfg *config.Config, path string) error {
	p := cfg.Process
	if p == nil {
		return nil
	}
	if !cfg.UIDMap.Has(p.UID) {
		return fmt.Errorf("process.user.uid: %d: not mapped in the user namespace %s", p.UID, path)
	}
	for _, gid := range append([]uint32{p.GID}, p.Groups...) {
		if !cfg.GIDMap.Has(gid) {
			return fmt.Errorf("process.user: group %d: not mapped in the user namespace %s", gid, path)
		}
	}
	return nil
}

func setgroupsDenied(pid int) (bool, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/setgroups", pid))
	return strings.TrimSpace(string(data)) == "deny", err
}
