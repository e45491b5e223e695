package cgroups

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// limitError says which limit cgroup v1 has refused, by the library's error of
// doing something.
func limitError(doing string, err error) error {
	if member := refusedMember(err); member != "" {
		doing = "linux.resources." + member
	}
	return fmt.Errorf("%s: %w", doing, plain(err))
}

// refusedMember is the member of linux.resources that an error is about; "" if
// none is.
func refusedMember(err error) string {
	var path *os.PathError
	if errors.As(err, &path) {
		return memberOf(filepath.Base(path.Path))
	}
	text := err.Error()
	switch {
	case strings.HasPrefix(text, "unable to set memory limit"):
		return "memory.limit"
	case strings.Contains(text, "allowed cpu-shares"):
		return "cpu.shares"
	}
	return ""
}

// memberOf is the member of linux.resources that a file of cgroup v1 is
// written for; "" for all other files.
func memberOf(file string) string {
	switch file {
	case "memory.limit_in_bytes":
		return "memory.limit"
	case "memory.soft_limit_in_bytes":
		return "memory.reservation"
	case "memory.memsw.limit_in_bytes":
		return "memory.swap"
	case "memory.kmem.tcp.limit_in_bytes":
		return "memory.kernelTCP"
	case "memory.swappiness":
		return "memory.swappiness"
	case "memory.oom_control":
		return "memory.disableOOMKiller"
	case "cpu.shares":
		return "cpu.shares"
	case "cpu.cfs_quota_us":
		return "cpu.quota"
	case "cpu.cfs_period_us":
		return "cpu.period"
	case "cpu.cfs_burst_us":
		return "cpu.burst"
	case "cpu.idle":
		return "cpu.idle"
	case "cpu.rt_runtime_us":
		return "cpu.realtimeRuntime"
	case "cpu.rt_period_us":
		return "cpu.realtimePeriod"
	case "cpuset.cpus":
		return "cpu.cpus"
	case "cpuset.mems":
		return "cpu.mems"
	case "pids.max":
		return "pids.limit"
	case "blkio.weight", "blkio.bfq.weight":
		return "blockIO.weight"
	case "blkio.leaf_weight":
		return "blockIO.leafWeight"
	case "blkio.weight_device", "blkio.bfq.weight_device", "blkio.leaf_weight_device":
		return "blockIO.weightDevice"
	case "blkio.throttle.read_bps_device":
		return "blockIO.throttleReadBpsDevice"
	case "blkio.throttle.write_bps_device":
		return "blockIO.throttleWriteBpsDevice"
	case "blkio.throttle.read_iops_device":
		return "blockIO.throttleReadIOPSDevice"
	case "blkio.throttle.write_iops_device":
		return "blockIO.throttleWriteIOPSDevice"
	case "net_cls.classid":
		return "network.classID"
	case "net_prio.ifpriomap":
		return "network.priorities"
	case "rdma.max":
		return "rdma"
	}
	if strings.HasPrefix(file, "hugetlb.") {
		return "hugepageLimits"
	}
	return ""
}
