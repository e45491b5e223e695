package cgroups

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	oci "github.com/opencontainers/cgroups"
	"golang.org/x/sys/unix"
)

// limit says which controller a part of linux.resources needs.
type limit struct {
	member string // of linux.resources, for errors
	v1, v2 string // controller; "" where that version has nothing like it
	asked  func(r *oci.Resources) bool
}

// limits lists the more special members first: they give the better error.
func limits() []limit {
	return []limit{
		{"memory.swappiness", "memory", "", func(r *oci.Resources) bool { return r.MemorySwappiness != nil }},
		{"memory.disableOOMKiller", "memory", "", func(r *oci.Resources) bool { return r.OomKillDisable }},
		{"memory", "memory", "memory", func(r *oci.Resources) bool {
			return r.Memory != 0 || r.MemoryReservation != 0 || r.MemorySwap != 0
		}},
		{"cpu.realtimeRuntime", "cpu", "", func(r *oci.Resources) bool { return r.CpuRtRuntime != 0 }},
		{"cpu.realtimePeriod", "cpu", "", func(r *oci.Resources) bool { return r.CpuRtPeriod != 0 }},
		{"cpu.cpus", "cpuset", "cpuset", func(r *oci.Resources) bool { return r.CpusetCpus != "" }},
		{"cpu.mems", "cpuset", "cpuset", func(r *oci.Resources) bool { return r.CpusetMems != "" }},
		{"cpu", "cpu", "cpu", func(r *oci.Resources) bool {
			return r.CpuShares != 0 || r.CpuWeight != 0 || r.CpuQuota != 0 || r.CpuPeriod != 0 ||
				r.CpuBurst != nil || r.CPUIdle != nil
		}},
		{"pids", "pids", "pids", func(r *oci.Resources) bool { return r.PidsLimit != nil }},
		{"blockIO.leafWeight", "blkio", "", func(r *oci.Resources) bool { return r.BlkioLeafWeight != 0 }},
		{"blockIO", "blkio", "io", func(r *oci.Resources) bool {
			return r.BlkioWeight != 0 || len(r.BlkioWeightDevice)+len(r.BlkioThrottleReadBpsDevice)+
				len(r.BlkioThrottleWriteBpsDevice)+len(r.BlkioThrottleReadIOPSDevice)+
				len(r.BlkioThrottleWriteIOPSDevice) > 0
		}},
		{"hugepageLimits", "hugetlb", "hugetlb", func(r *oci.Resources) bool { return len(r.HugetlbLimit) > 0 }},
		{"network.classID", "net_cls", "", func(r *oci.Resources) bool { return r.NetClsClassid != 0 }},
		{"network.priorities", "net_prio", "", func(r *oci.Resources) bool { return len(r.NetPrioIfpriomap) > 0 }},
		{"rdma", "rdma", "rdma", func(r *oci.Resources) bool { return len(r.Rdma) > 0 }},
		// Without this controller every device is open, so it is not a wish.
		{"devices", "devices", "devices", func(r *oci.Resources) bool { return !r.SkipDevices }},
	}
}

// want is a controller and the member of config.json that needs it.
type want struct{ member, controller string }

// wanted lists what r needs on this version of cgroups. A member that the
// version knows no equivalent of is an error: to ignore a limit is to lie.
func wanted(r *oci.Resources, unified bool) ([]want, error) {
	var list []want
	for _, l := range limits() {
		if !l.asked(r) {
			continue
		}
		if unified && l.v2 == "" {
			return nil, fmt.Errorf("linux.resources.%s: cgroup v2 has no such limit", l.member)
		}
		controller := l.v1
		if unified {
			controller = l.v2
		}
		list = append(list, want{"linux.resources." + l.member, controller})
	}
	if len(r.Unified) > 0 && !unified {
		return nil, errors.New("linux.resources.unified: this machine has cgroup v1")
	}
	for file := range r.Unified {
		controller, _, ok := strings.Cut(file, ".")
		if !ok || strings.Contains(file, "/") {
			return nil, fmt.Errorf("linux.resources.unified: %q is not of the form controller.parameter", file)
		}
		list = append(list, want{fmt.Sprintf("linux.resources.unified[%q]", file), controller})
	}
	slices.SortFunc(list, func(a, b want) int { return strings.Compare(a.member, b.member) })
	return list, nil
}

