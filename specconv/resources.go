package specconv

import (
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

func convertCgroup(spec *specs.Spec, cfg *config.Config) (err error) {
	var bad problems
	cfg.Cgroup.Path, err = cgroupPath(spec.Linux.CgroupsPath)
	bad.add(err)
	cfg.Cgroup.Delegate, err = delegated(spec.Annotations)
	bad.add(err)
	to := &cgroups.Resources{}
	cfg.Cgroup.Resources = to
	cfg.Cgroup.Always = allowedDevices(spec)
	from := spec.Linux.Resources
	to.Devices, err = deviceRules(from)
	bad.add(err)
	if from == nil {
		return bad.err()
	}
	bad.add(convertLimits(from, to))
	if m := from.Memory; m != nil && m.KernelTCP != nil {
		cfg.Cgroup.KernelTCP = *m.KernelTCP
	}
	if to.PidsLimit != nil && *to.PidsLimit == 0 && olderThan13(spec.Version) {
		// The limit could not be left out then, and 0 was no limit: it is what
		// podman 4 writes for --pids-limit -1.
		to.PidsLimit = nil
	}
	for _, w := range memoryWarnings(from.Memory) {
		cfg.Warnings = append(cfg.Warnings, "config.json: "+w)
	}
	return bad.err()
}

// convertLimits converts everything but the rules for devices.
func convertLimits(from *specs.LinuxResources, to *cgroups.Resources) error {
	var bad problems
	for _, convert := range []func(*specs.LinuxResources, *cgroups.Resources) error{
		convertMemory, convertCPU, convertPids, convertBlockIO, convertHugepages,
		convertNetwork, convertRdma, convertUnified,
	} {
		bad.add(convert(from, to))
	}
	return bad.err()
}

func convertMemory(from *specs.LinuxResources, to *cgroups.Resources) error {
	m := from.Memory
	if m == nil {
		return nil
	}
	var bad problems
	for _, v := range []struct {
		name  string
		given *int64
		to    *int64
	}{
		{"limit", m.Limit, &to.Memory},
		{"reservation", m.Reservation, &to.MemoryReservation},
		{"swap", m.Swap, &to.MemorySwap},
	} {
		if v.given == nil {
			continue
		}
		if *v.given < -1 {
			bad.add(refuse("linux.resources.memory."+v.name, *v.given, "neither a number of bytes nor -1"))
		}
		*v.to = *v.given
	}
	if to.MemorySwap > 0 && to.MemorySwap < to.Memory {
		bad.add(refuse("linux.resources.memory.swap", to.MemorySwap, "less than the memory limit %d, which it includes", to.Memory))
	}
	if m.Swappiness != nil {
		if *m.Swappiness > 100 {
			bad.add(refuse("linux.resources.memory.swappiness", *m.Swappiness, "not between 0 and 100"))
		}
		to.MemorySwappiness = m.Swappiness
	}
	if m.KernelTCP != nil && *m.KernelTCP < -1 {
		bad.add(refuse("linux.resources.memory.kernelTCP", *m.KernelTCP, "neither a number of bytes nor -1"))
	}
	to.OomKillDisable = m.DisableOOMKiller != nil && *m.DisableOOMKiller
	to.MemoryCheckBeforeUpdate = m.CheckBeforeUpdate != nil && *m.CheckBeforeUpdate
	return bad.err()
}

// memoryWarnings names the settings that kernels no longer have. The
// specification lets a runtime ignore them, and engines still write them.
func memoryWarnings(m *specs.LinuxMemory) (list []string) {
	if m == nil {
		return nil
	}
	warn := func(name, why string) {
		list = append(list, "linux.resources.memory."+name+": ignored: "+why)
	}
	limits := func(v *int64) bool { return v != nil && *v > 0 }
	if limits(m.Kernel) { //nolint:staticcheck // deprecated, and still written
		warn("kernel", "the kernel has no such limit since 5.4")
	}
	if m.UseHierarchy != nil && !*m.UseHierarchy {
		warn("useHierarchy", "the kernel always accounts hierarchically since 5.11")
	}
	return list
}

func convertCPU(from *specs.LinuxResources, to *cgroups.Resources) error {
	const at = "linux.resources.cpu."
	c := from.CPU
	if c == nil {
		return nil
	}
	if c.Shares != nil {
		to.CpuShares = *c.Shares
		to.CpuWeight = cgroups.ConvertCPUSharesToCgroupV2Value(*c.Shares)
	}
	var bad problems
	for _, v := range []struct {
		name  string
		given *int64
		to    *int64
	}{{"quota", c.Quota, &to.CpuQuota}, {"realtimeRuntime", c.RealtimeRuntime, &to.CpuRtRuntime}} {
		if v.given == nil {
			continue
		}
		if *v.given < -1 {
			bad.add(refuse(at+v.name, *v.given, "neither a number of microseconds nor -1"))
		}
		*v.to = *v.given
	}
	if c.Period != nil {
		to.CpuPeriod = *c.Period
	}
	if c.RealtimePeriod != nil {
		to.CpuRtPeriod = *c.RealtimePeriod
	}
	if c.Idle != nil && *c.Idle != 0 && *c.Idle != 1 {
		bad.add(refuse(at+"idle", *c.Idle, "neither 0 nor 1"))
	}
	if c.Burst != nil && to.CpuQuota > 0 && *c.Burst > uint64(to.CpuQuota) {
		bad.add(refuse(at+"burst", *c.Burst, "more than the quota %d", to.CpuQuota))
	}
	to.CpuBurst, to.CPUIdle = c.Burst, c.Idle
	for _, s := range []struct{ name, value string }{{"cpus", c.Cpus}, {"mems", c.Mems}} {
		if s.value != "" {
			bad.add(checkWord(at+s.name, s.value))
		}
	}
	to.CpusetCpus, to.CpusetMems = c.Cpus, c.Mems
	return bad.err()
}

// convertPids keeps apart no limit given (leave it), -1 (no limit) and 0,
// which is a limit that lets nothing fork.
func convertPids(from *specs.LinuxResources, to *cgroups.Resources) error {
	if from.Pids == nil || from.Pids.Limit == nil {
		return nil
	}
	if limit := *from.Pids.Limit; limit < -1 {
		return refuse("linux.resources.pids.limit", limit, "neither a number of tasks nor -1")
	}
	to.PidsLimit = from.Pids.Limit
	return nil
}

// convertHugepages checks the page size, which becomes a part of the names of
// cgroup files: hugetlb.2MB.max.
func convertHugepages(from *specs.LinuxResources, to *cgroups.Resources) error {
	var bad problems
	for i, h := range from.HugepageLimits {
		if !isPageSize(h.Pagesize) {
			bad.add(refuse(item("linux.resources.hugepageLimits", i)+".pageSize", h.Pagesize, `not a size such as "2MB"`))
		}
		to.HugetlbLimit = append(to.HugetlbLimit, &cgroups.HugepageLimit{Pagesize: h.Pagesize, Limit: h.Limit})
	}
	return bad.err()
}

func isPageSize(s string) bool {
	digits := strings.TrimRight(s, "KMGB")
	switch s[len(digits):] {
	case "KB", "MB", "GB":
	default:
		return false
	}
	for _, r := range digits {
		if r < '0' || r > '9' {
			return false
		}
	}
	return digits != "" && digits[0] != '0'
}

func convertNetwork(from *specs.LinuxResources, to *cgroups.Resources) error {
	if from.Network == nil {
		return nil
	}
	if from.Network.ClassID != nil {
		to.NetClsClassid = *from.Network.ClassID
	}
	var bad problems
	for i, p := range from.Network.Priorities {
		bad.add(checkWord(item("linux.resources.network.priorities", i)+".name", p.Name))
		to.NetPrioIfpriomap = append(to.NetPrioIfpriomap, &cgroups.IfPrioMap{Interface: p.Name, Priority: int64(p.Priority)})
	}
	return bad.err()
}

func convertRdma(from *specs.LinuxResources, to *cgroups.Resources) error {
	var bad problems
	for _, name := range slices.Sorted(maps.Keys(from.Rdma)) {
		bad.add(checkWord("linux.resources.rdma", name))
		limits := from.Rdma[name]
		if limits.HcaHandles == nil && limits.HcaObjects == nil {
			bad.add(lacks("linux.resources.rdma."+name, "neither hcaHandles nor hcaObjects is given"))
		}
		if to.Rdma == nil {
			to.Rdma = make(map[string]cgroups.LinuxRdma, len(from.Rdma))
		}
		to.Rdma[name] = cgroups.LinuxRdma{HcaHandles: limits.HcaHandles, HcaObjects: limits.HcaObjects}
	}
	return bad.err()
}

// convertUnified checks that each key is a file in the container's cgroup and
// not on the way to another.
func convertUnified(from *specs.LinuxResources, to *cgroups.Resources) error {
	const at = "linux.resources.unified"
	var bad problems
	for _, key := range slices.Sorted(maps.Keys(from.Unified)) {
		if err := checkWord(at, key); err != nil {
			bad.add(err)
		} else if strings.Contains(key, "/") || !strings.Contains(strings.Trim(key, "."), ".") {
			bad.add(refuse(at, key, "not the name of a cgroup file such as memory.high"))
		}
		if from.Unified[key] == "" { // the kernel takes it for 0, or for nothing
			bad.add(refuse(at+"."+key, "", "must not be empty"))
		}
		bad.add(checkNUL(at+"."+key, from.Unified[key]))
	}
	if len(from.Unified) > 0 {
		to.Unified = maps.Clone(from.Unified)
	}
	return bad.err()
}
