package specconv

import (
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

func convertNetDevices(spec *specs.Spec, cfg *config.Config) error {
	const at = "linux.netDevices"
	given := spec.Linux.NetDevices
	if len(given) == 0 {
		return nil
	}
	if !isolates(cfg, unix.CLONE_NEWNET) {
		return lacks(at, "needs a network namespace other than the host's in linux.namespaces")
	}
	var bad problems
	taken := make(map[string]string, len(given))
	for _, name := range slices.Sorted(maps.Keys(given)) {
		bad.add(checkLinkName(at, name, name))
		inner := given[name].Name
		if inner == "" {
			inner = name
		}
		path := at + "." + name + ".name"
		if inner != name {
			bad.add(checkLinkName(path, inner, strings.Replace(inner, "%d", "0", 1)))
		}
		other, twice := taken[inner]
		switch {
		case inner == "lo":
			bad.add(refuse(path, inner, "a network namespace has its own"))
		case twice && !strings.Contains(inner, "%d"):
			bad.add(refuse(path, inner, "the name of %s already", other))
		}
		taken[inner] = name
		cfg.NetDevices = append(cfg.NetDevices, config.NetDevice{Name: name, Inner: inner})
	}
	return bad.err()
}

// checkLinkName is the kernel's dev_valid_name, for a name without "%", which
// stands in config.json as given.
func checkLinkName(at, given, name string) error {
	const limit = unix.IFNAMSIZ - 1
	switch {
	case name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/:% \t\n\v\f\r\x00"):
		return refuse(at, given, "not the name of a network device")
	case len(name) > limit:
		return refuse(at, given, "longer than %d bytes", limit)
	}
	return nil
}