// resolve checks that every limit can be set and returns a copy of r in
// which v2's own values are filled in.
func resolve(r *oci.Resources, paths map[string]string) (*oci.Resources, error) {
	res := *r
	unified := len(paths) == 1 && paths[""] != ""
	wants, err := wanted(&res, unified)
	if err != nil {
		return nil, err
	}
	if unified {
		if res.CpuWeight == 0 {
			res.CpuWeight = oci.ConvertCPUSharesToCgroupV2Value(res.CpuShares)
		}
		return &res, checkRoot(wants)
	}
	if err := checkLeafWeights(&res); err != nil {
		return nil, err
	}
	res.Unified = nil // the v1 manager refuses even an empty one
	for _, w := range wants {
		if paths[w.controller] == "" {
			return nil, notMounted(w)
		}
	}
	return &res, nil
}

// notMounted is the error of a want whose controller cgroup v1 does not have.
func notMounted(w want) error {
	return fmt.Errorf("%s: the %s controller is not available in %s (no cgroup v1 hierarchy with it is mounted there)",
		w.member, w.controller, mountpoint)
}

// checkLeafWeights refuses what went with the CFQ scheduler.
func checkLeafWeights(r *oci.Resources) error {
	member := ""
	if r.BlkioLeafWeight != 0 {
		member = "leafWeight"
	}
	for i, d := range r.BlkioWeightDevice {
		if d.LeafWeight != 0 && member == "" {
			member = fmt.Sprintf("weightDevice[%d].leafWeight", i)
		}
	}
	if member == "" || exists(filepath.Join(mountpoint, "blkio", "blkio.leaf_weight")) {
		return nil
	}
	return fmt.Errorf("linux.resources.blockIO.%s: this kernel has no blkio.leaf_weight (it went with Linux 5.0)", member)
}

// checkKernelTCP takes the one limit that the library does not know.
func (c *Cgroup) checkKernelTCP(limit int64) error {
	switch {
	case limit == 0:
		return nil
	case c.unified() && limit < 0:
		return nil // there is none
	case c.unified():
		return errors.New("linux.resources.memory.kernelTCP: cgroup v2 has no such limit")
	case c.paths["memory"] == "":
		return notMounted(want{"linux.resources.memory.kernelTCP", "memory"})
	}
	c.kernelTCP = limit
	return nil
}

// checkRoot refuses what the root of the v2 tree does not have.
func checkRoot(wants []want) error {
	have, err := oci.ReadFile(mountpoint, "cgroup.controllers")
	if err != nil {
		return fmt.Errorf("look up controllers: %w", err)
	}
	controllers := strings.Fields(have)
	for _, w := range wants {
		if pseudo(w.controller) || slices.Contains(controllers, w.controller) {
			continue
		}
		why := "the kernel lacks it, or a cgroup v1 hierarchy has it"
		if exists(filepath.Join(mountpoint, "cgroup.type")) {
			why = "this is a part of the machine's tree, and what is above does not hand it on by cgroup.subtree_control"
		}
		return fmt.Errorf("%s: the %s controller is not available in %s (it is not in cgroup.controllers: %s)", w.member, w.controller, mountpoint, why)
	}
	return nil
}

// plain rewrites an error of github.com/opencontainers/cgroups so that it
// says the value and the file: write "200000 100000" to cpu.max: cause.
func plain(err error) error {
	var path *os.PathError
	if !errors.As(err, &path) {
		return err
	}
	file := filepath.Base(path.Path)
	if _, rest, ok := strings.Cut(err.Error(), "failed to write "); ok {
		if value, err := strconv.QuotedPrefix(rest); err == nil {
			return fmt.Errorf("write %s to %s: %w", value, file, path.Err)
		}
	}
	if errors.Is(path.Err, unix.ENOENT) {
		return fmt.Errorf("%s %s: this kernel has no such file: %w", path.Op, file, path.Err)
	}
	return fmt.Errorf("%s %s: %w", path.Op, file, path.Err)
}
