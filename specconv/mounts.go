package specconv

import (
	"path"
	"path/filepath"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

func convertMounts(spec *specs.Spec, cfg *config.Config) error {
	for i := range spec.Mounts {
		m, err := convertMount(i, &spec.Mounts[i], cfg)
		if err == nil {
			err = convertMountIDs(item("mounts", i), &spec.Mounts[i], &m, cfg)
		}
		if err != nil {
			return err
		}
		cfg.Mounts = append(cfg.Mounts, m)
	}
	return nil
}

func convertMount(i int, given *specs.Mount, cfg *config.Config) (config.Mount, error) {
	var none config.Mount
	at := item("mounts", i)
	if err := checkMountStrings(at, given); err != nil {
		return none, err
	}
	m := config.Mount{Index: i, Source: given.Source, Type: given.Type}
	var err error
	if m.Destination, err = mountDestination(at, given.Destination, cfg); err != nil {
		return none, err
	}
	if isBind(given.Type, given.Options) {
		m.Type = "bind"
	}
	for j, text := range given.Options {
		for _, name := range splitOptions(text) {
			if err := applyOption(&m, cfg, item(at+".options", j), name); err != nil {
				return none, err
			}
		}
	}
	if m.Remount {
		return m, convertRemount(at, &m, cfg.Mounts)
	}
	switch {
	case m.Type == "":
		return none, missing(at + ".type")
	case m.Type == "bind" && given.Source == "":
		return none, missing(at + ".source")
	case m.Type == "bind" && !filepath.IsAbs(given.Source):
		m.Source = filepath.Join(cfg.Bundle, given.Source)
	case m.Type == "overlay":
		m.Data = absoluteLayers(m.Data, cfg.Bundle)
	}
	// For a new file system mount(2)'s MS_RDONLY covers the superblock too.
	if m.Type != "bind" && !isCgroup(m.Type) && m.Set&unix.MOUNT_ATTR_RDONLY != 0 {
		m.Data = append(m.Data, "ro")
	}
	return m, nil
}

func isCgroup(typ string) bool { return typ == "cgroup" || typ == "cgroup2" }

// convertRemount resolves an entry that changes what is mounted already. Of a
// file system that an entry before has made, the superblock changes as well;
// of any other only the mount, as with runc: the host has that file system too.
func convertRemount(at string, m *config.Mount, before []config.Mount) error {
	switch {
	case m.CopyUp:
		return refuse(at+".options", "remount", "cannot go with tmpcopyup")
	case m.IDMap != nil:
		return refuse(at+".options", "remount", "cannot go with idmap or ridmap: ids are mapped when something is mounted")
	case m.Type == "bind":
		return nil
	case !madeBy(before, m.Destination):
		if len(m.Data) > 0 {
			return refuse(at+".options", m.Data[0], "an option of a file system that is the host's as well, and no remount's to change")
		}
		m.Type = "bind"
	case m.Set&unix.MOUNT_ATTR_RDONLY != 0:
		m.Data = append(m.Data, "ro")
	case m.Clear&unix.MOUNT_ATTR_RDONLY != 0:
		m.Data = append(m.Data, "rw")
	}
	return nil
}

// madeBy reports whether what is mounted on a path is a new file system of one
// of the entries.
func madeBy(entries []config.Mount, path string) bool {
	for i := range slices.Backward(entries) {
		if e := &entries[i]; e.Destination == path && !e.Remount {
			return e.Type != "bind" && !isCgroup(e.Type)
		}
	}
	return false
}

func checkMountStrings(at string, m *specs.Mount) error {
	for _, s := range []struct{ name, value string }{
		{".destination", m.Destination}, {".type", m.Type}, {".source", m.Source},
	} {
		if err := checkNUL(at+s.name, s.value); err != nil {
			return err
		}
	}
	return checkNULs(at+".options", m.Options)
}

// mountDestination cleans a destination. A relative one is taken from the
// container's root, deprecated as it is (config.md, "Mounts").
func mountDestination(at, dst string, cfg *config.Config) (string, error) {
	at += ".destination"
	if dst == "" {
		return "", missing(at)
	}
	clean := path.Clean("/" + dst)
	if clean == "/" {
		return "", refuse(at, dst, "the container's root directory, which root.path gives")
	}
	if !path.IsAbs(dst) {
		cfg.Warnings = append(cfg.Warnings, "config.json: "+at+": "+quote(dst)+": relative paths are deprecated, taken as "+quote(clean))
	}
	return clean, nil
}
