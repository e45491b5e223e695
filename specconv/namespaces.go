package specconv

import (
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

// namespaceKind is what is known about one type of linux.namespaces.
type namespaceKind struct {
	name specs.LinuxNamespaceType
	flag uintptr
	file string // of /proc/PID/ns, to tell whether a path leads back to one that must not be used
}

// namespaceKinds stands in the order in which namespaces are listed in a
// config.Config: a user namespace first, since it owns the others; the mount
// namespace last.
var namespaceKinds = [...]namespaceKind{
	{specs.UserNamespace, unix.CLONE_NEWUSER, "user"},
	{specs.IPCNamespace, unix.CLONE_NEWIPC, "ipc"},
	{specs.UTSNamespace, unix.CLONE_NEWUTS, "uts"},
	{specs.NetworkNamespace, unix.CLONE_NEWNET, "net"},
	{specs.PIDNamespace, unix.CLONE_NEWPID, "pid"},
	{specs.CgroupNamespace, unix.CLONE_NEWCGROUP, "cgroup"},
	{specs.TimeNamespace, unix.CLONE_NEWTIME, "time"},
	{specs.MountNamespace, unix.CLONE_NEWNS, "mnt"},
}

func convertNamespaces(spec *specs.Spec, cfg *config.Config) error {
	const list = "linux.namespaces"
	given := spec.Linux.Namespaces
	var bad problems
	var found [len(namespaceKinds)]*specs.LinuxNamespace
	for i := range given {
		k, err := checkNamespace(item(list, i), &given[i])
		bad.add(err)
		switch {
		case k < 0:
		case found[k] != nil:
			bad.add(refuse(item(list, i)+".type", string(given[i].Type), "given twice"))
		default:
			found[k] = &given[i]
		}
	}
	for k, ns := range found {
		if ns != nil {
			kind := namespaceKinds[k]
			cfg.Namespaces = append(cfg.Namespaces, config.Namespace{Flag: kind.flag, Type: string(kind.name), Path: ns.Path})
		}
	}
	if cfg.Has(unix.CLONE_NEWUSER) && !cfg.Has(unix.CLONE_NEWNS) {
		bad.add(lacks(list, "a user namespace needs a mount namespace beside it: in the host's it may not mount anything"))
	}
	bad.add(checkJoined(list, given))
	return bad.err()
}

// checkJoined refuses to join the mount namespace of mocker or of the
// machine's init: the container's root becomes that of the whole namespace,
// and of every process in it that has its root. The user namespace that
// mocker is in cannot be joined at all (setns(2)).
func checkJoined(list string, given []specs.LinuxNamespace) error {
	var bad problems
	for i, ns := range given {
		at := item(list, i) + ".path"
		switch {
		case ns.Path == "":
		case ns.Type == specs.MountNamespace && (sameFile(ns.Path, "/proc/self/ns/mnt") || sameFile(ns.Path, "/proc/1/ns/mnt")):
			bad.add(refuse(at, ns.Path, "the host's mount namespace, whose root would become the container's"))
		case ns.Type == specs.UserNamespace && sameFile(ns.Path, "/proc/self/ns/user"):
			bad.add(refuse(at, ns.Path, "mocker's own user namespace, which a container has without an entry"))
		}
	}
	return bad.err()
}

// checkNamespace returns the index of the entry's type in namespaceKinds, -1
// if it has none.
func checkNamespace(path string, ns *specs.LinuxNamespace) (int, error) {
	for k, kind := range namespaceKinds {
		if kind.name != ns.Type {
			continue
		}
		if ns.Path != "" && !filepath.IsAbs(ns.Path) {
			return k, refuse(path+".path", ns.Path, "not an absolute path")
		}
		return k, checkNUL(path+".path", ns.Path)
	}
	return -1, refuse(path+".type", string(ns.Type), "not a namespace type")
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
		if kind.flag == flag {
			return sameFile(path, "/proc/self/ns/"+kind.file)
		}
	}
	return false
}

func sameFile(a, b string) bool {
	var one, other unix.Stat_t
	return unix.Stat(a, &one) == nil && unix.Stat(b, &other) == nil && one.Dev == other.Dev && one.Ino == other.Ino
}

// convertNames resolves hostname and domainname. Both need a UTS namespace of
// the container's own, or the host would be renamed.
func convertNames(spec *specs.Spec, cfg *config.Config) error {
	var bad problems
	for _, name := range []struct{ path, value string }{
		{"hostname", spec.Hostname},
		{"domainname", spec.Domainname},
	} {
		if name.value == "" {
			continue
		}
		bad.add(checkNUL(name.path, name.value))
		const limit = 64 // __NEW_UTS_LEN, sethostname(2)
		if len(name.value) > limit {
			bad.add(refuse(name.path, name.value, "longer than %d bytes", limit))
		}
		if !isolates(cfg, unix.CLONE_NEWUTS) {
			bad.add(refuse(name.path, name.value, "needs a uts namespace other than the host's in linux.namespaces"))
		}
	}
	cfg.Hostname, cfg.Domainname = spec.Hostname, spec.Domainname
	return bad.err()
}
