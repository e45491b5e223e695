// Package config is the resolved form of a container: what a config.json
// means once every string in it has been parsed. Paths are absolute and
// clean, names have become the kernel's numbers, defaults are filled in and
// the order is the order in which things are done.
//
// It holds data only. specconv makes it from a specs.Spec, the rooms of
// libcontainer carry it out; nothing here touches the kernel.
package config

import (
	"time"

	"github.com/opencontainers/cgroups"
	devices "github.com/opencontainers/cgroups/devices/config"
)

// Config is everything libcontainer needs to know to create a container.
type Config struct {
	Version     string            // ociVersion of the config.json
	Bundle      string            // absolute path of the bundle, links resolved
	Annotations map[string]string // as in config.json

	Namespaces  []Namespace // in the order in which they are entered, no type twice
	UIDMap      IDMap       // linux.uidMappings; of a user namespace that is joined, filled in when it is
	GIDMap      IDMap       // linux.gidMappings, likewise
	TimeOffsets []TimeOffset
	Hostname    string   // "" leaves the name as it is
	Domainname  string   // "" leaves the name as it is
	Sysctls     []Sysctl // sorted by key
	Rootfs      Rootfs
	Mounts      []Mount  // in the order of config.json
	Devices     []Device // nodes to make: the spec's defaults, then linux.devices
	Masked      []string // linux.maskedPaths, absolute
	ReadonlySub []string // linux.readonlyPaths, absolute
	MountLabel  string   // linux.mountLabel, the SELinux context of new file systems; "" leaves it to the policy

	NetDevices []NetDevice // sorted by name
	RDT        *RDT        // nil: resctrl is left alone
	Traits     Traits

	Cgroup  Cgroup
	Process *Process // nil: the container can be created, not started
	Hooks   Hooks

	// Warnings say what config.json asks for and this container will not
	// have although the specification forbids to refuse it; for the log.
	Warnings []string
}

// Has reports whether the container gets or joins a namespace of this type
// (a CLONE_NEW* flag).
func (c *Config) Has(flag uintptr) bool {
	for _, ns := range c.Namespaces {
		if ns.Flag == flag {
			return true
		}
	}
	return false
}

// NewFlags is the union of the CLONE_NEW* flags of the namespaces that are
// to be created, leaving out those that are joined by path.
func (c *Config) NewFlags() uintptr {
	var flags uintptr
	for _, ns := range c.Namespaces {
		if ns.Path == "" {
			flags |= ns.Flag
		}
	}
	return flags
}

// Namespace is one entry of linux.namespaces.
type Namespace struct {
	Flag uintptr // one CLONE_NEW* flag
	Type string  // the name in config.json: "pid", "network", "mount", ...
	Path string  // file of the namespace to join; "" makes a new one
}

// PathOf is the path of the namespace of this type (a CLONE_NEW* flag) that
// the container joins; "" if it joins none.
func (c *Config) PathOf(flag uintptr) string {
	for _, ns := range c.Namespaces {
		if ns.Flag == flag {
			return ns.Path
		}
	}
	return ""
}

// TimeOffset is what one clock of a new time namespace is ahead of the
// host's (time_namespaces(7)).
type TimeOffset struct {
	Clock   string // "monotonic" or "boottime"
	Secs    int64
	Nanosec uint32 // below 1e9
}

// Sysctl is one entry of linux.sysctl.
type Sysctl struct {
	Key   string // as in config.json: "net.ipv4.ip_forward"
	Path  string // below /proc/sys: "net/ipv4/ip_forward"
	Value string
}

// Rootfs is the container's root file system.
type Rootfs struct {
	Path        string  // absolute host path
	Readonly    bool    // root.readonly
	Propagation uintptr // linux.rootfsPropagation: MS_PRIVATE, MS_SLAVE, MS_SHARED or MS_UNBINDABLE, each with MS_REC or not; 0: not given
}

