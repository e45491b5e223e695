package specconv

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// volume is a file or directory of the host in a container.
type volume struct {
	source      string // absolute
	destination string // absolute and clean, as seen in the container
	readonly    bool
}

// parseVolume reads HOST:CONTAINER[:ro|rw]. HOST is a path: docker's volumes
// with a name are nothing that a low-level runtime could keep.
func parseVolume(text string) (volume, error) {
	var none volume
	refuse := func(cause string) (volume, error) {
		return none, fmt.Errorf("--volume %s: %s", text, cause)
	}
	parts := strings.Split(text, ":")
	if len(parts) < 2 || len(parts) > 3 || parts[0] == "" || parts[1] == "" {
		return refuse("want HOST:CONTAINER, HOST:CONTAINER:ro or HOST:CONTAINER:rw")
	}
	v := volume{source: parts[0], destination: path.Clean(parts[1])}
	if len(parts) == 3 {
		switch parts[2] {
		case "ro":
			v.readonly = true
		case "rw":
		default:
			return refuse(fmt.Sprintf("option %q is neither ro nor rw", parts[2]))
		}
	}
	if !filepath.IsAbs(v.source) && !strings.HasPrefix(v.source, ".") {
		return refuse(fmt.Sprintf("%q would be a volume with a name, which mocker does not have; ./%[1]s is the directory", v.source))
	}
	if !path.IsAbs(v.destination) {
		return refuse(fmt.Sprintf("%q in the container is not an absolute path", parts[1]))
	}
	if v.destination == "/" {
		return refuse("the whole root of the container cannot be a volume")
	}
	source, err := filepath.Abs(v.source)
	if err != nil {
		return refuse(err.Error())
	}
	v.source = source
	return v, nil
}

func parseVolumes(texts []string) ([]volume, error) {
	var list []volume
	for _, text := range texts {
		v, err := parseVolume(text)
		if err != nil {
			return nil, err
		}
		for _, other := range list {
			if other.destination == v.destination {
				return nil, fmt.Errorf("--volume %s: %s is a volume already", text, v.destination)
			}
		}
		list = append(list, v)
	}
	return list, nil
}

func (v *volume) mount() specs.Mount {
	mode := "rw"
	if v.readonly {
		mode = "rro" // with the file systems that are mounted below it
	}
	return specs.Mount{
		Destination: v.destination,
		Type:        "bind",
		Source:      v.source,
		Options:     []string{"rbind", "rprivate", mode},
	}
}

// addMounts puts mounts behind those of a spec, outer ones first whatever the
// order they were given in. Of two with one destination the later counts, so
// that a volume can take the place of anything.
func addMounts(spec *specs.Spec, more []specs.Mount) {
	more = slices.Clone(more)
	slices.SortStableFunc(more, func(a, b specs.Mount) int {
		return cmp.Compare(strings.Count(a.Destination, "/"), strings.Count(b.Destination, "/"))
	})
	for _, m := range more {
		i := slices.IndexFunc(spec.Mounts, func(other specs.Mount) bool { return other.Destination == m.Destination })
		if i >= 0 {
			spec.Mounts[i] = m
		} else {
			spec.Mounts = append(spec.Mounts, m)
		}
	}
}

// makeDirs makes the directories of the host that are missing, as docker
// does. undo removes those again that it made and that are still empty.
func makeDirs(volumes []volume) (undo func(), err error) {
	var made []string
	undo = func() {
		for _, dir := range slices.Backward(made) {
			_ = os.Remove(dir)
		}
	}
	for i := range volumes {
		more, err := makeDirAll(volumes[i].source)
		made = append(made, more...)
		if err != nil {
			undo()
			return nil, fmt.Errorf("volume %s: %w", volumes[i].source, bare(err))
		}
	}
	return undo, nil
}

// makeDirAll makes a directory and those above it where nothing is, and gives
// those that it made, outer ones first.
func makeDirAll(dir string) (made []string, err error) {
	// A link to nothing is there for Mkdir, and is not for the mount.
	if _, err = os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if made, err = makeDirAll(filepath.Dir(dir)); err != nil {
		return made, err
	}
	if err = os.Mkdir(dir, 0o755); err == nil {
		made = append(made, dir)
	} else if st, statErr := os.Stat(dir); statErr == nil && st.IsDir() {
		err = nil // somebody else has made it
	}
	return made, err
}
