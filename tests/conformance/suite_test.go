package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/coverage"
	"github.com/mocker-runtime/mocker/tests/drive"
)

func TestMain(m *testing.M) { drive.Main(m) }

// insider is the program that containers run; the others drive the runtime.
const insider = "runtimetest"

// suite is the directory with the programs of the suite and its root file
// systems, where "make conformance" has put them.
func suite(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("CONFORMANCE")
	if dir == "" {
		dir = filepath.Join("..", "..", "dist", "conformance")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	// The suite calls the archives of root file systems after Go's architectures.
	archive := "rootfs-" + runtime.GOARCH + ".tar.gz"
	if _, err := os.Stat(filepath.Join(dir, insider)); err != nil {
		t.Fatalf("%v: make conformance builds the suite", err)
	}
	if _, err := os.Stat(filepath.Join(dir, archive)); err != nil {
		t.Skipf("needs %s, which runtime-tools does not have for this architecture", archive)
	}
	return dir
}

// programs are the names of those in a directory.
func programs(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.Name() != insider && !strings.Contains(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names
}

// TestSuite runs all programs. With RECORD=1 it records what they say, else it
// compares with what was recorded of mocker.
func TestSuite(t *testing.T) {
	drive.NeedRoot(t)
	s := newRun(t)
	before := drive.TakeSnapshot(t)
	recording := os.Getenv("RECORD") != ""
	recorded, given := loadRecord(t, place(), s.name).Programs, reasons(t, place())
	t.Run("program", func(t *testing.T) {
		for _, name := range programs(t, s.dir) {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				o := s.program(t, name)
				if drive.Others() {
					return
				}
				race := given[name].Races
				for again := 0; race != "" && o.Status != race && again < 5; again++ {
					t.Logf("once more, for it is a race: %s", given[name].Why)
					o = s.program(t, name)
				}
				if !recording {
					compare(t, name, o, recorded[name], given[name])
				}
			})
		}
	})
	reapAll()
	if !drive.Others() {
		before.Unchanged(t)
	}
	if recording {
		rec := loadRecord(t, place(), s.name) // with -run some of the programs are run
		maps.Copy(rec.Programs, s.found)
		rec.Runtime = version(t, s.runtime)
		saveRecord(t, place(), s.name, rec)
		saveDocument(t)
	}
}

// reapAll reaps the ended processes of containers, which are the test's by
// now: a zombie keeps its session keyring. No command is waited for any more.
func reapAll() {
	for pid, err := 1, error(nil); pid > 0 && err == nil; {
		pid, err = unix.Wait4(-1, nil, unix.WNOHANG, nil)
	}
}

func newRun(t *testing.T) *run {
	t.Helper()
	path, err := exec.LookPath(drive.Runtime(t))
	if err != nil {
		t.Fatal(err)
	}
	return &run{dir: suite(t), runtime: path, name: filepath.Base(path), found: map[string]outcome{}}
}

// run is one run of the suite.
type run struct {
	dir     string // of the programs
	runtime string // path
	name    string // of the runtime

	cgroup sync.Mutex // of the programs that use one path for their cgroup
	mu     sync.Mutex
	found  map[string]outcome
}

// program runs one and remembers how it ended.
func (s *run) program(t *testing.T, name string) outcome {
	t.Helper()
	if strings.HasPrefix(name, "linux_cgroups_") || strings.HasPrefix(name, "delete_") {
		s.cgroup.Lock()
		defer s.cgroup.Unlock()
		defer removeCgroups(t)
	}
	if name == "linux_process_apparmor_profile" && has["AppArmor"]() {
		loadProfile(t)
	}
	start := time.Now()
	tap, stderr, end := s.start(t, name)
	o := read(tap, stderr, end)
	t.Logf("%s: %s, %d ok, %d of them skipped, %.1f s", s.name, o.Status, o.OK, o.Skipped, time.Since(start).Seconds())
	for _, text := range o.NotOK {
		t.Log("not ok:", text)
	}
	if o.Status != pass {
		t.Logf("exit %d, stderr:\n%s", end.code, stderr)
	}
	s.mu.Lock()
	s.found[name] = o
	s.mu.Unlock()
	return o
}

