package specconv

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

// applyIDMap takes an option idmap or ridmap. With a value it is crun's form,
// which podman passes on: "idmap=uids=0-100000-65536#...;gids=...".
func applyIDMap(m *config.Mount, at string, recursive, hasValue bool, value string) error {
	if m.Type != "bind" {
		return refuse(at, optionName(recursive), "only a bind mount can be id-mapped")
	}
	m.IDMap = &config.IDMap{Recursive: recursive}
	if !hasValue {
		return nil
	}
	for _, part := range strings.Split(value, ";") {
		key, ranges, _ := strings.Cut(part, "=")
		list := &m.IDMap.UIDs
		switch key {
		case "uids":
		case "gids":
			list = &m.IDMap.GIDs
		default:
			return refuse(at, "idmap="+value, "want idmap=uids=FILE-HOST-SIZE#...;gids=FILE-HOST-SIZE#...")
		}
		for _, text := range strings.Split(ranges, "#") {
			r, err := parseIDRange(text)
			if err != "" {
				return refuse(at, "idmap="+value, "%q: %s", text, err)
			}
			*list = append(*list, r)
		}
	}
	return nil
}

func optionName(recursive bool) string {
	if recursive {
		return "ridmap"
	}
	return "idmap"
}

// parseIDRange parses "0-100000-65536": first id of the file system, first id
// on the host, how many.
func parseIDRange(text string) (r config.IDMapping, problem string) {
	if strings.HasPrefix(text, "@") {
		return r, "ranges relative to a user namespace (@) are not supported; give the ids of the host"
	}
	f := strings.Split(text, "-")
	if len(f) != 3 {
		return r, "want FILE-HOST-SIZE"
	}
	var n [3]uint32
	for i := range f {
		v, err := strconv.ParseUint(f[i], 10, 32)
		if err != nil {
			return r, "want three numbers below 4294967296"
		}
		n[i] = uint32(v)
	}
	return config.IDMapping{ContainerID: n[0], HostID: n[1], Size: n[2]}, ""
}

// convertIDMap gives an id-mapped mount its maps: its own, else those of the
// container's user namespace. Maps without the option idmap map as well, as
// containerd expects.
func convertIDMap(at string, given *specs.Mount, m *config.Mount, linux *specs.Linux) error {
	own := len(given.UIDMappings) > 0 || len(given.GIDMappings) > 0
	if own && m.IDMap == nil {
		if m.Type != "bind" || m.Remount {
			return fmt.Errorf("config.json: %s.%s: only a bind mount can be id-mapped", at, firstMap(given))
		}
		m.IDMap = new(config.IDMap)
	}
	if m.IDMap == nil {
		return nil
	}
	if own {
		m.IDMap.UIDs, m.IDMap.GIDs = idMappings(given.UIDMappings), idMappings(given.GIDMappings)
	}
	if len(m.IDMap.UIDs)+len(m.IDMap.GIDs) == 0 && linux != nil {
		m.IDMap.UIDs, m.IDMap.GIDs = idMappings(linux.UIDMappings), idMappings(linux.GIDMappings)
		m.IDMap.Namespace = userNamespacePath(linux)
	}
	return checkIDMap(at, m.IDMap)
}

func firstMap(given *specs.Mount) string {
	if len(given.UIDMappings) > 0 {
		return "uidMappings"
	}
	return "gidMappings"
}

func idMappings(given []specs.LinuxIDMapping) []config.IDMapping {
	var list []config.IDMapping
	for _, m := range given {
		list = append(list, config.IDMapping{ContainerID: m.ContainerID, HostID: m.HostID, Size: m.Size})
	}
	return list
}

func userNamespacePath(linux *specs.Linux) string {
	for _, ns := range linux.Namespaces {
		if ns.Type == specs.UserNamespace {
			return ns.Path
		}
	}
	return ""
}

func checkIDMap(at string, m *config.IDMap) error {
	switch {
	case len(m.UIDs)+len(m.GIDs) == 0 && m.Namespace != "":
		return nil
	case len(m.UIDs)+len(m.GIDs) == 0:
		return refuse(at+".options", optionName(m.Recursive), "needs uidMappings and gidMappings, or a user namespace in linux.namespaces to take them from")
	case len(m.UIDs) == 0:
		return missing(at + ".uidMappings")
	case len(m.GIDs) == 0:
		return missing(at + ".gidMappings")
	}
	for _, list := range []struct {
		name string
		maps []config.IDMapping
	}{{".uidMappings", m.UIDs}, {".gidMappings", m.GIDs}} {
		for i, r := range list.maps {
			if r.Size == 0 {
				return refuse(item(at+list.name, i)+".size", r.Size, "an empty range")
			}
		}
	}
	return nil
}
