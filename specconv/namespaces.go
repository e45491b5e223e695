package specconv

import (
	"fmt"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

// namespaceKind is what is known about one type of linux.namespaces.
type namespaceKind struct {
	name    specs.LinuxNamespaceType
	flag    uintptr
	create  bool   // a new one is supported
	join    bool   // joining by path is supported
	current string // mocker's own, to tell whether a path leads back to it
}

// namespaceKinds stands in the order in which namespaces are entered: a user
// namespace first, since it owns the others; the mount namespace last, since
// the paths of the others are looked up outside.
var namespaceKinds = [...]namespaceKind{
	{name: specs.UserNamespace, flag: unix.CLONE_NEWUSER},
	{name: specs.IPCNamespace, flag: unix.CLONE_NEWIPC, create: true, join: true, current: "/proc/self/ns/ipc"},
	{name: specs.UTSNamespace, flag: unix.CLONE_NEWUTS, create: true, join: true, current: "/proc/self/ns/uts"},
	{name: specs.NetworkNamespace, flag: unix.CLONE_NEWNET, create: true, join: true, current: "/proc/self/ns/net"},
	{name: specs.PIDNamespace, flag: unix.CLONE_NEWPID, create: true},
	{name: specs.CgroupNamespace, flag: unix.CLONE_NEWCGROUP, create: true, join: true},
	{name: specs.TimeNamespace, flag: unix.CLONE_NEWTIME},
	{name: specs.MountNamespace, flag: unix.CLONE_NEWNS, create: true},
}

func convertNamespaces(spec *specs.Spec, cfg *config.Config) error {
	const list = "linux.namespaces"
	var given []specs.LinuxNamespace
	if spec.Linux != nil {
		given = spec.Linux.Namespaces
	}
	var found [len(namespaceKinds)]*specs.LinuxNamespace
	for i := range given {
		k, err := checkNamespace(item(list, i), &given[i])
		if err != nil {
			return err
		}
		if found[k] != nil {
			return refuse(item(list, i)+".type", string(given[i].Type), "given twice")
		}
		found[k] = &given[i]
	}
	for k, ns := range found {
		if ns != nil {
			kind := namespaceKinds[k]
			cfg.Namespaces = append(cfg.Namespaces, config.Namespace{Flag: kind.flag, Type: string(kind.name), Path: ns.Path})
		}
	}
	// Without one of its own, pivot_root would change the root of the host.
	if !cfg.Has(unix.CLONE_NEWNS) {
		return fmt.Errorf("config.json: %s: a mount namespace is required", list)
	}
	return nil
}

// checkNamespace returns the index of the entry's type in namespaceKinds.
func checkNamespace(path string, ns *specs.LinuxNamespace) (int, error) {
	for k, kind := range namespaceKinds {
		if kind.name != ns.Type {
			continue
		}
		switch {
		case ns.Path == "" && !kind.create:
			return 0, refuse(path+".type", string(ns.Type), "not supported yet")
		case ns.Path == "":
			return k, nil
		case !filepath.IsAbs(ns.Path):
			return 0, refuse(path+".path", ns.Path, "not an absolute path")
		case !kind.join:
			return 0, refuse(path+".path", ns.Path, "joining a %s namespace is not supported yet", ns.Type)
		}
		return k, checkNUL(path+".path", ns.Path)
	}
	return 0, refuse(path+".type", string(ns.Type), "not a namespace type")
}

// isolates reports whether the container has a namespace of this type that is
// not mocker's own: what is set in it stays away from the host. A path that
// cannot be looked at counts as isolated: joining it reports the reason.
func isolates(cfg *config.Config, flag uintptr) bool {
	for _, ns := range cfg.Namespaces {
		if ns.Flag == flag {
			return ns.Path == "" || !isCurrent(flag, ns.Path)
		}
	}
	return false
}

func isCurrent(flag uintptr, path string) bool {
	for _, kind := range namespaceKinds {
		if kind.flag != flag || kind.current == "" {
			continue
		}
		var own, other unix.Stat_t
		return unix.Stat(kind.current, &own) == nil && unix.Stat(path, &other) == nil &&
			own.Dev == other.Dev && own.Ino == other.Ino
	}
	return false
}

// convertNames resolves hostname and domainname. Both need a UTS namespace of
// the container's own, or the host would be renamed.
func convertNames(spec *specs.Spec, cfg *config.Config) error {
	for _, name := range []struct{ path, value string }{
		{"hostname", spec.Hostname},
		{"domainname", spec.Domainname},
	} {
		if name.value == "" {
			continue
		}
		if err := checkNUL(name.path, name.value); err != nil {
			return err
		}
		const limit = 64 // __NEW_UTS_LEN, sethostname(2)
		if len(name.value) > limit {
			return refuse(name.path, name.value, "longer than %d bytes", limit)
		}
		if !isolates(cfg, unix.CLONE_NEWUTS) {
			return refuse(name.path, name.value, "needs a uts namespace other than the host's in linux.namespaces")
		}
	}
	cfg.Hostname, cfg.Domainname = spec.Hostname, spec.Domainname
	return nil
}
