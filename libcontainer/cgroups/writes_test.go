package cgroups

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	oci "github.com/opencontainers/cgroups"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/specconv"
	"github.com/mocker-runtime/mocker/tests/coverage"
)

// asked are the limits of a linux.resources.
func asked(t *testing.T, text string) *oci.Resources {
	t.Helper()
	var given specs.LinuxResources
	if err := json.Unmarshal([]byte(text), &given); err != nil {
		t.Fatal(err)
	}
	res, warnings, err := specconv.Limits(&given)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("%s: %v, %q", text, err, warnings)
	}
	return res
}

// standIn lets files of an ordinary directory stand for the kernel's, as the
// library has it for its own tests.
func standIn(t *testing.T) string {
	t.Helper()
	oci.TestMode = true
	t.Cleanup(func() { oci.TestMode = false })
	return t.TempDir()
}

func written(t *testing.T, path, want string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil || strings.TrimSpace(string(data)) != want {
		t.Errorf("%s: %q, %v; want %q", filepath.Base(path), data, err, want)
	}
}

// TestWrites: limits of controllers that few machines have on cgroup v1, as
// they get to files that stand for the kernel's (cgroup-v1/ in its
// Documentation): those of blkio went with Linux 5.0.
func TestWrites(t *testing.T) {
	root := standIn(t)
	for _, row := range []struct {
		name, resources, controller string
		want                        map[string]string
		shows                       []string
	}{
		{"classID", `{"network":{"classID":1048577}}`, "net_cls", map[string]string{"net_cls.classid": "1048577"}, []string{"network.classID"}},
		{"priorities", `{"network":{"priorities":[{"name":"eth7","priority":3}]}}`, "net_prio", map[string]string{"net_prio.ifpriomap": "eth7 3"},
			[]string{"network.priorities"}},
		{"rdma", `{"rdma":{"mlx5_1":{"hcaHandles":3,"hcaObjects":10000}}}`, "rdma", map[string]string{"rdma.max": "mlx5_1 hca_handle=3 hca_object=10000"}, []string{"rdma"}},
		{"huge pages", `{"hugepageLimits":[{"pageSize":"2MB","limit":4194304}]}`, "hugetlb", map[string]string{
			"hugetlb.2MB.limit_in_bytes": "4194304", "hugetlb.2MB.rsvd.limit_in_bytes": "4194304",
		}, []string{"hugepageLimits"}},
		{"leaf weights", `{"blockIO":{"leafWeight":70,"weightDevice":[{"major":8,"minor":16,"weight":500,"leafWeight":30}]}}`, "blkio", map[string]string{
			"blkio.leaf_weight": "70", "blkio.weight_device": "8:16 500", "blkio.leaf_weight_device": "8:16 30",
		}, []string{"blockIO.leafWeight", "blockIO.weightDevice"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, name := range row.shows {
				coverage.ShowsWrites(t, "linux.resources."+name)
			}
			dir := filepath.Join(root, row.controller)
			c := &Cgroup{paths: map[string]string{row.controller: dir}, res: asked(t, row.resources)}
			if err := c.configure(); err != nil {
				t.Fatal(err)
			}
			for file, want := range row.want {
				path := filepath.Join(dir, file)
				if bfq := filepath.Join(dir, "blkio.bfq.weight_device"); exists(bfq) && file == "blkio.weight_device" {
					path = bfq // the library looks for the names of this machine's kernel once
				}
				written(t, path, want)
			}
		})
	}
}

// TestWritesV2: the same for a device of RDMA on cgroup v2.
func TestWritesV2(t *testing.T) {
	coverage.ShowsWrites(t, "linux.resources.rdma")
	dir := standIn(t)
	c := &Cgroup{paths: map[string]string{"": dir}, res: asked(t, `{"rdma":{"mlx5_1":{"hcaHandles":3,"hcaObjects":10000}}}`)}
	list, err := settings(c.res, dir)
	if err == nil {
		err = c.write(list)
	}
	if err != nil {
		t.Fatal(err)
	}
	written(t, filepath.Join(dir, "rdma.max"), "mlx5_1 hca_handle=3 hca_object=10000")
}
