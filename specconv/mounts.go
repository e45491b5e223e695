package specconv

import (
	"path"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

func convertMounts(spec *specs.Spec, cfg *config.Config) error {
	var bad problems
	made := make(map[string]bool, len(spec.Mounts))
	for i := range spec.Mounts {
		m, err := convertMount(i, &spec.Mounts[i], cfg, made)
		if err == nil {
			err = convertMountIDs(item("mounts", i), &spec.Mounts[i], &m, cfg)
		}
		bad.add(err)
		cfg.Mounts = append(cfg.Mounts, m)
		if !m.Remount {
			made[m.Destination] = m.Type != "bind" && !isCgroup(m.Type)
		}
	}
	return bad.err()
}

// maxOptions bounds the options of one mount. mount(2) has room for a page of
// them.
const maxOptions = 1024

// convertMount resolves one entry. made has the paths on which the entries
// before it have left a new file system.
func convertMount(i int, given *specs.Mount, cfg *config.Config, made map[string]bool) (config.Mount, error) {
	var none config.Mount
	at := item("mounts", i)
	if err := checkMountStrings(at, given); err != nil {
		return none, err
	}
	m := config.Mount{Index: i, Source: given.Source, Type: given.Type}
	var bad problems
	var err error
	m.Destination, err = mountDestination(at, given.Destination, cfg)
	bad.add(err)
	if isBind(given.Type, given.Options) {
		m.Type = "bind"
	}
	count := 0
	for j, text := range given.Options {
		list := splitOptions(text)
		if count += len(list); count > maxOptions {
			bad.add(refuse(at+".options", count, "more than %d options", maxOptions))
			break
		}
		for _, name := range list {
			bad.add(applyOption(&m, cfg, item(at+".options", j), name))
		}
	}
	if m.Remount {
		bad.add(convertRemount(at, &m, made[m.Destination]))
		return m, bad.err()
	}
	switch {
	case m.Type == "":
		bad.add(missing(at + ".type"))
	case m.Type == "bind" && given.Source == "":
		bad.add(missing(at + ".source"))
	case m.Type == "bind" && !filepath.IsAbs(given.Source):
		m.Source = filepath.Join(cfg.Bundle, given.Source)
	case m.Type == "overlay":
		m.Data = absoluteLayers(m.Data, cfg.Bundle)
	}
	// For a new file system mount(2)'s MS_RDONLY covers the superblock too.
	if m.Type != "bind" && !isCgroup(m.Type) && m.Set&unix.MOUNT_ATTR_RDONLY != 0 {
		m.Data = append(m.Data, "ro")
	}
	return m, bad.err()
}

func isCgroup(typ string) bool { return typ == "cgroup" || typ == "cgroup2" }

// convertRemount resolves an entry that changes what is mounted already. Of a
// file system that an entry before has made, the superblock changes as well;
// of any other only the mount, as with runc: the host has that file system too.
func convertRemount(at string, m *config.Mount, made bool) error {
	switch {
	case m.CopyUp:
		return refuse(at+".options", "remount", "cannot go with tmpcopyup")
	case m.IDMap != nil:
		return refuse(at+".options", "remount", "cannot go with idmap or ridmap: ids are mapped when something is mounted")
	case m.Type == "bind":
		return nil
	case !made:
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
