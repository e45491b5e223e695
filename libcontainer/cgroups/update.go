package cgroups

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	oci "github.com/opencontainers/cgroups"
	devices "github.com/opencontainers/cgroups/devices/config"
)

// Update sets the limits that are given in addition to old ones, and returns
// all of them, and what takes the change back. Rules for devices, if any are
// given, take the place of all that came from config.json; always are those
// that hold besides. The error says what was wrong, and the limits are the old
// ones again.
func (c *Cgroup) Update(old, given *oci.Resources, always []*devices.Rule) (all *oci.Resources, undo func() error, err error) {
	all, err = overlay(old, given)
	if err != nil {
		return nil, nil, err
	}
	if c.res, err = resolve(withRules(together(given, all), always), c.paths); err != nil {
		return nil, nil, err
	}
	if c.unified() {
		undo, err = c.updateV2(withRules(old, always))
	} else {
		undo, err = c.updateV1(withRules(old, always))
	}
	if err != nil {
		return nil, nil, err
	}
	return all, undo, nil
}

// withRules adds rules for devices to those that there are, unless they are
// not to be set.
func withRules(r *oci.Resources, always []*devices.Rule) *oci.Resources {
	if r.SkipDevices || len(always) == 0 {
		return r
	}
	res := *r
	res.Devices = slices.Concat(r.Devices, always)
	return &res
}

func (c *Cgroup) updateV1(old *oci.Resources) (undo func() error, err error) {
	before := c.scalars()
	undo = func() error { return c.restore(old, before) }
	if err := c.set(c.res); err != nil {
		return nil, andBack(err, undo)
	}
	return undo, nil
}

// andBack takes back what has been done before an error.
func andBack(err error, undo func() error) error {
	if left := undo(); left != nil {
		err = fmt.Errorf("%w (and when setting the old ones again: %w)", err, left)
	}
	return err
}

func (c *Cgroup) updateV2(old *oci.Resources) (undo func() error, err error) {
	// A controller that nobody had asked for may not have got down to here.
	if err := handOnTo(c.paths[""]); err != nil {
		return nil, err
	}
	if err := c.checkControllers(); err != nil {
		return nil, err
	}
	list, err := settings(c.res, c.paths[""])
	if err != nil {
		return nil, err
	}
	before := c.snapshot(list)
	undo = func() error {
		if c.res.SkipDevices {
			return c.putBack(before)
		}
		return errors.Join(c.putBack(before), c.setDevices(old))
	}
	err = c.write(list)
	if err == nil {
		err = c.setDevices(c.res)
	}
	if err != nil {
		return nil, andBack(err, undo)
	}
	return undo, nil
}

// overlay lays the limits that are given over old ones.
func overlay(old, given *oci.Resources) (*oci.Resources, error) {
	all := *old
	to, from := reflect.ValueOf(&all).Elem(), reflect.ValueOf(given).Elem()
	for i := range from.NumField() {
		if !from.Field(i).IsZero() {
			to.Field(i).Set(from.Field(i))
		}
	}
	all.Unified = maps.Clone(old.Unified)
	for file, value := range given.Unified {
		if all.Unified == nil {
			all.Unified = make(map[string]string)
		}
		all.Unified[file] = value
	}
	if given.Memory == -1 && given.MemorySwap == 0 {
		// Then swap is not limited either, as with runc. The manager does so,
		// where the kernel accounts for swap, if nothing else is said.
		all.MemorySwap = 0
	}
	if all.MemorySwap > 0 && all.MemorySwap < all.Memory {
		return nil, fmt.Errorf("memory limit %d: more than the limit of memory and swap together, %d, which has to change as well", all.Memory, all.MemorySwap)
	}
	return &all, nil
}

