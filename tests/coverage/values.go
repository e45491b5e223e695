package coverage

// values are those that the specification lists for a property, by the Go type
// that has them as constants.
var values = []struct {
	typ, property string
	names         []string
}{
	{"IOPriorityClass", "process.ioPriority.class", []string{
		"IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE",
	}},
	{"LinuxSchedulerPolicy", "process.scheduler.policy", []string{
		"SCHED_OTHER", "SCHED_FIFO", "SCHED_RR", "SCHED_BATCH", "SCHED_ISO", "SCHED_IDLE", "SCHED_DEADLINE",
	}},
	{"LinuxSchedulerFlag", "process.scheduler.flags", []string{
		"SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_RECLAIM", "SCHED_FLAG_DL_OVERRUN", "SCHED_FLAG_KEEP_POLICY",
		"SCHED_FLAG_KEEP_PARAMS", "SCHED_FLAG_UTIL_CLAMP_MIN", "SCHED_FLAG_UTIL_CLAMP_MAX",
	}},
	{"LinuxNamespaceType", "linux.namespaces.type", []string{
		"pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time",
	}},
	{"LinuxPersonalityDomain", "linux.personality.domain", []string{
		"LINUX", "LINUX32",
	}},
	{"MemoryPolicyModeType", "linux.memoryPolicy.mode", []string{
		"MPOL_DEFAULT", "MPOL_BIND", "MPOL_INTERLEAVE", "MPOL_WEIGHTED_INTERLEAVE", "MPOL_PREFERRED", "MPOL_PREFERRED_MANY",
		"MPOL_LOCAL",
	}},
	{"MemoryPolicyFlagType", "linux.memoryPolicy.flags", []string{
		"MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES",
	}},
	{"LinuxSeccompAction", "linux.seccomp.syscalls.action", []string{
		"SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_TRAP", "SCMP_ACT_ERRNO", "SCMP_ACT_TRACE",
		"SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY",
	}},
	{"LinuxSeccompOperator", "linux.seccomp.syscalls.args.op", []string{
		"SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ",
	}},
	{"LinuxSeccompFlag", "linux.seccomp.flags", []string{
		"SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
	}},
	{"Arch", "linux.seccomp.architectures", []string{
		"SCMP_ARCH_X86", "SCMP_ARCH_X86_64", "SCMP_ARCH_X32", "SCMP_ARCH_ARM", "SCMP_ARCH_AARCH64", "SCMP_ARCH_MIPS",
		"SCMP_ARCH_MIPS64", "SCMP_ARCH_MIPS64N32", "SCMP_ARCH_MIPSEL", "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32",
		"SCMP_ARCH_PPC", "SCMP_ARCH_PPC64", "SCMP_ARCH_PPC64LE", "SCMP_ARCH_S390", "SCMP_ARCH_S390X", "SCMP_ARCH_PARISC",
		"SCMP_ARCH_PARISC64", "SCMP_ARCH_RISCV64", "SCMP_ARCH_LOONGARCH64", "SCMP_ARCH_M68K", "SCMP_ARCH_SH", "SCMP_ARCH_SHEB",
	}},
}

// others are the types with constants that are no values of Linux.
var others = []string{"ZOSNamespaceType", "FreeBSDSharing"}

// valueNames are the values as properties: "linux.namespaces.type=pid".
func valueNames() (list []string) {
	for _, v := range values {
		for _, name := range v.names {
			list = append(list, v.property+"="+name)
		}
	}
	return list
}
