package cgroups

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mocker-runtime/mocker/libcontainer/config"
	oci "github.com/opencontainers/cgroups"
	"golang.org/x/sys/unix"
)

func TestLifecycle(t *testing.T) {
	c := open(t, noLimits())
	if err := c.Make(); err != nil {
		t.Fatal(err)
	}
	w := start(t, "(: </dev/null) && echo null; exec sleep 100")
	if err := c.Add(w.pid()); err != nil {
		t.Fatal(err)
	}
	in, err := oci.ParseCgroupFile(fmt.Sprintf("/proc/%d/cgroup", w.pid()))
	if err != nil {
		t.Fatal(err)
	}
	for name, dir := range c.Paths() {
		if !strings.HasSuffix(dir, in[name]) || in[name] == "/" {
			t.Errorf("controller %q: the process is in %q, want %q", name, in[name], dir)
		}
	}
	if got := w.run(); got != "null" {
		t.Errorf("/dev/null cannot be opened: %q", got)
	}
	pids, err := c.Procs()
	if want := []int{w.pid()}; err != nil || !slices.Equal(pids, want) {
		t.Errorf("processes: got %v, %v, want %v", pids, err, want)
	}
	_, err = Open(config.Cgroup{Path: "/" + c.parent + "/c", Resources: noLimits()}, "other", false)
	if err == nil || !strings.Contains(err.Error(), "container's cgroup is not empty: "+c.dirs()[0]) {
		t.Errorf("second container in the same cgroup: got %v", err)
	}
	again, err := FromPaths(c.Paths())
	if err != nil {
		t.Fatal(err)
	}
	again.parent = c.parent
	go w.wait()
	if err := again.KillAll(unix.SIGKILL); err != nil {
		t.Error(err)
	}
	if err := again.Destroy(); err != nil {
		t.Error(err)
	}
	if err := again.Destroy(); err != nil {
		t.Errorf("destroyed twice: %v", err)
	}
	if pids, err := again.Procs(); len(pids) != 0 || err != nil {
		t.Errorf("processes of what is gone: %v, %v", pids, err)
	}
}

func TestDevices(t *testing.T) {
	if f, err := os.Open("/dev/full"); err != nil {
		t.Fatal(err) // else there is nothing to deny
	} else {
		_ = f.Close()
	}
	c := made(t, noLimits())
	w := start(t, "n=no z=no; (: </dev/null) && n=yes; (: </dev/full) 2>&- && z=yes; echo null=$n full=$z")
	if err := c.Add(w.pid()); err != nil {
		t.Fatal(err)
	}
	if got := w.run(); got != "null=yes full=no" {
		t.Errorf("devices that can be opened: got %q", got)
	}
}

func TestLimits(t *testing.T) {
	pids := int64(7)
	res := noLimits()
	res.Memory, res.CpuQuota, res.CpuPeriod, res.PidsLimit, res.CpuShares = 64<<20, 50000, 100000, &pids, 512
	parent, path := place(t)
	c, err := Open(config.Cgroup{Path: path, Resources: res}, "c", false)
	if isType(mountpoint, unix.CGROUP2_SUPER_MAGIC) && os.Getenv(viewEnv) != "" {
		want := "linux.resources.cpu: the cpu controller is not available in /sys/fs/cgroup ("
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s...", err, want)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	c.parent = parent
	if err := c.Make(); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"memory/memory.limit_in_bytes": "67108864", "cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.shares": "512",
		"pids/pids.max": "7", "cpuset/cpuset.cpus": first(t, "cpuset/cpuset.cpus"),
	}
	if c.unified() {
		files = map[string]string{
			"/memory.max": "67108864", "/cpu.max": "50000 100000", "/pids.max": "7",
			"/cpu.weight": fmt.Sprint(oci.ConvertCPUSharesToCgroupV2Value(512)),
		}
	}
	for file, want := range files {
		controller, file, _ := strings.Cut(file, "/")
		got, err := oci.ReadFile(c.paths[controller], file)
		if err != nil || strings.TrimSpace(got) != want {
			t.Errorf("%s: got %q, %v, want %q", file, got, err, want)
		}
	}
	if err := c.Destroy(); err != nil {
		t.Error(err)
	}
}