// together adds to the limits that are given those that can only be set with
// them: they are checked against each other, or one file holds both. The rest
// is not written again, unlike in runc: who gave a cgroup another limit
// behind our back, or made it idle, shall not be told of the old one.
func together(given, all *oci.Resources) *oci.Resources {
	set := *given
	if given.Memory != 0 || given.MemorySwap != 0 {
		set.Memory, set.MemorySwap, set.MemoryCheckBeforeUpdate = all.Memory, all.MemorySwap, all.MemoryCheckBeforeUpdate
	}
	if given.CpuQuota != 0 || given.CpuPeriod != 0 || given.CpuBurst != nil {
		set.CpuQuota, set.CpuPeriod, set.CpuBurst = all.CpuQuota, all.CpuPeriod, all.CpuBurst
	}
	if given.CpuRtRuntime != 0 || given.CpuRtPeriod != 0 {
		set.CpuRtRuntime, set.CpuRtPeriod = all.CpuRtRuntime, all.CpuRtPeriod
	}
	if wakes(given) {
		set.CpuShares, set.CpuWeight = all.CpuShares, all.CpuWeight
	}
	return &set
}

// wakes reports whether a cgroup ceases to be idle, upon which the kernel
// gives it the default weight.
func wakes(r *oci.Resources) bool { return r.CPUIdle != nil && *r.CPUIdle == 0 }

// set sets limits on v1.
func (c *Cgroup) set(given *oci.Resources) error {
	m, res, err := c.manager(given)
	if err == nil && wakes(given) {
		// An idle cgroup takes no weight, and the manager writes that first.
		err = m.Set(&oci.Resources{SkipDevices: true, CPUIdle: given.CPUIdle})
	}
	if err == nil {
		err = m.Set(res)
	}
	if err != nil {
		return limitError("set limits", err)
	}
	return c.setDevices(given)
}

// scalarFiles are the files of v1 that hold one limit, as patterns.
func scalarFiles() []string {
	return []string{
		"memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.soft_limit_in_bytes", "memory.swappiness",
		"cpu.shares", "cpu.cfs_period_us", "cpu.cfs_quota_us", "cpu.cfs_burst_us", "cpu.idle",
		"cpu.rt_period_us", "cpu.rt_runtime_us",
		"cpuset.cpus", "cpuset.mems", "pids.max", "blkio.weight", "blkio.bfq.weight",
		"hugetlb.*.limit_in_bytes", "net_cls.classid",
	}
}

// scalars reads the limits that are in force, by the path of their file. What
// cannot be read cannot have been changed either.
func (c *Cgroup) scalars() map[string]string {
	values := make(map[string]string)
	for _, dir := range c.dirs() {
		for _, pattern := range scalarFiles() {
			files, _ := filepath.Glob(filepath.Join(dir, pattern))
			for _, file := range files {
				text, err := oci.ReadFile(dir, filepath.Base(file))
				if err == nil && strings.Count(text, "\n") == 1 {
					values[file] = text
				}
			}
		}
	}
	return values
}

// restore sets the old limits again, and those that nobody had set to what
// they were.
func (c *Cgroup) restore(old *oci.Resources, values map[string]string) error {
	res, err := resolve(&oci.Resources{
		SkipDevices: c.res.SkipDevices, Devices: old.Devices, BlkioWeightDevice: old.BlkioWeightDevice,
		BlkioThrottleReadBpsDevice: old.BlkioThrottleReadBpsDevice, BlkioThrottleWriteBpsDevice: old.BlkioThrottleWriteBpsDevice,
		BlkioThrottleReadIOPSDevice: old.BlkioThrottleReadIOPSDevice, BlkioThrottleWriteIOPSDevice: old.BlkioThrottleWriteIOPSDevice,
		NetPrioIfpriomap: old.NetPrioIfpriomap, Rdma: old.Rdma,
	}, c.paths)
	if err == nil {
		err = c.set(res)
	}
	// Limits hold each other fast: swap is never less than memory, a quota
	// never more than its parent's. Some move only after others have.
	var errs []error
	for range 3 {
		errs = []error{err}
		for file, value := range values {
			dir, name := filepath.Dir(file), filepath.Base(file)
			if now, err := oci.ReadFile(dir, name); err != nil || now == value {
				continue
			}
			if err := oci.WriteFile(dir, name, value); err != nil {
				errs = append(errs, plain(err))
			}
		}
	}
	return errors.Join(errs...)
}
