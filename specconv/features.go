package specconv

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-spec/specs-go/features"

	"github.com/mocker-runtime/mocker/libcontainer/config"
	"github.com/mocker-runtime/mocker/libcontainer/seccomp"
)

// minVersion is the oldest ociVersion that Convert takes.
const minVersion = "1.0.0"

// Features says what this build reads in a config.json and honours, in the
// form of features.md and features-linux.md. It is about the build alone:
// what the kernel or the machine lacks is an error of create. Lists come from
// the tables by which config.json is converted.
func Features() *features.Features {
	return &features.Features{
		OCIVersionMin: minVersion,
		OCIVersionMax: specs.Version,
		Hooks:         hookNames(),
		MountOptions:  optionNames(),
		Linux:         linuxFeatures(),
		// What mocker takes from annotations has crun's names.
		Annotations:                        map[string]string{landlockKey: "rwx"}, // the rights that its rules may give
		PotentiallyUnsafeConfigAnnotations: []string{"run.oci."},
	}
}

func linuxFeatures() *features.Linux {
	yes, no := new(true), new(false)
	return &features.Linux{
		Namespaces:   namespaceNames(),
		Capabilities: capabilityNames[:],
		Cgroup:       &features.Cgroup{V1: yes, V2: yes, Systemd: no, SystemdUser: no, Rdma: yes},
		Seccomp: &features.Seccomp{
			Enabled:    yes,
			Actions:    seccomp.Actions(),
			Operators:  seccomp.Operators(),
			Archs:      seccomp.Architectures(),
			KnownFlags: seccomp.Flags(),
		},
		Apparmor:     &features.Apparmor{Enabled: yes},
		Selinux:      &features.Selinux{Enabled: yes},
		IntelRdt:     &features.IntelRdt{Enabled: yes, Schemata: yes, Monitoring: yes},
		MemoryPolicy: &features.MemoryPolicy{Modes: wordNames(memoryModes[:]), Flags: wordNames(memoryFlags[:])},
		MountExtensions: &features.MountExtensions{
			IDMap: &features.IDMap{Enabled: yes},
		},
		NetDevices: &features.NetDevices{Enabled: yes},
	}
}

// hookNames are the kinds of hooks in the order in which they run.
func hookNames() []string {
	var names []string
	for _, kind := range hookKinds(new(specs.Hooks), new(config.Hooks)) {
		names = append(names, kind.name)
	}
	return names
}

// optionNames are the mount options that mean something of their own, other
// than those that are the file system's.
func optionNames() []string {
	names := slices.Clone(propagationNames[:])
	for _, o := range mountOptions {
		names = append(names, o.name)
	}
	slices.Sort(names)
	return names
}

func namespaceNames() []string {
	var names []string
	for _, kind := range namespaceKinds {
		names = append(names, string(kind.name))
	}
	slices.Sort(names)
	return names
}
