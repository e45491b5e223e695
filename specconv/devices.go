package specconv

import (
	"path/filepath"

	devices "github.com/opencontainers/cgroups/devices/config"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

// defaultDevices are the nodes that every container has (config-linux.md,
// "Default Devices"). /dev/console and /dev/ptmx are not among them: the one
// is a mount of the container's terminal, the other a link into its devpts.
var defaultDevices = [...]struct {
	path         string
	major, minor uint32
}{
	{"/dev/null", 1, 3},
	{"/dev/zero", 1, 5},
	{"/dev/full", 1, 7},
	{"/dev/random", 1, 8},
	{"/dev/urandom", 1, 9},
	{"/dev/tty", 5, 0},
}

// convertDevices lists the nodes to make: the defaults, then linux.devices.
// A later entry for the same path takes the place of an earlier one.
func convertDevices(spec *specs.Spec, cfg *config.Config) error {
	places := make(map[string]int, len(defaultDevices)+len(spec.Linux.Devices)) // indexes by path
	for i, d := range defaultDevices {
		cfg.Devices = append(cfg.Devices, config.Device{
			Path: d.path, Mode: unix.S_IFCHR | 0o666, Major: d.major, Minor: d.minor,
		})
		places[d.path] = i
	}
	var bad problems
	for i := range spec.Linux.Devices {
		d, err := convertDevice(item("linux.devices", i), &spec.Linux.Devices[i])
		bad.add(err)
		// As in runc: the node would stand in the way of the link into devpts.
		if d.Path == "/dev/ptmx" {
			continue
		}
		if at, ok := places[d.Path]; ok {
			cfg.Devices[at] = d
			continue
		}
		places[d.Path] = len(cfg.Devices)
		cfg.Devices = append(cfg.Devices, d)
	}
	return bad.err()
}

func convertDevice(at string, given *specs.LinuxDevice) (config.Device, error) {
	var bad problems
	p, err := insidePath(at+".path", given.Path)
	if given.Path == "" {
		err = missing(at + ".path")
	}
	bad.add(err)
	d := config.Device{Path: p, Mode: 0o666}
	if mode := given.FileMode; mode != nil {
		// Engines copy the whole st_mode here; the type of the node is type's.
		d.Mode = uint32(*mode &^ unix.S_IFMT)
		if *mode&^(unix.S_IFMT|0o7777) != 0 {
			bad.add(refuse(at+".fileMode", uint32(*mode), "not permission bits"))
		}
	}
	switch given.Type {
	case "c", "u":
		d.Mode |= unix.S_IFCHR
	case "b":
		d.Mode |= unix.S_IFBLK
	case "p":
		d.Mode |= unix.S_IFIFO
	case "":
		bad.add(missing(at + ".type"))
	default:
		bad.add(refuse(at+".type", given.Type, "not one of c, u, b, p"))
	}
	if given.Type != "p" {
		bad.add(checkMajor(at, given.Major))
		bad.add(checkMinor(at, given.Minor))
		d.Major, d.Minor = uint32(given.Major), uint32(given.Minor)
	}
	d.UID, err = ownerID(at+".uid", given.UID)
	bad.add(err)
	d.GID, err = ownerID(at+".gid", given.GID)
	bad.add(err)
	return d, bad.err()
}

// A device number has 12 bits and 20 (MKDEV in the kernel). More would be cut
// off and mean another device, or in a rule of the device cgroup no device at
// all; the last of 32 bits would mean every one.
const (
	lastMajor = 1<<12 - 1
	lastMinor = 1<<20 - 1
)

func checkMajor(at string, n int64) error { return checkNumber(at+".major", n, lastMajor) }
func checkMinor(at string, n int64) error { return checkNumber(at+".minor", n, lastMinor) }

func checkNumber(at string, n, last int64) error {
	if n < 0 || n > last {
		return refuse(at, n, "not between 0 and %d", last)
	}
	return nil
}

// ownerID is a user or group id, 0 where none is given.
func ownerID(at string, id *uint32) (uint32, error) {
	if id == nil {
		return 0, nil
	}
	return *id, checkID(at, *id)
}

// checkID refuses the one number that is no id: (uid_t)-1 tells the kernel to
// leave an id as it is, so the process would keep mocker's.
func checkID(at string, id uint32) error {
	if id == ^uint32(0) {
		return refuse(at, id, "not a valid id")
	}
	return nil
}

// deviceRules is linux.resources.devices in order.
func deviceRules(from *specs.LinuxResources) ([]*devices.Rule, error) {
	if from == nil {
		return nil, nil
	}
	var rules []*devices.Rule
	var bad problems
	for i := range from.Devices {
		rule, err := deviceRule(item("linux.resources.devices", i), &from.Devices[i])
		bad.add(err)
		rules = append(rules, rule)
	}
	return rules, bad.err()
}

// allowedDevices is what runc allows every container after the rules that are
// given: mknod of anything, the default devices, terminals and tun. Engines
// count on it. A default device that linux.devices replaces is left to the
// rules that are given.
func allowedDevices(spec *specs.Spec) []*devices.Rule {
	var rules []*devices.Rule
	allow := func(typ devices.Type, major, minor int64, access devices.Permissions) {
		rules = append(rules, &devices.Rule{Type: typ, Major: major, Minor: minor, Permissions: access, Allow: true})
	}
	allow(devices.CharDevice, devices.Wildcard, devices.Wildcard, "m")
	allow(devices.BlockDevice, devices.Wildcard, devices.Wildcard, "m")
	for _, d := range defaultDevices {
		if !names(spec.Linux.Devices, d.path) {
			allow(devices.CharDevice, int64(d.major), int64(d.minor), "rwm")
		}
	}
	allow(devices.CharDevice, 136, devices.Wildcard, "rwm") // /dev/pts/*
	allow(devices.CharDevice, 5, 2, "rwm")                  // /dev/ptmx
	allow(devices.CharDevice, 10, 200, "rwm")               // /dev/net/tun
	return rules
}

func names(list []specs.LinuxDevice, path string) bool {
	for i := range list {
		if filepath.Clean(list[i].Path) == path {
			return true
		}
	}
	return false
}

func deviceRule(at string, given *specs.LinuxDeviceCgroup) (*devices.Rule, error) {
	var bad problems
	rule := &devices.Rule{
		Type: devices.WildcardDevice, Major: devices.Wildcard, Minor: devices.Wildcard, Allow: given.Allow,
	}
	switch given.Type {
	case "", "a":
	case "b":
		rule.Type = devices.BlockDevice
	case "c":
		rule.Type = devices.CharDevice
	default:
		bad.add(refuse(at+".type", given.Type, "not one of a, b, c"))
	}
	for _, n := range []struct {
		name  string
		check func(string, int64) error
		given *int64
		to    *int64
	}{{".major", checkMajor, given.Major, &rule.Major}, {".minor", checkMinor, given.Minor, &rule.Minor}} {
		if n.given == nil || *n.given == devices.Wildcard {
			continue
		}
		bad.add(n.check(at, *n.given))
		// The device cgroup takes "a" for everything, whatever follows it.
		if rule.Type == devices.WildcardDevice {
			bad.add(refuse(at+n.name, *n.given, `type "a" means every device: give "b" or "c"`))
		}
		*n.to = *n.given
	}
	access, err := deviceAccess(at+".access", given.Access)
	bad.add(err)
	if err == nil && rule.Type == devices.WildcardDevice && access != "rwm" {
		bad.add(refuse(at+".access", given.Access, `type "a" means every access: give "b" or "c"`))
	}
	rule.Permissions = access
	return rule, bad.err()
}

// deviceAccess brings a set of the letters r, w and m into this order.
func deviceAccess(at, given string) (devices.Permissions, error) {
	if given == "" {
		return "", missing(at)
	}
	for _, r := range given {
		if r != 'r' && r != 'w' && r != 'm' {
			return "", refuse(at, given, "not a combination of r, w and m")
		}
	}
	return devices.Permissions(given).Union(""), nil
}
