package specconv

import (
	"fmt"
	"maps"
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
	var bad problems
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
			bad.add(lacks(m.at, "needs a user namespace in linux.namespaces"))
		case len(m.given) == 0 && cfg.NewFlags()&unix.CLONE_NEWUSER != 0:
			bad.add(lacks(m.at, "missing, and linux.namespaces has a new user namespace"))
		}
		var err error
		*m.to, err = convertIDMap(m.at, m.given)
		bad.add(err)
		if cfg.PathOf(unix.CLONE_NEWUSER) != "" && slices.Equal(*m.to, config.IDMap{{Size: 1}}) {
			*m.to = nil // podman writes that beside whatever it joins
		}
	}
	return bad.err()
}

// maxRanges is how many lines a map can have (user_namespaces(7)).
const maxRanges = 340

func convertIDMap(at string, given []specs.LinuxIDMapping) (config.IDMap, error) {
	if len(given) > maxRanges {
		return nil, refuse(at, len(given), "more than %d ranges", maxRanges)
	}
	var m config.IDMap
	var bad problems
	for i, g := range given {
		r := config.IDRange{ContainerID: g.ContainerID, HostID: g.HostID, Size: g.Size}
		if r.Size == 0 {
			bad.add(refuse(item(at, i)+".size", 0, "no ids"))
		}
		// -1 is no id, so a range cannot hold it either.
		for _, id := range []struct {
			name  string
			first uint32
		}{{".containerID", r.ContainerID}, {".hostID", r.HostID}} {
			if uint64(id.first)+uint64(r.Size) > math.MaxUint32 {
				bad.add(refuse(item(at, i)+id.name, id.first, "a range of %d from there ends beyond the last id", r.Size))
			}
		}
		for k, other := range m {
			if overlap(r.ContainerID, other.ContainerID, r.Size, other.Size) || overlap(r.HostID, other.HostID, r.Size, other.Size) {
				bad.add(refuse(item(at, i), fmt.Sprintf("%d %d %d", r.ContainerID, r.HostID, r.Size), "overlaps %s", item(at, k)))
			}
		}
		m = append(m, r)
	}
	if err := bad.err(); err != nil {
		return nil, err
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
	var bad problems
	bad.add(checkMapped("process.user.uid", p.UID, cfg.UIDMap, uidMappings))
	bad.add(checkMapped("process.user.gid", p.GID, cfg.GIDMap, gidMappings))
	for i, gid := range p.Groups {
		bad.add(checkMapped(item("process.user.additionalGids", i), gid, cfg.GIDMap, gidMappings))
	}
	return bad.err()
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
	var bad problems
	for i := range spec.Mounts {
		m := &spec.Mounts[i]
		if isBind(m.Type, m.Options) {
			continue
		}
		for j, text := range m.Options {
			for _, option := range splitOptions(text) {
				bad.add(checkOwnerOption(item(item("mounts", i)+".options", j), option, cfg))
			}
		}
	}
	for i, d := range spec.Linux.Devices {
		if d.Type != "p" {
			continue // the host's node is mounted, whose owner it keeps, and podman names him
		}
		at := item("linux.devices", i)
		if d.UID != nil {
			bad.add(checkMapped(at+".uid", *d.UID, cfg.UIDMap, uidMappings))
		}
		if d.GID != nil {
			bad.add(checkMapped(at+".gid", *d.GID, cfg.GIDMap, gidMappings))
		}
	}
	return bad.err()
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
		return lacks(at, "needs a time namespace in linux.namespaces")
	}
	if path := cfg.PathOf(unix.CLONE_NEWTIME); path != "" {
		return lacks(at, "the time namespace %s is joined and has its own", path)
	}
	var bad problems
	for _, clock := range []string{"monotonic", "boottime"} {
		o, ok := given[clock]
		if !ok {
			continue
		}
		if o.Nanosecs >= 1e9 {
			bad.add(refuse(at+"."+clock+".nanosecs", o.Nanosecs, "not below a second"))
		}
		cfg.TimeOffsets = append(cfg.TimeOffsets, config.TimeOffset{Clock: clock, Secs: o.Secs, Nanosec: o.Nanosecs})
	}
	for _, clock := range slices.Sorted(maps.Keys(given)) {
		if !slices.ContainsFunc(cfg.TimeOffsets, func(o config.TimeOffset) bool { return o.Clock == clock }) {
			bad.add(refuse(at, clock, "not one of monotonic, boottime"))
		}
	}
	return bad.err()
}
