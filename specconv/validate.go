package specconv

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

// Validate checks a bundle as create does, and all of it: every violation is
// a line "config.json: <JSON path>: <value>: <rule> (<section>)". Beyond what
// makes create refuse it looks for numbers that have to be given, which create
// takes for 0, and for files of the host that create only finds missing when
// it needs them. It needs no rights and changes nothing. warnings are about
// what is read in another way than it may be meant.
//
// The error is about a bundle that cannot be read.
func Validate(bundle string) (violations, warnings []string, err error) {
	data, err := readBundle(bundle)
	if err != nil {
		return nil, nil, err
	}
	bad, warnings := validate(data, bundle)
	for _, err := range bad {
		violations = append(violations, violation(err))
	}
	return violations, warnings, nil
}

// violation is the line about one error.
func violation(err error) string {
	text := err.Error()
	if b := (*BadValue)(nil); errors.As(err, &b) {
		if section := sectionOf(b.Path); section != "" {
			text += " (" + section + ")"
		}
	}
	return text
}

func validate(data []byte, bundle string) (bad problems, warnings []string) {
	if err := decode(data, &map[string]json.RawMessage{}); err != nil {
		return problems{fmt.Errorf("%s: %w", configName, err)}, nil
	}
	misshapen, warnings := checkShape(data)
	spec, err := parse(data)
	if err != nil && len(misshapen) == 0 {
		return problems{fmt.Errorf("%s: %w", configName, err)}, warnings
	}
	if err != nil {
		// What is of the right type has been read all the same.
		spec = &specs.Spec{}
		_ = json.Unmarshal(data, spec)
	}
	cfg, err := Convert(spec, bundle)
	if cfg != nil {
		warnings = append(warnings, cfg.Warnings...)
		if cfg.Process != nil {
			if lost := lostAmbient(spec.Process, cfg.Process.Caps); lost != "" {
				warnings = append(warnings, lost)
			}
		}
	}
	var others problems
	others.add(err)
	others.add(checkHost(spec))
	bad.add(misshapen.err())
	for _, err := range others {
		if !follows(err, misshapen) {
			bad.add(err)
		}
	}
	return bad, warnings
}

// follows reports whether an error says no more than what checkShape has
// found: what is of a wrong type has not been read, so that it looks missing.
func follows(err error, misshapen problems) bool {
	var b *BadValue
	return errors.As(err, &b) && slices.ContainsFunc(misshapen, func(other error) bool {
		var o *BadValue
		return errors.As(other, &o) && within(b.Path, o.Path)
	})
}

// checkHost looks for files of the host that the specification wants to be
// there. A file that cannot be looked at counts as right: root may see more.
func checkHost(spec *specs.Spec) error {
	var bad problems
	if spec.Hooks != nil {
		for _, kind := range hookKinds(spec.Hooks, new(config.Hooks)) {
			if kind.name == "startContainer" { // is in the container
				continue
			}
			for i, hook := range kind.given {
				bad.add(checkFile(item("hooks."+kind.name, i)+".path", hook.Path))
			}
		}
	}
	if spec.Linux != nil {
		for i := range spec.Linux.Namespaces {
			bad.add(checkNamespaceFile(item("linux.namespaces", i)+".path", &spec.Linux.Namespaces[i]))
		}
	}
	return bad.err()
}

func checkFile(at, path string) error {
	var st unix.Stat_t
	err := unix.Stat(path, &st)
	if !filepath.IsAbs(path) || err == nil || errors.Is(err, unix.EACCES) {
		return nil
	}
	return refuse(at, path, "%w", err)
}

// checkNamespaceFile makes sure that a namespace that is joined is one of its
// type.
func checkNamespaceFile(at string, ns *specs.LinuxNamespace) error {
	if !filepath.IsAbs(ns.Path) {
		return nil
	}
	if err := checkFile(at, ns.Path); err != nil {
		return err
	}
	// Opening anything else could have an effect: a device for example.
	var fs unix.Statfs_t
	if err := unix.Statfs(ns.Path, &fs); err != nil {
		return nil
	}
	if fs.Type != unix.NSFS_MAGIC {
		return refuse(at, ns.Path, "not a namespace")
	}
	fd, err := unix.Open(ns.Path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	flag, err := unix.IoctlRetInt(fd, unix.NS_GET_NSTYPE)
	for _, kind := range namespaceKinds {
		if err == nil && kind.name == ns.Type && kind.flag != uintptr(flag) {
			return refuse(at, ns.Path, "a namespace of another type")
		}
	}
	return nil
}
