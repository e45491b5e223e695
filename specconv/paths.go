package specconv

import (
	"path"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

func convertPaths(spec *specs.Spec, cfg *config.Config) (err error) {
	var bad problems
	cfg.Masked, err = insidePaths("linux.maskedPaths", spec.Linux.MaskedPaths)
	bad.add(err)
	cfg.ReadonlySub, err = insidePaths("linux.readonlyPaths", spec.Linux.ReadonlyPaths)
	bad.add(err)
	return bad.err()
}

// insidePaths cleans a list of paths in the container. The root itself is
// refused: a mask there hides nothing from a process that already stands in
// it, and for reading only there is root.readonly.
func insidePaths(list string, given []string) ([]string, error) {
	var clean []string
	var bad problems
	for i, p := range given {
		c, err := insidePath(item(list, i), p)
		bad.add(err)
		clean = append(clean, c)
	}
	return clean, bad.err()
}

// insidePath cleans one absolute path in the container, other than its root.
func insidePath(at, p string) (string, error) {
	if p == "" {
		return "", refuse(at, p, "must not be empty")
	}
	if err := checkNUL(at, p); err != nil {
		return "", err
	}
	if !path.IsAbs(p) {
		return "", refuse(at, p, "not an absolute path")
	}
	clean := path.Clean(p)
	if clean == "/" {
		return "", refuse(at, p, "the container's root directory")
	}
	return clean, nil
}

// cgroupPath cleans linux.cgroupsPath. An absolute path stays absolute; ".."
// can leave neither the hierarchy nor, in a relative path, mocker's own
// cgroup. The top of either is refused: its limits are not the container's.
func cgroupPath(p string) (string, error) {
	const at = "linux.cgroupsPath"
	if p == "" {
		return "", nil
	}
	for _, r := range p {
		if r < ' ' || r == 0x7f {
			return "", refuse(at, p, "contains a control character")
		}
	}
	clean := path.Clean("/" + p)
	if clean == "/" {
		return "", refuse(at, p, "no cgroup of its own")
	}
	if !path.IsAbs(p) {
		clean = clean[1:]
	}
	return clean, nil
}

// delegated cleans the annotation by which, as with crun, the container's
// processes live in a cgroup below the one that has its limits.
func delegated(annotations map[string]string) (string, error) {
	const name = "run.oci.delegate-cgroup"
	p, ok := annotations[name]
	if !ok {
		return "", nil
	}
	at := "annotations." + name
	if err := checkWord(at, p); err != nil {
		return "", err
	}
	// No ".." leads out of the container's cgroup.
	clean := path.Clean("/" + p)
	if clean == "/" {
		return "", refuse(at, p, "not the name of a cgroup below the container's")
	}
	return clean[1:], nil
}