func first(t *testing.T, file string) string {
	t.Helper()
	if isType(mountpoint, unix.CGROUP2_SUPER_MAGIC) {
		return ""
	}
	data, err := os.ReadFile(filepath.Join(mountpoint, file))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

// What fails half-way leaves nothing, Destroy after it included.
func TestMakeUndoes(t *testing.T) {
	res := noLimits()
	want := `linux.resources.cpu.quota: write "1 100000" to cpu.max: invalid argument`
	switch {
	case os.Getenv(viewEnv) != "":
		res.HugetlbLimit = []*oci.HugepageLimit{{Pagesize: "7MB", Limit: 1}}
		want = `linux.resources.hugepageLimits[0]: write "1" to hugetlb.7MB.max: this kernel has no such file: `
	case isType(mountpoint, unix.CGROUP2_SUPER_MAGIC):
		res.CpuQuota, res.CpuPeriod = 1, 100000
	default:
		res.CpuQuota = 1
		want = `linux.resources.cpu.quota: write "1" to cpu.cfs_quota_us: invalid argument`
	}
	c := open(t, res)
	paths := c.Paths()
	if err := c.Make(); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	for _, dir := range paths {
		if exists(dir) || exists(filepath.Dir(dir)) {
			t.Errorf("%s is left", dir)
		}
	}
	if err := c.Destroy(); err != nil {
		t.Error(err)
	}
}

// On v2 a parent that holds processes cannot pass controllers on.
func TestControllerIsNotPassedOn(t *testing.T) {
	if !isType(mountpoint, unix.CGROUP2_SUPER_MAGIC) {
		return // v1 knows no such thing; TestPureV2View comes here
	}
	have, err := oci.ReadFile(mountpoint, "cgroup.controllers")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(have, "hugetlb") {
		t.Skip("this kernel, or its cgroup v2 tree, has no hugetlb controller")
	}
	outer := made(t, noLimits())
	w := start(t, "exec sleep 100")
	if err := outer.Add(w.pid()); err != nil {
		t.Fatal(err)
	}
	res := noLimits()
	size := oci.HugePageSizes()[0]
	res.HugetlbLimit = []*oci.HugepageLimit{{Pagesize: size, Limit: 1 << 30}}
	c, err := Open(config.Cgroup{Path: "/" + outer.parent + "/c/inner", Resources: res}, "c", false)
	if err != nil {
		t.Fatal(err)
	}
	err = c.Make()
	want := fmt.Sprintf("linux.resources.hugepageLimits: the hugetlb controller is not available in %s/inner: "+
		"%[1]s cannot hand it on while processes live in it, such as %d: move them into a cgroup below it, or choose another linux.cgroupsPath",
		outer.paths[""], w.pid())
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if kind, err := oci.ReadFile(outer.paths[""], "cgroup.type"); err != nil || kind != "domain\n" {
		t.Errorf("the outer cgroup has become of type %q, %v", kind, err)
	}
	if exists(outer.paths[""] + "/inner") {
		t.Error("the inner cgroup is left")
	}
}

func TestLocate(t *testing.T) {
	for _, c := range []struct{ path, want string }{
		{"/a/b", "/a/b"}, {"/a/../../../b", "/b"}, {"//a//", "/a"}, {"/a/./b/..", "/a"},
	} {
		paths, err := locate(c.path)
		if err != nil {
			t.Fatal(err)
		}
		for name, dir := range paths {
			top := mountpoint
			if !isType(mountpoint, unix.CGROUP2_SUPER_MAGIC) {
				parts := strings.SplitN(strings.TrimPrefix(dir, mountpoint+"/"), "/", 2)
				top = filepath.Join(mountpoint, parts[0])
			}
			if dir != top+c.want {
				t.Errorf("%q of %q: got %s, want %s", c.path, name, dir, top+c.want)
			}
		}
	}
	for _, path := range []string{"/", "/..", "..", ".", "a/..", "/a/.."} {
		if paths, err := locate(path); err == nil {
			t.Errorf("%q: got %v, want an error", path, paths)
		}
	}
	own, err := oci.ParseCgroupFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	paths, err := locate("../../x")
	if err != nil {
		t.Fatal(err)
	}
	for name, dir := range paths {
		at := own[name]
		if dir == mountpoint+filepath.Join("/", filepath.Dir(at), "x") && len(paths) == 1 {
			continue
		}
		if !strings.HasSuffix(dir, filepath.Join("/", at, "x")) {
			t.Errorf("relative path of %q: got %s, own cgroup is %s", name, dir, at)
		}
	}
}

func TestDefaultPath(t *testing.T) {
	id := fmt.Sprintf("mocker-test-%d", os.Getpid())
	c, err := Open(config.Cgroup{Resources: noLimits()}, id, false)
	if err != nil {
		t.Fatal(err)
	}
	for name, dir := range c.Paths() {
		if !strings.HasSuffix(dir, "/mocker/"+id) || !c.ours(filepath.Dir(dir)) {
			t.Errorf("%q: got %s", name, dir)
		}
	}
}
