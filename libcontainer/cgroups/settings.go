package cgroups

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	oci "github.com/opencontainers/cgroups"
	"golang.org/x/sys/unix"
)

// setting is what has to be written to a file of a v2 cgroup.
type setting struct {
	member      string // of linux.resources, for errors
	file, value string
	mayMiss     bool // a file that is not there says the same
}

// settings turns limits into the files of cgroup v2 (cgroup-v2.rst). Limits
// that are named as cgroup v1 has them are converted as runc does. dir is the
// cgroup, whose files tell what the kernel has.
func settings(r *oci.Resources, dir string) ([]setting, error) {
	var list []setting
	for _, of := range []func(r *oci.Resources, dir string) ([]setting, error){
		pidsSettings, memorySettings, cpuSettings, ioWeights, ioThrottles, hugetlbSettings, rdmaSettings,
	} {
		some, err := of(r, dir)
		if err != nil {
			return nil, err
		}
		list = append(list, some...)
	}
	// Last, so that they win over what is said in another way.
	for _, file := range slices.Sorted(maps.Keys(r.Unified)) {
		list = append(list, setting{member: fmt.Sprintf("unified[%q]", file), file: file, value: r.Unified[file]})
	}
	return list, nil
}

// pidsSettings: a limit of 0 is one of 1, as with runc: it lets nothing fork,
// and the container's first process is there nevertheless.
func pidsSettings(r *oci.Resources, _ string) ([]setting, error) {
	if r.PidsLimit == nil {
		return nil, nil
	}
	limit := *r.PidsLimit
	if limit == 0 {
		limit = 1
	}
	return []setting{{member: "pids.limit", file: "pids.max", value: orMax(limit)}}, nil
}

// orMax is a limit as cgroup v2 writes it; -1 is none.
func orMax(limit int64) string {
	if limit < 0 {
		return "max"
	}
	return strconv.FormatInt(limit, 10)
}

// memorySettings: v2 limits memory and swap apart, v1 and config.json memory
// and both together.
func memorySettings(r *oci.Resources, dir string) ([]setting, error) {
	if err := checkMemoryInUse(r, dir); err != nil {
		return nil, err
	}
	var list []setting
	swap, err := oci.ConvertMemorySwapToCgroupV2Value(r.MemorySwap, r.Memory)
	if err != nil {
		return nil, fmt.Errorf("linux.resources.memory.swap: %w", err)
	}
	if swap != 0 || r.MemorySwap > 0 {
		value := orMax(swap)
		// Without the file the kernel accounts for no swap.
		list = append(list, setting{"memory.swap", "memory.swap.max", value, value == "max" || value == "0"})
	}
	if r.Memory != 0 {
		list = append(list, setting{member: "memory.limit", file: "memory.max", value: orMax(r.Memory)})
	}
	if r.MemoryReservation != 0 {
		list = append(list, setting{member: "memory.reservation", file: "memory.low", value: orMax(r.MemoryReservation)})
	}
	return list, nil
}

// checkMemoryInUse is memory.checkBeforeUpdate: the kernel would make room
// for a limit below what is in use by killing.
func checkMemoryInUse(r *oci.Resources, dir string) error {
	if !r.MemoryCheckBeforeUpdate {
		return nil
	}
	text, err := oci.ReadFile(dir, "memory.current")
	if err != nil {
		return nil //nolint:nilerr // the limit itself will say what is wrong
	}
	used, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil {
		return fmt.Errorf("read memory.current: %w", err)
	}
	for _, l := range []struct {
		member string
		limit  int64
	}{{"limit", r.Memory}, {"swap", r.MemorySwap}} {
		if l.limit > 0 && l.limit <= used {
			return fmt.Errorf("linux.resources.memory.%s: %d: not more than the %d that are in use, and checkBeforeUpdate is set", l.member, l.limit, used)
		}
	}
	return nil
}

// cpuSettings: an idle cgroup takes no weight, and a new idle one loses it.
func cpuSettings(r *oci.Resources, _ string) ([]setting, error) {
	var list []setting
	idle := func(value string) { list = append(list, setting{member: "cpu.idle", file: "cpu.idle", value: value}) }
	if wakes(r) {
		idle("0")
	}
	if r.CpuWeight != 0 {
		list = append(list, setting{member: "cpu.shares", file: "cpu.weight", value: strconv.FormatUint(r.CpuWeight, 10)})
	}
	if r.CPUIdle != nil && *r.CPUIdle != 0 {
		idle(strconv.FormatInt(*r.CPUIdle, 10))
	}
	if r.CpuQuota != 0 || r.CpuPeriod != 0 {
		quota, period, member := orMax(r.CpuQuota), r.CpuPeriod, "cpu.quota"
		if r.CpuQuota == 0 {
			quota, member = "max", "cpu.period"
		}
		if period == 0 {
			period = 100000 // the kernel's own
		}
		list = append(list, setting{member: member, file: "cpu.max", value: fmt.Sprintf("%s %d", quota, period)})
	}
	if r.CpuBurst != nil {
		list = append(list, setting{member: "cpu.burst", file: "cpu.max.burst", value: strconv.FormatUint(*r.CpuBurst, 10)})
	}
	for _, s := range []setting{
		{member: "cpu.cpus", file: "cpuset.cpus", value: r.CpusetCpus},
		{member: "cpu.mems", file: "cpuset.mems", value: r.CpusetMems},
	} {
		if s.value != "" {
			list = append(list, s)
		}
	}
	return list, nil
}

