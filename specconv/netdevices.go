package specconv

import (
	"fmt"
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
		return fmt.Errorf("config.json: %s: needs a network namespace other than the host's in linux.namespaces", at)
	}
	taken := make(map[string]string, len(given))
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if err := checkLinkName(at, name, name); err != nil {
			return err
		}
		inner := given[name].Name
		if inner == "" {
			inner = name
		}
		path := at + "." + name + ".name"
		if err := checkLinkName(path, inner, strings.Replace(inner, "%d", "0", 1)); err != nil {
			return err
		}
		other, twice := taken[inner]
		switch {
		case inner == "lo":
			return refuse(path, inner, "a network namespace has its own")
		case twice && !strings.Contains(inner, "%d"):
			return refuse(path, inner, "the name of %s already", other)
		}
		taken[inner] = name
		cfg.NetDevices = append(cfg.NetDevices, config.NetDevice{Name: name, Inner: inner})
	}
	return nil
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
