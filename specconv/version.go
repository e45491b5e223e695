package specconv

import (
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

// checkVersion accepts every 1.x that this build's specification reads: a
// runtime may read configs of its own minor version and older (config.md,
// "Specification version"). Pre-releases of those count as them.
func checkVersion(spec *specs.Spec, _ *config.Config) error {
	const path = "ociVersion"
	if spec.Version == "" {
		return missing(path)
	}
	major, minor, ok := parseVersion(spec.Version)
	if !ok {
		return refuse(path, spec.Version, "not a semantic version such as %q", specs.Version)
	}
	if major != specs.VersionMajor || minor > specs.VersionMinor {
		return refuse(path, spec.Version, "not supported: mocker reads 1.0 to %d.%d", specs.VersionMajor, specs.VersionMinor)
	}
	return nil
}

// olderThan13 reports whether a config.json is of a specification before 1.3.
func olderThan13(version string) bool {
	_, minor, ok := parseVersion(version)
	return ok && minor < 3
}

// parseVersion reads major and minor of a version in the form of SemVer 2.0.0:
// MAJOR.MINOR.PATCH[-PRE][+BUILD].
func parseVersion(s string) (major, minor int, ok bool) {
	s, build, hasBuild := strings.Cut(s, "+")
	s, pre, hasPre := strings.Cut(s, "-")
	if hasBuild && !isVersionSuffix(build) || hasPre && !isVersionSuffix(pre) {
		return 0, 0, false
	}
	fields := strings.Split(s, ".")
	if len(fields) != 3 {
		return 0, 0, false
	}
	var numbers [3]int
	for i, field := range fields {
		n, err := strconv.ParseUint(field, 10, 31)
		if err != nil || len(field) > 1 && field[0] == '0' {
			return 0, 0, false
		}
		numbers[i] = int(n)
	}
	return numbers[0], numbers[1], true
}

// isVersionSuffix reports whether s is dot separated identifiers of letters,
// digits and hyphens, none of them empty.
func isVersionSuffix(s string) bool {
	for id := range strings.SplitSeq(s, ".") {
		if id == "" {
			return false
		}
		for _, r := range id {
			if !(r == '-' || '0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z') {
				return false
			}
		}
	}
	return true
}
