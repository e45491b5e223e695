package specconv

import (
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

// applyIDMap takes an option idmap or ridmap. With a value it is crun's form,
// which podman passes on: "idmap=uids=0-100000-65536#...;gids=...".
func applyIDMap(m *config.Mount, cfg *config.Config, at, text string) (err error) {
	name, value, hasValue := strings.Cut(text, "=")
	if m.Type != "bind" {
		return refuse(at, text, "only a bind mount can be id-mapped")
	}
	m.IDMap = &config.MountIDs{Recursive: name == "ridmap"}
	if !hasValue {
		return nil
	}
	for part := range strings.SplitSeq(value, ";") {
		key, ranges, _ := strings.Cut(part, "=")
		switch key {
		case "uids":
			m.IDMap.UIDs, err = parseIDRanges(at, text, ranges, cfg.UIDMap)
		case "gids":
			m.IDMap.GIDs, err = parseIDRanges(at, text, ranges, cfg.GIDMap)
		default:
			return refuse(at, text, "want idmap=uids=FILE-HOST-SIZE#...;gids=FILE-HOST-SIZE#...")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// parseIDRanges parses "0-100000-65536#...": first id of the file system, first
// id on the host, how many. With "@" before it the second is an id of the
// container, whose user namespace has the map users.
func parseIDRanges(at, option, text string, users config.IDMap) (config.IDMap, error) {
	var list []specs.LinuxIDMapping
	for one := range strings.SplitSeq(text, "#") {
		numbers, relative := strings.CutPrefix(one, "@")
		f := strings.Split(numbers, "-")
		if len(f) != 3 {
			return nil, refuse(at, option, "%q: want FILE-HOST-SIZE", one)
		}
		var n [3]uint32
		for i := range f {
			v, err := strconv.ParseUint(f[i], 10, 32)
			if err != nil {
				return nil, refuse(at, option, "%q: want three numbers below 4294967296", one)
			}
			n[i] = uint32(v)
		}
		if relative {
			host, ok := users.Outside(n[1])
			if !ok {
				return nil, refuse(at, option, "%q: the container's user namespace does not map %d", one, n[1])
			}
			n[1] = host
		}
		list = append(list, specs.LinuxIDMapping{ContainerID: n[0], HostID: n[1], Size: n[2]})
	}
	return convertIDMap(at, list)
}

// convertMountIDs gives an id-mapped mount its maps. Without any it has those
// of the container's user namespace. Maps without the option idmap map as
// well, as containerd expects.
func convertMountIDs(at string, given *specs.Mount, m *config.Mount, cfg *config.Config) (err error) {
	for _, own := range []struct {
		name string
		list []specs.LinuxIDMapping
	}{{".uidMappings", given.UIDMappings}, {".gidMappings", given.GIDMappings}} {
		if len(own.list) > 0 && m.IDMap == nil {
			if m.Type != "bind" || m.Remount {
				return lacks(at+own.name, "only a bind mount can be id-mapped")
			}
			m.IDMap = new(config.MountIDs)
		}
	}
	if m.IDMap == nil {
		return nil
	}
	if len(given.UIDMappings)+len(given.GIDMappings) > 0 {
		if m.IDMap.UIDs, err = convertIDMap(at+".uidMappings", given.UIDMappings); err != nil {
			return err
		}
		if m.IDMap.GIDs, err = convertIDMap(at+".gidMappings", given.GIDMappings); err != nil {
			return err
		}
	}
	switch {
	case m.IDMap.UIDs == nil && m.IDMap.GIDs == nil && !cfg.Has(unix.CLONE_NEWUSER):
		return lacks(at+".options", "an id-mapped mount needs uidMappings and gidMappings, or a user namespace in linux.namespaces to take them from")
	case m.IDMap.UIDs == nil && m.IDMap.GIDs != nil:
		return missing(at + ".uidMappings")
	case m.IDMap.GIDs == nil && m.IDMap.UIDs != nil:
		return missing(at + ".gidMappings")
	}
	return nil
}
