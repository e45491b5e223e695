package specconv

import (
	"path"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

func convertMounts(spec *specs.Spec, cfg *config.Config) error {
	for i := range spec.Mounts {
		m, err := convertMount(i, &spec.Mounts[i], cfg)
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
	if len(given.UIDMappings) > 0 {
		return none, unsupported(at + ".uidMappings")
	}
	if len(given.GIDMappings) > 0 {
		return none, unsupported(at + ".gidMappings")
	}
	m := config.Mount{Index: i, Source: given.Source, Type: given.Type}
	var err error
	if m.Destination, err = mountDestination(at, given.Destination, cfg); err != nil {
		return none, err
	}
	switch {
	case isBind(given.Type, given.Options):
		m.Type = "bind"
		if given.Source == "" {
			return none, missing(at + ".source")
		}
		if !filepath.IsAbs(given.Source) {
			m.Source = filepath.Join(cfg.Bundle, given.Source)
		}
	case given.Type == "":
		return none, missing(at + ".type")
	case given.Type == "cgroup2":
		// Which hierarchies the container sees depends on the host, not on
		// the name; rootfs decides for both.
		m.Type = "cgroup"
	}
	for j, text := range given.Options {
		for _, name := range splitOptions(text) {
			if err := applyOption(&m, item(at+".options", j), name); err != nil {
				return none, err
			}
		}
	}
	// For a new file system mount(2)'s MS_RDONLY covers the superblock too.
	if m.Type != "bind" && m.Set&unix.MOUNT_ATTR_RDONLY != 0 {
		m.Data = append(m.Data, "ro")
	}
	return m, nil
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