// loadProfile loads the profile that the suite asks for and does not bring.
func loadProfile(t *testing.T) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "profile")
	const text = "profile acme_secure_profile flags=(attach_disconnected) { file, capability, network, mount, umount, pivot_root, ptrace, signal, unix, }\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if r := drive.Exec(t, "apparmor_parser", "--skip-cache", "--replace", file); r.Code != 0 {
		t.Fatalf("load a profile: %v", r)
	}
	t.Cleanup(func() { drive.Exec(t, "apparmor_parser", "--skip-cache", "--remove", file) })
}

// start runs a program in a session with a terminal, in the directory of the
// suite, where it looks for the root file system, and in a mount namespace of
// its own, and takes away the containers that it leaves.
func (s *run) start(t *testing.T, name string) (tap, stderr string, end ending) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), drive.Patience(100*time.Second))
	defer cancel()
	master, slave := drive.OpenTerminal(t)
	defer master.Close()
	defer slave.Close()
	go func() { _, _ = io.Copy(io.Discard, master) }()
	state := t.TempDir()
	if err := os.Chmod(filepath.Dir(state), 0o755); err != nil { // a root by maps has to get to its bundle
		t.Fatal(err)
	}
	out, errs := filepath.Join(state, "out"), filepath.Join(state, "errs")
	cmd := exec.CommandContext(ctx, filepath.Join(s.dir, name))
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = s.dir, slave, create(t, out), create(t, errs)
	cmd.Env = append(os.Environ(), "RUNTIME="+s.wrapper(t, state), "TMPDIR="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Unshareflags: syscall.CLONE_NEWNS}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && ctx.Err() == nil {
		t.Fatal(err)
	}
	s.deleteAll(t, filepath.Join(state, "root"))
	return content(t, out), content(t, errs), ending{cmd.ProcessState.ExitCode(), ctx.Err() != nil}
}

// oldCrun makes a bundle one that Debian's crun accepts: it refuses a version
// later than 1.0, and to work where the v2 tree of a hybrid machine is mounted.
const oldCrun = `umount /sys/fs/cgroup/unified 2>/dev/null
if [ "$1 $2" = "create --bundle" ]; then
	sed -i 's/"ociVersion": "1\.[1-9][^"]*"/"ociVersion": "1.0.2"/' "$3/config.json"
fi
`

