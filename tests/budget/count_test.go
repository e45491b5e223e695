package budget

import (
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// count counts everything once.
func count(t *testing.T) budget {
	t.Helper()
	b := budget{Binary: binarySize(t), Start: beforeMain(t), Cgroup: map[string]int{}, Verbs: map[string]cost{}}
	bundle := drive.Bundle(t, func(s *specs.Spec) {
		s.Process.Args = []string{"sleep", "1000"}
		s.Linux.Namespaces = nil
		for _, kind := range []specs.LinuxNamespaceType{specs.PIDNamespace, specs.NetworkNamespace, specs.IPCNamespace, specs.UTSNamespace, specs.MountNamespace} {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: kind})
		}
		var mounts []specs.Mount
		for _, m := range s.Mounts {
			if m.Type != "cgroup" && m.Type != "cgroup2" {
				mounts = append(mounts, m)
			}
		}
		s.Mounts = mounts
		s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = []string{"/proc/keys", "/sys/firmware"}, []string{"/proc/sys", "/proc/irq"}
		s.Linux.Resources = nil
	})
	c := counter{t: t, mocker: copyMocker(t), root: filepath.Join(t.TempDir(), "root"), id: fmt.Sprintf("budget-%d", os.Getpid()), global: []string{"--cgroup-manager", "disabled"}}
	life := [][]string{
		{"create", "--bundle", bundle, c.id}, {"state", c.id}, {"start", c.id}, {"exec", c.id, "true"},
		{"list"}, {"kill", c.id, "KILL"}, {"delete", "--force", c.id},
	}
	for _, args := range life {
		b.Verbs[args[0]] = c.count(args)
	}
	for _, args := range life {
		verb := b.Verbs[args[0]]
		verb.Inside, verb.Bytes = c.trace(args)
		b.Verbs[args[0]] = verb
	}
	c.cgroup(b, bundle)
	return b
}

