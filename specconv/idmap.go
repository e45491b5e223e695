package specconv

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

const (
	uidMappings = "linux.uidMappings"
	gidMappings = "linux.gidMappings"
)

// convertIDMaps resolves the maps of a user namespace. A new one needs both,
// for what is not mapped can be nobody's; one that is joined has its own, and
// maps beside it are only to say which these are.
func convertIDMaps(spec *specs.Spec, cfg *config.Config) error {
	for _, m := range []struct {
		at    string
		given []specs.LinuxIDMapping
		to    *config.IDMap
	}{
		{uidMappings, spec.Linux.UIDMappings, &cfg.UIDMap},
		{gidMappings, spec.Linux.GIDMappings, &cfg.GIDMap},
	} {
		switch {
		case len(m.given) > 0 && !cfg.Has(unix.CLONE_NEWUSER):
			return fmt.Errorf("config.json: %s: needs a user namespace in linux.namespaces", m.at)
		case len(m.given) == 0 && cfg.NewFlags()&unix.CLONE_NEWUSER != 0:
			return fmt.Errorf("config.json: %s: missing, and linux.namespaces has a new user namespace", m.at)
		}
		var err error
		if *m.to, err = convertIDMap(m.at, m.given); err != nil {
			return err
		}
		if cfg.PathOf(unix.CLONE_NEWUSER) != "" && slices.Equal(*m.to, config.IDMap{{Size: 1}}) {
			*m.to = nil // podman writes that beside whatever it joins
		}
	}
	return nil
}

// maxRanges is how many lines a map can have (user_namespaces(7)).
const maxRanges = 340

func convertIDMap(at string, given []specs.LinuxIDMapping) (config.IDMap, error) {
	if len(given) > maxRanges {
		return nil, refuse(at, len(given), "more than %d ranges", maxRanges)
	}
	var m config.IDMap
	for i, g := range given {
		r := config.IDRange{ContainerID: g.ContainerID, HostID: g.HostID, Size: g.Size}
		if r.Size == 0 {
			return nil, refuse(item(at, i)+".size", 0, "no ids")
		}
		// -1 is no id, so a range cannot hold it either.
		for _, id := range []struct {
			name  string
			first uint32
		}{{".containerID", r.ContainerID}, {".hostID", r.HostID}} {
			if uint64(id.first)+uint64(r.Size) > math.MaxUint32 {
				return nil, refuse(item(at, i)+id.name, id.first, "a range of %d from there ends beyond the last id", r.Size)
			}
		}
		for k, other := range m {
			if overlap(r.ContainerID, other.ContainerID, r.Size, other.Size) || overlap(r.HostID, other.HostID, r.Size, other.Size) {
				return nil, refuse(item(at, i), fmt.Sprintf("%d %d %d", r.ContainerID, r.HostID, r.Size), "overlaps %s", item(at, k))
			}
		}
		m = append(m, r)
	}
	return m, nil
}

func overlap(a, b, sizeA, sizeB uint32) bool {
	return uint64(a) < uint64(b)+uint64(sizeB) && uint64(b) < uint64(a)+uint64(sizeA)
}

// checkIDs makes sure that the ids of the process are mapped in the
// container's user namespace: no other can be taken on. Of a namespace that
// is joined the map is known only when it has been entered.
func checkIDs(_ *specs.Spec, cfg *config.Config) error {
	p := cfg.Process
	if p == nil {
		return nil
	}
	if err := checkMapped("process.user.uid", p.UID, cfg.UIDMap, uidMappings); err != nil {
		return err
	}
	if err := checkMapped("process.user.gid", p.GID, cfg.GIDMap, gidMappings); err != nil {
		return err
	}
	for i, gid := range p.Groups {
		if err := checkMapped(item("process.user.additionalGids", i), gid, cfg.GIDMap, gidMappings); err != nil {
			return err
		}
	}
	return nil
}

func checkMapped(at string, id uint32, m config.IDMap, by string) error {
	if m.Has(id) {
		return nil
	}
	return refuse(at, id, "not mapped by %s", by)
}

// checkOwners makes sure that the owners that mount options and devices name
// are mapped. Without the check the kernel says "invalid argument".
func checkOwners(spec *specs.Spec, cfg *config.Config) error {
	for i := range spec.Mounts {
		m := &spec.Mounts[i]
		if isBind(m.Type, m.Options) {
			continue
		}
		for j, text := range m.Options {
			for _, option := range splitOptions(text) {
				if err := checkOwnerOption(item(item("mounts", i)+".options", j), option, cfg); err != nil {
					return err
				}
			}
		}
	}
	for i, d := range spec.Linux.Devices {
		at := item("linux.devices", i)
		if d.UID != nil {
			if err := checkMapped(at+".uid", *d.UID, cfg.UIDMap, uidMappings); err != nil {
				return err
			}
		}
		if d.GID != nil {
			if err := checkMapped(at+".gid", *d.GID, cfg.GIDMap, gidMappings); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkOwnerOption(at, option string, cfg *config.Config) error {
	name, value, _ := strings.Cut(option, "=")
	m, by := cfg.UIDMap, uidMappings
	switch name {
	case "uid":
	case "gid":
		m, by = cfg.GIDMap, gidMappings
	default:
		return nil
	}
	if id, err := strconv.ParseUint(value, 10, 32); err == nil && !m.Has(uint32(id)) {
		return refuse(at, option, "not mapped by %s", by)
	}
	return nil // that it is a number, the file system says
}

// convertTimeOffsets resolves linux.timeOffsets, which a time namespace gets
// when it is made and never again (time_namespaces(7)).
func convertTimeOffsets(spec *specs.Spec, cfg *config.Config) error {
	const at = "linux.timeOffsets"
	given := spec.Linux.TimeOffsets
	if len(given) == 0 {
		return nil
	}
	if !cfg.Has(unix.CLONE_NEWTIME) {
		return fmt.Errorf("config.json: %s: needs a time namespace in linux.namespaces", at)
	}
	if path := cfg.PathOf(unix.CLONE_NEWTIME); path != "" {
		return fmt.Errorf("config.json: %s: the time namespace %s is joined and has its own", at, path)
	}
	for _, clock := range []string{"monotonic", "boottime"} {
		o, ok := given[clock]
		if !ok {
			continue
		}
		if o.Nanosecs >= 1e9 {
			return refuse(at+"."+clock+".nanosecs", o.Nanosecs, "not below a second")
		}
		cfg.TimeOffsets = append(cfg.TimeOffsets, config.TimeOffset{Clock: clock, Secs: o.Secs, Nanosec: o.Nanosecs})
	}
	for clock := range given {
		if !slices.ContainsFunc(cfg.TimeOffsets, func(o config.TimeOffset) bool { return o.Clock == clock }) {
			return refuse(at, clock, "not one of monotonic, boottime")
		}
	}
	return nil
}