// wrapper makes a command of the runtime with a root of its own, so that the
// containers that a program leaves behind can be found.
func (s *run) wrapper(t *testing.T, state string) string {
	t.Helper()
	script := "#!/bin/sh\n"
	if s.name == "crun" {
		script += oldCrun
	}
	script += fmt.Sprintf("exec '%s' --root '%s/root' \"$@\"\n", s.runtime, state)
	path := filepath.Join(state, s.name)
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// deleteAll deletes the containers below a root.
func (s *run) deleteAll(t *testing.T, root string) {
	t.Helper()
	entries, err := os.ReadDir(root)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, e := range entries {
		if out, err := exec.Command(s.runtime, "--root", root, "delete", "--force", e.Name()).CombinedOutput(); err != nil && !drive.Others() {
			t.Errorf("delete what is left: %v: %s", err, out)
		}
	}
}

// shown is what programs show that hold all that they check.
var shown = map[string][]string{
	"config_updates_without_affect": {"create: later changes of config.json have no effect"},
	"create":                        {"create: an id that is in use is an error and changes nothing"},
	"delete_only_create_resources":  {"delete: removes what create has made, and nothing else"},
	"hostname":                      {"hostname"},
	"kill":                          {"kill: sends the signal"},
	"kill_no_effect":                {"kill: an error for a container that neither runs nor is created, without effect"},
	"linux_cgroups_cpus":            {"linux.resources.cpu.shares", "linux.resources.cpu.quota", "linux.resources.cpu.period", "linux.resources.cpu.cpus", "linux.resources.cpu.mems"},
	"linux_cgroups_devices":         {"linux.resources.devices"},
	"linux_devices":                 {"linux.devices"},
	"linux_masked_paths":            {"linux.maskedPaths"},
	"linux_ns_itype":                {"linux.namespaces.type"},
	"linux_ns_nopath":               {"linux.namespaces.type"},
	"linux_ns_path":                 {"linux.namespaces.path"},
	"linux_readonly_paths":          {"linux.readonlyPaths"},
	"linux_rootfs_propagation":      {"linux.rootfsPropagation"},
	"linux_sysctl":                  {"linux.sysctl"},
	"linux_uid_mappings":            {"linux.uidMappings", "linux.gidMappings"},
	"mounts":                        {"mounts.destination", "mounts.type", "mounts.source", "mounts.options"},
	"process":                       {"process.args", "process.cwd", "process.env"},
	"process_oom_score_adj":         {"process.oomScoreAdj"},
	"process_user":                  {"process.user.uid", "process.user.gid", "process.user.additionalGids"},
	"root_readonly_true":            {"root.readonly"},
	"state":                         {"state: gives the state of a container", "state: an error for a container that does not exist"},
}

// compare fails the test if mocker does not do as is recorded: worse, or
// better though the machine is not better.
func compare(t *testing.T, name string, now, recorded outcome, why reason) {
	t.Helper()
	worse, better := now.against(recorded)
	for _, text := range worse {
		t.Error("worse than recorded:", text)
	}
	if now.Status == pass {
		coverage.Shows(t, shown[name]...)
	}
	if why.Races != "" || why.Lacks != "" && has[why.Lacks]() {
		return
	}
	for _, text := range better {
		t.Error("better than recorded, so record it (RECORD=1):", text)
	}
}

// removeCgroups removes the cgroups that the suite asks for and that runtimes
// leave: /cgrouptest, and those above the relative testdir/cgrouptest/container.
func removeCgroups(t *testing.T) {
	t.Helper()
	for _, pattern := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/*"} {
		own := ownCgroups()
		for _, path := range []string{"testdir/cgrouptest/container", "testdir/cgrouptest", "testdir", "cgrouptest"} {
			found, err := filepath.Glob(filepath.Join(pattern, path))
			if err != nil {
				t.Fatal(err)
			}
			for _, below := range own {
				more, _ := filepath.Glob(filepath.Join(pattern, below, path))
				found = append(found, more...)
			}
			for _, dir := range found {
				if err := os.Remove(dir); err != nil && !os.IsNotExist(err) {
					t.Errorf("remove what is left: %v", err)
				}
			}
		}
	}
}

// ownCgroups are the paths of the cgroups that the test is in.
func ownCgroups() []string {
	data, _ := os.ReadFile("/proc/self/cgroup")
	var paths []string
	for line := range strings.Lines(string(data)) {
		if f := strings.SplitN(strings.TrimSpace(line), ":", 3); len(f) == 3 && f[2] != "/" {
			paths = append(paths, f[2])
		}
	}
	return paths
}

// create makes the file that a program writes to: not a pipe, which a container
// that it leaves would keep open.
func create(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func content(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestAllPrograms: none of the suite's programs is missing in go.mod.
func TestAllPrograms(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("needs the go command, which is not on this machine")
	}
	list := func(args ...string) []string {
		out, err := exec.Command("go", append([]string{"list", "-f", `{{if eq .Name "main"}}{{.ImportPath}}{{end}}`}, args...)...).Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Fields(string(out))
	}
	all := append(list("github.com/opencontainers/runtime-tools/validation/..."), "github.com/opencontainers/runtime-tools/cmd/"+insider)
	built := list("tool")
	slices.Sort(all)
	slices.Sort(built)
	if len(all) < 50 || !slices.Equal(all, built) {
		t.Errorf("runtime-tools has the programs\n%q,\ngo.mod has the tools\n%q", all, built)
	}
}
