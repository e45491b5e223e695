package cgroups

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	oci "github.com/opencontainers/cgroups"
)

func num[T any](v T) *T { return &v }

func TestOverlay(t *testing.T) {
	for name, c := range map[string]struct {
		old, given, all, set oci.Resources
		refused              string
	}{
		"nothing":  {old: oci.Resources{Memory: 5}, all: oci.Resources{Memory: 5}},
		"new":      {given: oci.Resources{PidsLimit: num(int64(0))}, all: oci.Resources{PidsLimit: num(int64(0))}, set: oci.Resources{PidsLimit: num(int64(0))}},
		"replaces": {old: oci.Resources{CpuShares: 5, BlkioWeight: 20}, given: oci.Resources{CpuShares: 7}, all: oci.Resources{CpuShares: 7, BlkioWeight: 20}, set: oci.Resources{CpuShares: 7}},
		"memory and swap belong together": {
			old: oci.Resources{Memory: 5, MemorySwap: 9, MemoryReservation: 1}, given: oci.Resources{Memory: 6},
			all: oci.Resources{Memory: 6, MemorySwap: 9, MemoryReservation: 1}, set: oci.Resources{Memory: 6, MemorySwap: 9},
		},
		"no limit of memory is none of swap": {
			old: oci.Resources{Memory: 5, MemorySwap: 9}, given: oci.Resources{Memory: -1}, all: oci.Resources{Memory: -1}, set: oci.Resources{Memory: -1},
		},
		"more memory than with swap": {old: oci.Resources{MemorySwap: 9}, given: oci.Resources{Memory: 10}, refused: "memory limit 10: more than the limit of memory and swap together, 9"},
		"less swap than memory":      {old: oci.Resources{Memory: 9}, given: oci.Resources{MemorySwap: 8}, refused: "memory limit 9: more than"},
		"quota and period are in one file": {
			old: oci.Resources{CpuQuota: 5, CpuPeriod: 9, CpuShares: 2}, given: oci.Resources{CpuQuota: 6},
			all: oci.Resources{CpuQuota: 6, CpuPeriod: 9, CpuShares: 2}, set: oci.Resources{CpuQuota: 6, CpuPeriod: 9},
		},
		"realtime": {
			old: oci.Resources{CpuRtPeriod: 9, CpuQuota: 5}, given: oci.Resources{CpuRtRuntime: 6},
			all: oci.Resources{CpuRtRuntime: 6, CpuRtPeriod: 9, CpuQuota: 5}, set: oci.Resources{CpuRtRuntime: 6, CpuRtPeriod: 9},
		},
		"no more idle": {
			old: oci.Resources{CPUIdle: num(int64(1)), CpuShares: 5, CpuWeight: 6}, given: oci.Resources{CPUIdle: num(int64(0))},
			all: oci.Resources{CPUIdle: num(int64(0)), CpuShares: 5, CpuWeight: 6}, set: oci.Resources{CPUIdle: num(int64(0)), CpuShares: 5, CpuWeight: 6},
		},
		"unified": {
			old: oci.Resources{Unified: map[string]string{"a.b": "1", "c.d": "2"}}, given: oci.Resources{Unified: map[string]string{"c.d": "3"}},
			all: oci.Resources{Unified: map[string]string{"a.b": "1", "c.d": "3"}}, set: oci.Resources{Unified: map[string]string{"c.d": "3"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.given.SkipDevices = true
			all, err := overlay(&c.old, &c.given)
			if c.refused != "" || err != nil {
				if c.refused == "" || err == nil || !strings.HasPrefix(err.Error(), c.refused) {
					t.Errorf("got %v, want %q", err, c.refused)
				}
				return
			}
			set := together(&c.given, all)
			c.all.SkipDevices, c.set.SkipDevices = true, true
			if !reflect.DeepEqual(*all, c.all) || !reflect.DeepEqual(*set, c.set) {
				t.Errorf("all %+v\nwant %+v\nset %+v\nwant %+v", *all, c.all, *set, c.set)
			}
		})
	}
}

// TestRestore: files that hold each other fast get their old values whatever
// the order.
func TestRestore(t *testing.T) {
	c := made(t, noLimits())
	file, value := "pids.max", "12"
	var restore func() error
	if c.unified() {
		file, value = "cgroup.max.depth", "7" // the tree may have no controller
		before := c.snapshot([]setting{{file: file}})
		restore = func() error { return c.putBack(before) }
	} else {
		before := c.scalars()
		restore = func() error { return c.restore(&oci.Resources{}, before) }
		gone := map[string]string{filepath.Join(c.paths["pids"], "none.max"): "5\n"}
		c.res.SkipDevices = true
		if err := c.restore(&oci.Resources{}, gone); err != nil {
			t.Errorf("what is gone needs no old limit: %v", err)
		}
	}
	dir := c.paths[""]
	if !c.unified() {
		dir = c.paths["pids"]
	}
	if err := oci.WriteFile(dir, file, value); err != nil {
		t.Fatal(err)
	}
	if err := restore(); err != nil {
		t.Error(err)
	}
	if got, err := oci.ReadFile(dir, file); err != nil || got != "max\n" {
		t.Errorf("%s: %q, %v", file, got, err)
	}
}