// ioWeights: those of the scheduler bfq are the ones of v1, else they are
// those of io.weight, from 1 to 10000.
func ioWeights(r *oci.Resources, dir string) ([]setting, error) {
	if r.BlkioWeight == 0 && len(r.BlkioWeightDevice) == 0 {
		return nil, nil
	}
	file, convert := "io.bfq.weight", func(weight uint16) uint64 { return uint64(weight) }
	if !exists(filepath.Join(dir, file)) {
		file, convert = "io.weight", oci.ConvertBlkIOToIOWeightValue
	}
	if !exists(filepath.Join(dir, file)) {
		return nil, errors.New("linux.resources.blockIO.weight: this kernel weighs block I/O neither by io.bfq.weight, which needs the module bfq, nor by io.weight, which needs CONFIG_BLK_CGROUP_IOCOST")
	}
	var list []setting
	if r.BlkioWeight != 0 {
		list = append(list, setting{member: "blockIO.weight", file: file, value: strconv.FormatUint(convert(r.BlkioWeight), 10)})
	}
	for i, d := range r.BlkioWeightDevice {
		member := fmt.Sprintf("blockIO.weightDevice[%d]", i)
		if d.LeafWeight != 0 {
			return nil, fmt.Errorf("linux.resources.%s.leafWeight: cgroup v2 has no such limit", member)
		}
		if d.Weight != 0 {
			list = append(list, setting{member: member, file: file, value: fmt.Sprintf("%d:%d %d", d.Major, d.Minor, convert(d.Weight))})
		}
	}
	return list, nil
}

func ioThrottles(r *oci.Resources, _ string) ([]setting, error) {
	var list []setting
	for _, t := range []struct {
		member, key string
		devices     []*oci.ThrottleDevice
	}{
		{"throttleReadBpsDevice", "rbps", r.BlkioThrottleReadBpsDevice},
		{"throttleWriteBpsDevice", "wbps", r.BlkioThrottleWriteBpsDevice},
		{"throttleReadIOPSDevice", "riops", r.BlkioThrottleReadIOPSDevice},
		{"throttleWriteIOPSDevice", "wiops", r.BlkioThrottleWriteIOPSDevice},
	} {
		for i, d := range t.devices {
			// 0 is no limit with cgroup v1, and none that v2 takes.
			rate := "max"
			if d.Rate != 0 {
				rate = strconv.FormatUint(d.Rate, 10)
			}
			list = append(list, setting{
				member: fmt.Sprintf("blockIO.%s[%d]", t.member, i), file: "io.max",
				value: fmt.Sprintf("%d:%d %s=%s", d.Major, d.Minor, t.key, rate),
			})
		}
	}
	return list, nil
}

// hugetlbSettings limits the pages that are reserved too, where the kernel
// can: else a process dies of SIGBUS, instead of mmap(2) saying that there
// are none.
func hugetlbSettings(r *oci.Resources, dir string) ([]setting, error) {
	var list []setting
	for i, h := range r.HugetlbLimit {
		s := setting{member: fmt.Sprintf("hugepageLimits[%d]", i), value: strconv.FormatUint(h.Limit, 10)}
		for _, s.file = range []string{"hugetlb." + h.Pagesize + ".max", "hugetlb." + h.Pagesize + ".rsvd.max"} {
			list = append(list, s)
		}
		if !exists(filepath.Join(dir, s.file)) { // since Linux 5.7
			list = list[:len(list)-1]
		}
	}
	return list, nil
}

func rdmaSettings(r *oci.Resources, _ string) ([]setting, error) {
	var list []setting
	for _, device := range slices.Sorted(maps.Keys(r.Rdma)) {
		value := device
		for _, l := range []struct {
			key   string
			limit *uint32
		}{{"hca_handle", r.Rdma[device].HcaHandles}, {"hca_object", r.Rdma[device].HcaObjects}} {
			if l.limit != nil {
				value += fmt.Sprintf(" %s=%d", l.key, *l.limit)
			}
		}
		if value != device {
			list = append(list, setting{member: fmt.Sprintf("rdma[%q]", device), file: "rdma.max", value: value})
		}
	}
	return list, nil
}

// write writes settings. Some can only be set after others: a quota that is
// lowered below the burst, a burst that is raised above the quota. So those
// that are refused are tried once more at the end.
func (c *Cgroup) write(list []setting) error {
	dir := c.paths[""]
	var again []setting
	for _, s := range list {
		if err := s.write(dir); errors.Is(err, unix.EINVAL) {
			again = append(again, s)
		} else if err != nil {
			return err
		}
	}
	for _, s := range again {
		if err := s.write(dir); err != nil {
			return err
		}
	}
	return nil
}

func (s setting) write(dir string) error {
	err := oci.WriteFileByLine(dir, s.file, s.value)
	if err == nil || s.mayMiss && errors.Is(err, os.ErrNotExist) {
		return nil
	}
	where := fmt.Sprintf("linux.resources.%s: write %q to %s", s.member, s.value, s.file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%s: this kernel has no such file: %w", where, errnoOf(err))
	case s.file == "cpu.weight" && idle(dir):
		return fmt.Errorf("%s: the cgroup is idle: %w", where, errnoOf(err))
	}
	return fmt.Errorf("%s: %w", where, errnoOf(err))
}

func idle(dir string) bool {
	text, err := oci.ReadFile(dir, "cpu.idle")
	return err == nil && strings.TrimSpace(text) != "0"
}
