package libcontainer

import (
	oci "github.com/opencontainers/cgroups"
)

// Event is a line that `events` prints.
type Event struct {
	Type string `json:"type"` // "stats" or "oom"
	ID   string `json:"id"`
	Data *Stats `json:"data,omitempty"` // of "stats"
}

// Stats is what a container uses, in the shape of runc's types.Stats: callers
// decode it. Times are nanoseconds, sizes bytes; what a controller does not
// account for is 0 or left out.
type Stats struct {
	CPU     CPUStats                `json:"cpu"`
	CPUSet  oci.CPUSetStats         `json:"cpuset"` // v1
	Memory  MemoryStats             `json:"memory"`
	Pids    oci.PidsStats           `json:"pids"`
	Blkio   BlkioStats              `json:"blkio"`
	Hugetlb map[string]HugetlbStats `json:"hugetlb"` // by page size: "2MB"

	// mocker has neither, and runc's callers expect them: resource groups of
	// Intel RDT, and links, which are the business of network hooks.
	IntelRdt          struct{}   `json:"intel_rdt"`
	NetworkInterfaces []struct{} `json:"network_interfaces"`
}

// CPUStats is what the processors have done.
type CPUStats struct {
	Usage struct {
		Total        uint64   `json:"total,omitempty"`
		Percpu       []uint64 `json:"percpu,omitempty"`
		PercpuKernel []uint64 `json:"percpu_kernel,omitempty"`
		PercpuUser   []uint64 `json:"percpu_user,omitempty"`
		Kernel       uint64   `json:"kernel"`
		User         uint64   `json:"user"`
	} `json:"usage"`
	Throttling struct {
		Periods          uint64 `json:"periods,omitempty"`
		ThrottledPeriods uint64 `json:"throttledPeriods,omitempty"`
		ThrottledTime    uint64 `json:"throttledTime,omitempty"`
	} `json:"throttling"`
	PSI *oci.PSIStats `json:"psi,omitempty"` // v2
}

// MemoryStats is the memory in use.
type MemoryStats struct {
	Cache     uint64            `json:"cache,omitempty"`
	Usage     MemoryUse         `json:"usage"`
	Swap      MemoryUse         `json:"swap"` // memory and swap together
	Kernel    MemoryUse         `json:"kernel"`
	KernelTCP MemoryUse         `json:"kernelTCP"`
	Raw       map[string]uint64 `json:"raw,omitempty"` // memory.stat
	PSI       *oci.PSIStats     `json:"psi,omitempty"` // v2
}

// MemoryUse is one kind of memory.
type MemoryUse struct {
	Limit   uint64 `json:"limit"`
	Usage   uint64 `json:"usage,omitempty"`
	Max     uint64 `json:"max,omitempty"` // the most there ever was
	Failcnt uint64 `json:"failcnt"`       // how often the limit was met
}

// BlkioStats is what block devices have done.
type BlkioStats struct {
	IoServiceBytesRecursive []oci.BlkioStatEntry `json:"ioServiceBytesRecursive,omitempty"`
	IoServicedRecursive     []oci.BlkioStatEntry `json:"ioServicedRecursive,omitempty"`
	IoQueuedRecursive       []oci.BlkioStatEntry `json:"ioQueueRecursive,omitempty"`
	IoServiceTimeRecursive  []oci.BlkioStatEntry `json:"ioServiceTimeRecursive,omitempty"`
	IoWaitTimeRecursive     []oci.BlkioStatEntry `json:"ioWaitTimeRecursive,omitempty"`
	IoMergedRecursive       []oci.BlkioStatEntry `json:"ioMergedRecursive,omitempty"`
	IoTimeRecursive         []oci.BlkioStatEntry `json:"ioTimeRecursive,omitempty"`
	SectorsRecursive        []oci.BlkioStatEntry `json:"sectorsRecursive,omitempty"`
	PSI                     *oci.PSIStats        `json:"psi,omitempty"` // v2
}

// HugetlbStats is huge pages of one size.
type HugetlbStats struct {
	Usage   uint64 `json:"usage,omitempty"`
	Max     uint64 `json:"max,omitempty"`
	Failcnt uint64 `json:"failcnt"`
}

// statsOf puts the library's numbers into runc's shape.
func statsOf(from *oci.Stats) *Stats {
	s := &Stats{
		CPUSet: from.CPUSetStats, Memory: memoryOf(&from.MemoryStats), Pids: from.PidsStats, Blkio: blkioOf(&from.BlkioStats),
		Hugetlb: make(map[string]HugetlbStats, len(from.HugetlbStats)),
	}
	cpu, usage := &s.CPU, &from.CpuStats.CpuUsage
	cpu.Usage.Total, cpu.Usage.Kernel, cpu.Usage.User = usage.TotalUsage, usage.UsageInKernelmode, usage.UsageInUsermode
	cpu.Usage.Percpu, cpu.Usage.PercpuKernel, cpu.Usage.PercpuUser = usage.PercpuUsage, usage.PercpuUsageInKernelmode, usage.PercpuUsageInUsermode
	throttling := &from.CpuStats.ThrottlingData
	cpu.Throttling.Periods, cpu.Throttling.ThrottledPeriods, cpu.Throttling.ThrottledTime = throttling.Periods, throttling.ThrottledPeriods, throttling.ThrottledTime
	cpu.PSI = from.CpuStats.PSI
	for pageSize, h := range from.HugetlbStats {
		s.Hugetlb[pageSize] = HugetlbStats{Usage: h.Usage, Max: h.MaxUsage, Failcnt: h.Failcnt}
	}
	return s
}

func memoryOf(from *oci.MemoryStats) MemoryStats {
	use := func(d oci.MemoryData) MemoryUse {
		return MemoryUse{Limit: d.Limit, Usage: d.Usage, Max: d.MaxUsage, Failcnt: d.Failcnt}
	}
	return MemoryStats{
		Cache: from.Cache, Usage: use(from.Usage), Swap: use(from.SwapUsage), Kernel: use(from.KernelUsage),
		KernelTCP: use(from.KernelTCPUsage), Raw: from.Stats, PSI: from.PSI,
	}
}

func blkioOf(from *oci.BlkioStats) BlkioStats {
	return BlkioStats{
		IoServiceBytesRecursive: from.IoServiceBytesRecursive, IoServicedRecursive: from.IoServicedRecursive,
		IoQueuedRecursive: from.IoQueuedRecursive, IoServiceTimeRecursive: from.IoServiceTimeRecursive,
		IoWaitTimeRecursive: from.IoWaitTimeRecursive, IoMergedRecursive: from.IoMergedRecursive,
		IoTimeRecursive: from.IoTimeRecursive, SectorsRecursive: from.SectorsRecursive, PSI: from.PSI,
	}
}
