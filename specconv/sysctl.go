package specconv

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

// convertSysctls admits the kernel parameters that belong to a namespace of
// the container, and no other: /proc/sys is mostly the host's.
func convertSysctls(spec *specs.Spec, cfg *config.Config) error {
	seen := make(map[string]string)
	var bad problems
	for _, key := range slices.Sorted(maps.Keys(spec.Linux.Sysctl)) {
		value := spec.Linux.Sysctl[key]
		at := "linux.sysctl." + key
		file := sysctlPath(key)
		if path.Clean("/"+file) != "/"+file || file == "" || strings.IndexByte(file, 0) >= 0 {
			bad.add(refuse("linux.sysctl", key, "not the name of a sysctl"))
			continue
		}
		if other, ok := seen[file]; ok {
			bad.add(refuse("linux.sysctl", key, "the same sysctl as %q", other))
		}
		seen[file] = key
		bad.add(checkNUL(at, value))
		if err := checkSysctl(file, cfg); err != nil {
			bad.add(refuse("linux.sysctl", key, "%w", err))
		}
		if file == "kernel/domainname" && cfg.Domainname != "" && value != cfg.Domainname {
			bad.add(refuse(at, value, "contradicts domainname %q", cfg.Domainname))
		}
		cfg.Sysctls = append(cfg.Sysctls, config.Sysctl{Key: key, Path: file, Value: value})
	}
	return bad.err()
}

// sysctlPath is the file of a key below /proc/sys. Whichever of "." and "/"
// comes first is the separator; the other one stands for a dot in a name, as
// in net.ipv4.conf.eno2/100.rp_filter (sysctl(8), sysctl.d(5)).
func sysctlPath(key string) string {
	i := strings.IndexAny(key, "./")
	if i < 0 || key[i] == '/' {
		return key
	}
	return strings.Map(func(r rune) rune {
		switch r {
		case '.':
			return '/'
		case '/':
			return '.'
		}
		return r
	}, key)
}

// checkSysctl says why the parameter may not be set for this container.
func checkSysctl(file string, cfg *config.Config) error {
	var flag uintptr
	var name string
	switch file {
	case "kernel/msgmax", "kernel/msgmnb", "kernel/msgmni", "kernel/sem",
		"kernel/shmall", "kernel/shmmax", "kernel/shmmni", "kernel/shm_rmid_forced":
		flag, name = unix.CLONE_NEWIPC, "ipc"
	case "kernel/domainname":
		flag, name = unix.CLONE_NEWUTS, "uts"
	case "kernel/hostname":
		return errHostnameSysctl
	default:
		switch {
		case strings.HasPrefix(file, "fs/mqueue/"):
			flag, name = unix.CLONE_NEWIPC, "ipc"
		case strings.HasPrefix(file, "net/"):
			flag, name = unix.CLONE_NEWNET, "network"
		default:
			return errGlobalSysctl
		}
	}
	if !isolates(cfg, flag) {
		return hostNamespaceError(name)
	}
	return nil
}

// hostNamespaceError is the type of the namespace that is the host's.
type hostNamespaceError string

func (e hostNamespaceError) Error() string {
	return "not allowed in the host's " + string(e) + " namespace"
}

type sysctlError string

func (e sysctlError) Error() string { return string(e) }

const (
	errHostnameSysctl sysctlError = "set hostname instead"
	errGlobalSysctl   sysctlError = "not in a separate kernel namespace"
)