// copyMocker puts the binary where the directory for temporary files is: what
// the sealing of it takes depends on the file system.
func copyMocker(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(drive.Mocker(t))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "mocker")
	if err := os.WriteFile(path, data, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// counter counts what commands do to one container.
type counter struct {
	t      *testing.T
	mocker string // a copy of it
	root   string
	id     string
	global []string
}

func (c *counter) count(args []string) cost {
	c.t.Helper()
	file := filepath.Join(c.t.TempDir(), "strace")
	// -D: what is left when mocker ends is strace and the container.
	call := append([]string{"-D", "-f", "-q", "-o", file, c.mocker, "--root", c.root}, append(c.global, args...)...)
	cmd := drive.Exec(c.t, "strace", call...)
	if cmd.Code != 0 {
		c.t.Fatalf("%s: %v", strings.Join(args, " "), cmd)
	}
	var seen string
	drive.Eventually(c.t, "strace has seen the end of "+args[0], func() bool {
		data, err := os.ReadFile(file)
		if err != nil {
			c.t.Fatal(err)
		}
		seen = string(data)
		pid, _, _ := strings.Cut(seen, " ")
		return pid != "" && regexp.MustCompile(`(?m)^`+pid+` +\+\+\+ exited with 0`).MatchString(seen)
	})
	return parse(seen)
}

var (
	line    = regexp.MustCompile(`^(\d+) +(\w+)\((.*)$`)
	resumed = regexp.MustCompile(`^(\d+) +<\.\.\. clone resumed>.*= (\d+)$`)
	result  = regexp.MustCompile(` = (\d+)$`)
)

// parse counts what strace has seen of mocker and its threads; of what they
// have made inside, that it was made.
func parse(seen string) cost {
	c := cost{Outside: map[string]int{}}
	all := strings.Split(seen, "\n")
	own := threads(all)
	for _, text := range all {
		m := line.FindStringSubmatch(text)
		if m == nil {
			continue
		}
		name := m[2]
		switch name {
		case "clone", "clone3", "fork", "vfork":
			if strings.Contains(m[3], "CLONE_THREAD") {
				c.Threads++
			} else {
				c.Processes++
			}
		}
		if !own[m[1]] {
			continue
		}
		if name == "execve" {
			c.Execs++
		}
		if !isRuntimes(name) {
			c.Outside[name]++
		}
	}
	return c
}

// threads finds the threads of the first process.
func threads(seen []string) map[string]bool {
	first, _, _ := strings.Cut(seen[0], " ")
	own := map[string]bool{first: true}
	waiting := map[string]bool{} // those whose new thread's number comes later
	for _, text := range seen {
		if m := resumed.FindStringSubmatch(text); m != nil && waiting[m[1]] {
			own[m[2]], waiting[m[1]] = true, false
		}
		if m := line.FindStringSubmatch(text); m == nil || m[2] != "clone" || !strings.Contains(m[3], "CLONE_THREAD") {
			continue
		} else if number := result.FindStringSubmatch(text); number != nil {
			own[number[1]] = true
		} else {
			waiting[m[1]] = true
		}
	}
	return own
}

// trace counts the calls inside, and the bytes allocated.
func (c *counter) trace(args []string) (map[string]int, int) {
	c.t.Helper()
	file := filepath.Join(c.t.TempDir(), "trace")
	call := append([]string{"--root", c.root, "--trace", file}, c.global...)
	if r := drive.Exec(c.t, c.mocker, append(call, args...)...); r.Code != 0 {
		c.t.Fatalf("%s: %v", strings.Join(args, " "), r)
	}
	list := drive.ReadTrace(c.t, file)
	calls := map[string]int{}
	for _, e := range drive.Of(list, "call") {
		calls[e.Name]++
	}
	return calls, drive.Of(list, "verb")[0].Args.Bytes
}

// cgroup counts what a cgroup with limits adds to create and delete.
func (c *counter) cgroup(b budget, bundle string) {
	place, hierarchies := "v2", 1
	if !drive.V2(c.t) {
		data, err := os.ReadFile("/proc/self/cgroup")
		if err != nil {
			c.t.Fatal(err)
		}
		place, hierarchies = "v1", strings.Count(string(data), "\n")
	}
	with := counter{t: c.t, mocker: c.mocker, root: c.root, id: c.id}
	drive.Edit(c.t, bundle, func(s *specs.Spec) {
		limit, shares := int64(64<<20), uint64(512)
		s.Linux.Resources = &specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: &shares}}
		if place == "v1" {
			s.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &limit}
		}
	})
	more := 0
	for _, args := range [][]string{{"create", "--bundle", bundle, c.id}, {"delete", "--force", c.id}} {
		more += sum(with.count(args).Outside) - sum(b.Verbs[args[0]].Outside)
	}
	b.Cgroup[place] = (more + hierarchies - 1) / hierarchies
}

func sum(counts map[string]int) int {
	n := 0
	for _, count := range counts {
		n += count
	}
	return n
}

// binarySize is the size of the binary without symbols and debug information.
func binarySize(t *testing.T) int {
	t.Helper()
	path := drive.Mocker(t)
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Section(".symtab") != nil {
		path = filepath.Join(t.TempDir(), "mocker")
		if err := drive.Build(path); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return int(info.Size())
}

// beforeMain asks the Go runtime what the packages do before main.
func beforeMain(t *testing.T) start {
	t.Helper()
	cmd := exec.Command(drive.Mocker(t), "--version")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var s start
	for _, m := range regexp.MustCompile(`(?m)^init (\S+) @.* (\d+) bytes, \d+ allocs$`).FindAllSubmatch(out, -1) {
		n, err := strconv.Atoi(string(m[2]))
		if err != nil {
			t.Fatal(err)
		}
		s.Bytes += n
		s.Packages = append(s.Packages, string(m[1]))
	}
	if len(s.Packages) < 10 {
		t.Fatalf("found %d packages in %s", len(s.Packages), out)
	}
	return s
}
