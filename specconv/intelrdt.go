package specconv

import (
	"errors"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

func convertIntelRdt(spec *specs.Spec, cfg *config.Config) error {
	const at = "linux.intelRdt."
	given := spec.Linux.IntelRdt
	if given == nil {
		return nil
	}
	var bad problems
	bad.add(checkClass(at+"closID", given.ClosID))
	rdt := &config.RDT{Class: given.ClosID, Monitor: given.EnableMonitoring}
	// Two lines were the way to write L3CODE and L3DATA.
	for line := range strings.Lines(given.L3CacheSchema) {
		rdt.Schemata = append(rdt.Schemata, strings.TrimSuffix(line, "\n"))
	}
	for _, line := range rdt.Schemata {
		if err := CheckSchema(line); err != nil {
			bad.add(refuse(at+"l3CacheSchema", given.L3CacheSchema, "%w", err))
		}
	}
	if line := given.MemBwSchema; line != "" {
		if err := CheckMemBwSchema(line); err != nil {
			bad.add(refuse(at+"memBwSchema", line, "%w", err))
		}
		rdt.Schemata = append(rdt.Schemata, line)
	}
	for i, line := range given.Schemata {
		if err := CheckSchema(line); err != nil {
			bad.add(refuse(item(at+"schemata", i), line, "%w", err))
		}
		rdt.Schemata = append(rdt.Schemata, line)
	}
	cfg.RDT = rdt
	return bad.err()
}

// checkClass refuses what would lead out of the resctrl file system, and the
// kernel's own directories there.
func checkClass(at, name string) error {
	switch name {
	case "", "/":
		return nil
	case ".", "..", "info", "mon_data", "mon_groups":
		return refuse(at, name, "not the name of a class of service")
	}
	if strings.ContainsAny(name, "/\n\x00") {
		return refuse(at, name, "not the name of a class of service")
	}
	return nil
}

// CheckSchema checks one line for the schemata of a class of service:
// RESOURCE:ID=VALUE;ID=VALUE
func CheckSchema(line string) error {
	resource, values, ok := strings.Cut(line, ":")
	switch {
	case strings.ContainsAny(line, "\n\x00"):
		return errors.New("contains a line break or a NUL byte")
	case !ok || strings.TrimSpace(resource) == "" || !strings.Contains(values, "="):
		return errors.New("not in the form RESOURCE:ID=VALUE;ID=VALUE")
	}
	return nil
}

// CheckMemBwSchema is CheckSchema for the bandwidth of memory.
func CheckMemBwSchema(line string) error {
	if !strings.HasPrefix(line, "MB:") {
		return errors.New(`does not begin with "MB:"`)
	}
	return CheckSchema(line)
}
