package specconv

import "strings"

// section says where runtime-spec 1.3 has a property.
type section struct {
	path string // of the property and all below it, without indexes
	text string // the file and its heading
}

// sections has, for each property, the longest path that fits.
var sections = [...]section{
	{"ociVersion", "config.md, Specification version"},
	{"root", "config.md, Root"},
	{"mounts", "config.md, Mounts"},
	{"mounts.options", "config.md, Linux mount options"},
	{"mounts.type", "config.md, POSIX-platform Mounts"},
	{"mounts.uidMappings", "config.md, POSIX-platform Mounts"},
	{"mounts.gidMappings", "config.md, POSIX-platform Mounts"},
	{"process", "config.md, Process"},
	{"process.rlimits", "config.md, POSIX process"},
	{"process.apparmorProfile", "config.md, Linux Process"},
	{"process.capabilities", "config.md, Linux Process"},
	{"process.noNewPrivileges", "config.md, Linux Process"},
	{"process.oomScoreAdj", "config.md, Linux Process"},
	{"process.scheduler", "config.md, Linux Process"},
	{"process.selinuxLabel", "config.md, Linux Process"},
	{"process.ioPriority", "config.md, Linux Process"},
	{"process.execCPUAffinity", "config.md, Linux Process"},
	{"process.user", "config.md, POSIX-platform User"},
	{"hostname", "config.md, Hostname"},
	{"domainname", "config.md, Domainname"},
	{"hooks", "config.md, POSIX-platform Hooks"},
	{"annotations", "config.md, Annotations"},
	{"linux", "config.md, Platform-specific configuration"},
	{"linux.namespaces", "config-linux.md, Namespaces"},
	{"linux.uidMappings", "config-linux.md, User namespace mappings"},
	{"linux.gidMappings", "config-linux.md, User namespace mappings"},
	{"linux.timeOffsets", "config-linux.md, Offset for Time Namespace"},
	{"linux.devices", "config-linux.md, Devices"},
	{"linux.netDevices", "config-linux.md, Network Devices"},
	{"linux.cgroupsPath", "config-linux.md, Cgroups Path"},
	{"linux.resources", "config-linux.md, Control groups"},
	{"linux.resources.devices", "config-linux.md, Allowed Device list"},
	{"linux.resources.memory", "config-linux.md, Memory"},
	{"linux.resources.cpu", "config-linux.md, CPU"},
	{"linux.resources.blockIO", "config-linux.md, Block IO"},
	{"linux.resources.hugepageLimits", "config-linux.md, Huge page limits"},
	{"linux.resources.network", "config-linux.md, Network"},
	{"linux.resources.pids", "config-linux.md, PIDs"},
	{"linux.resources.rdma", "config-linux.md, RDMA"},
	{"linux.resources.unified", "config-linux.md, Unified"},
	{"linux.intelRdt", "config-linux.md, IntelRdt"},
	{"linux.memoryPolicy", "config-linux.md, Memory policy"},
	{"linux.sysctl", "config-linux.md, Sysctl"},
	{"linux.seccomp", "config-linux.md, Seccomp"},
	{"linux.rootfsPropagation", "config-linux.md, Rootfs Mount Propagation"},
	{"linux.maskedPaths", "config-linux.md, Masked Paths"},
	{"linux.readonlyPaths", "config-linux.md, Readonly Paths"},
	{"linux.mountLabel", "config-linux.md, Mount Label"},
	{"linux.personality", "config-linux.md, Personality"},
}

// sectionOf is the section about a JSON path; "" if there is none.
func sectionOf(path string) string {
	path = withoutIndexes(path)
	best := section{}
	for _, s := range sections {
		if within(path, s.path) && len(s.path) > len(best.path) {
			best = s
		}
	}
	return best.text
}

// within reports whether a JSON path is that of a property or of something in
// it.
func within(path, property string) bool {
	rest, ok := strings.CutPrefix(path, property)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// withoutIndexes makes "mounts.options" of "mounts[3].options[1]".
func withoutIndexes(path string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(path, "[")
		b.WriteString(before)
		_, after, closed := strings.Cut(rest, "]")
		if !found || !closed {
			return b.String()
		}
		path = after
	}
}
