// Package specconv turns a bundle's config.json into the resolved
// config.Config that libcontainer carries out, and makes the example bundles
// that `mocker spec` writes.
//
// Load reads, Convert checks and resolves. Every property of runtime-spec 1.3
// is converted or refused with its JSON path and value, never passed over in
// silence; sections for other platforms are ignored, as the specification
// says. The only looks at the machine are stats of the bundle, of root.path
// and of namespaces that are joined by path; nothing here needs root or
// changes anything, but for Write, Busybox and Box, which write a bundle.
package specconv

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

// Convert checks a spec and resolves it: relative paths against the bundle,
// names to the kernel's numbers, defaults filled in. Every error about the
// spec reads "config.json: <JSON path>: <value>: <cause>". What the
// specification wants logged rather than refused stands in the result's
// Warnings.
//
// Several things may be wrong: the error then holds them all, and reads like
// the first.
func Convert(spec *specs.Spec, bundle string) (*config.Config, error) {
	if spec == nil {
		return nil, errors.New("config.json: empty")
	}
	if spec.Linux == nil {
		with := *spec
		with.Linux = &specs.Linux{}
		spec = &with
	}
	dir, err := resolveBundle(bundle)
	if err != nil {
		return nil, err
	}
	cfg := &config.Config{
		Version:     spec.Version,
		Bundle:      dir,
		Annotations: maps.Clone(spec.Annotations),
	}
	// Namespaces come before everything that depends on them.
	parts := []func(*specs.Spec, *config.Config) error{
		checkVersion,
		convertNamespaces,
		convertIDMaps,
		convertTimeOffsets,
		convertRoot,
		convertNames,
		convertMounts,
		convertDevices,
		convertPaths,
		convertMountLabel,
		convertSysctls,
		convertNetDevices,
		convertPersonality,
		convertMemoryPolicy,
		convertIntelRdt,
		convertCgroup,
		convertProcess,
		convertSeccomp,
		checkOwners,
		checkIDs,
		convertHooks,
		checkAnnotations,
		convertLandlock,
	}
	var bad problems
	for _, convert := range parts {
		bad.add(convert(spec, cfg))
	}
	if err := bad.err(); err != nil {
		return nil, err
	}
	return cfg, nil
}

func resolveBundle(bundle string) (string, error) {
	dir, err := filepath.Abs(bundle)
	if err != nil {
		return "", fmt.Errorf("resolve bundle %s: %w", bundle, err)
	}
	st, err := os.Stat(dir)
	if err != nil {
		return "", fmt.Errorf("resolve bundle %s: %w", bundle, bare(err))
	}
	if !st.IsDir() {
		return "", fmt.Errorf("resolve bundle %s: not a directory", bundle)
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", fmt.Errorf("resolve bundle %s: %w", bundle, bare(err))
	}
	return dir, nil
}

func checkAnnotations(spec *specs.Spec, _ *config.Config) error {
	var bad problems
	if _, ok := spec.Annotations[""]; ok {
		bad.add(refuse("annotations", "", "a key must not be empty"))
	}
	// Paths that mocker opens, now or by a command that runs elsewhere.
	for _, key := range []string{"run.oci.hooks.stdout", "run.oci.hooks.stderr", "run.oci.pidfd_receiver"} {
		path, given := spec.Annotations[key]
		if given && (!filepath.IsAbs(path) || checkNUL("", path) != nil) {
			bad.add(refuse("annotations."+key, path, "not an absolute path"))
		}
	}
	return bad.err()
}

// bare takes the operation and the path off an error of package os, for
// messages that name the path themselves.
func bare(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