// Mount is one entry of mounts. Attributes are MOUNT_ATTR_* of
// mount_setattr(2); what belongs to the superblock stands in Data.
type Mount struct {
	Index       int       // place in config.json's mounts, for errors: "mounts[3]"
	Destination string    // absolute and clean, as seen in the container
	Type        string    // file system type; "bind" for bind mounts; "cgroup" and "cgroup2" are resolved by rootfs
	Source      string    // bind: absolute host path; else the device or name, maybe ""
	Recursive   bool      // bind: rbind
	Set         uint64    // MOUNT_ATTR_* to set on this mount; an atime mode counts as set
	Clear       uint64    // MOUNT_ATTR_* to clear on this mount (asked for by "rw", "suid", ...; with an atime mode, MOUNT_ATTR__ATIME)
	RecSet      uint64    // MOUNT_ATTR_* to set recursively ("rro", ...)
	RecClear    uint64    // MOUNT_ATTR_* to clear recursively ("rrw", ...)
	Propagation []uintptr // MS_* propagation flags, each applied in order
	Data        []string  // options for the file system, "key" or "key=value"; superblock flags ("ro", "sync", "dirsync", "lazytime", "mand", ...) among them
	CopyUp      bool      // tmpcopyup: a tmpfs that starts with what it covers
	Remount     bool      // remount: changes what is mounted at Destination; of type bind: only the attributes
	MayMiss     bool      // nofail: no error if the source does not exist
	IDMap       *MountIDs // idmap, ridmap; nil: ids are those of the file system
}

// MountIDs says whose the files of a mount appear to be: UIDs and GIDs map the
// ids of the file system (ContainerID) to those seen on the host (HostID).
// Without maps it is those of the container's user namespace.
type MountIDs struct {
	Recursive  bool // ridmap: the mounts below it as well
	UIDs, GIDs IDMap
}

// Device is a device node to make in the container.
type Device struct {
	Path  string // absolute, as seen in the container
	Mode  uint32 // type (S_IFCHR, S_IFBLK, S_IFIFO) and permissions
	Major uint32
	Minor uint32
	UID   uint32 // in the container
	GID   uint32 // in the container
}

// Cgroup says where the container's cgroup is and what its limits are.
type Cgroup struct {
	Path      string             // linux.cgroupsPath; absolute from the root of each hierarchy, relative to mocker's own cgroup; "" : /mocker/<id>
	Resources *cgroups.Resources // never nil; its rules for devices are those of linux.resources.devices
	Always    []*devices.Rule    // what every container may do with devices, after those rules
	KernelTCP int64              // linux.resources.memory.kernelTCP, which Resources has no place for; 0: not given, -1: no limit
	Delegate  string             // sub cgroup for the processes, which is the container's; "": they live in the cgroup itself
}

// Process is the container's first process.
type Process struct {
	Args        []string // at least one
	Env         []string
	Cwd         string // absolute, as seen in the container
	UID         uint32
	GID         uint32
	Groups      []uint32 // supplementary groups: process.user.additionalGids
	Umask       uint32   // 0022 where config.json says nothing
	Terminal    bool
	Height      uint16 // rows of the terminal; 0: not given
	Width       uint16 // columns of the terminal; 0: not given
	Caps        Capabilities
	Rlimits     []Rlimit
	NoNewPrivs  bool
	Seccomp     *Seccomp // nil: no filter
	OOMScoreAdj *int
	Labels      Labels
	Scheduler   *Scheduler  // nil: inherited
	IOPriority  *IOPriority // nil: inherited
	Affinity    Affinity    // of an exec; the container's first process ignores it
}

// Labels say how the kernel's security modules confine a process; "" leaves it
// as mocker is.
type Labels struct {
	AppArmor string // process.apparmorProfile: a profile that is loaded, or several with "//&" in between
	SELinux  string // process.selinuxLabel: a context
}

// Or is what labels are where those that are not given are those of others.
func (l Labels) Or(others Labels) Labels {
	if l.AppArmor == "" {
		l.AppArmor = others.AppArmor
	}
	if l.SELinux == "" {
		l.SELinux = others.SELinux
	}
	return l
}

// Capabilities are the five sets of capabilities(7), one bit per capability.
type Capabilities struct {
	Bounding, Effective, Inheritable, Permitted, Ambient uint64
}

// Rlimit is one entry of process.rlimits.
type Rlimit struct {
	Name       string // as in config.json: "RLIMIT_NOFILE"
	Resource   int    // RLIMIT_*
	Soft, Hard uint64 // ^uint64(0) is no limit
}

// Hooks are the OCI hooks by the point at which they run (runtime-spec,
// config.md, "POSIX-platform Hooks").
type Hooks struct {
	Prestart        []Hook
	CreateRuntime   []Hook
	CreateContainer []Hook
	StartContainer  []Hook
	Poststart       []Hook
	Poststop        []Hook
}

// Hook is a program to run at one point of a container's life.
type Hook struct {
	Path    string        // absolute
	Args    []string      // argv, with argv[0]; empty: just Path
	Env     []string      // the whole environment
	Timeout time.Duration // 0: none
}
