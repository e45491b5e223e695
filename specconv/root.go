package specconv

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

func convertRoot(spec *specs.Spec, cfg *config.Config) error {
	var bad problems
	if root := spec.Root; root == nil {
		bad.add(missing("root"))
	} else {
		path, err := resolveRoot(root.Path, cfg.Bundle)
		bad.add(err)
		cfg.Rootfs.Path, cfg.Rootfs.Readonly = path, root.Readonly
	}
	propagation, err := rootPropagation(spec.Linux.RootfsPropagation)
	bad.add(err)
	cfg.Rootfs.Propagation = propagation
	return bad.err()
}

// resolveRoot makes root.path absolute and follows its links, so that the path
// that is checked is the one that is mounted.
func resolveRoot(root, bundle string) (string, error) {
	const path = "root.path"
	if root == "" {
		return "", missing(path)
	}
	if err := checkNUL(path, root); err != nil {
		return "", err
	}
	if !filepath.IsAbs(root) {
		root = filepath.Join(bundle, root)
	}
	// Before EvalSymlinks: the kernel's words for a loop are the better ones.
	st, err := os.Stat(root)
	if err != nil {
		return "", refuse(path, root, "%w", bare(err))
	}
	if !st.IsDir() {
		return "", refuse(path, root, "not a directory")
	}
	resolved, err := filepath.EvalSymlinks(root)
	if err != nil {
		return "", refuse(path, root, "%w", bare(err))
	}
	if resolved == "/" {
		return "", refuse(path, root, "the host's own root directory")
	}
	return resolved, nil
}

func rootPropagation(name string) (uintptr, error) {
	if name == "" {
		return 0, nil
	}
	flags, ok := propagation(name)
	if !ok {
		return 0, refuse("linux.rootfsPropagation", name, "not one of private, slave, shared, unbindable, with or without a leading r")
	}
	return flags, nil
}

// propagationNames are the propagation types of mount_namespaces(7). With a
// leading r they are for all mounts below as well.
var propagationNames = [...]string{
	"private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable", "runbindable",
}

// propagation is the MS_* flags of a propagation type.
func propagation(name string) (flags uintptr, ok bool) {
	switch strings.TrimPrefix(name, "r") {
	case "private":
		flags = unix.MS_PRIVATE
	case "slave":
		flags = unix.MS_SLAVE
	case "shared":
		flags = unix.MS_SHARED
	case "unbindable":
		flags = unix.MS_UNBINDABLE
	default:
		return 0, false
	}
	if name[0] == 'r' {
		flags |= unix.MS_REC
	}
	return flags, true
}
