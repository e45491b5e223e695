package specconv

import (
	"os"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

func convertRoot(spec *specs.Spec, cfg *config.Config) error {
	if spec.Root == nil {
		return missing("root")
	}
	root, err := resolveRoot(spec.Root.Path, cfg.Bundle)
	if err != nil {
		return err
	}
	propagation, err := rootPropagation(spec.Linux.RootfsPropagation)
	if err != nil {
		return err
	}
	cfg.Rootfs = config.Rootfs{Path: root, Readonly: spec.Root.Readonly, Propagation: propagation}
	return nil
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

// propagation is the MS_* flags of a propagation type, with MS_REC for those
// with a leading r (mount_namespaces(7)).
func propagation(name string) (uintptr, bool) {
	switch name {
	case "private":
		return unix.MS_PRIVATE, true
	case "rprivate":
		return unix.MS_PRIVATE | unix.MS_REC, true
	case "slave":
		return unix.MS_SLAVE, true
	case "rslave":
		return unix.MS_SLAVE | unix.MS_REC, true
	case "shared":
		return unix.MS_SHARED, true
	case "rshared":
		return unix.MS_SHARED | unix.MS_REC, true
	case "unbindable":
		return unix.MS_UNBINDABLE, true
	case "runbindable":
		return unix.MS_UNBINDABLE | unix.MS_REC, true
	}
	return 0, false
}
