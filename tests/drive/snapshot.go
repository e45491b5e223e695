package drive

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Snapshot is the machine as far as a container could have changed it, a
// line for each thing: links, addresses, routes, firewall rules, sysctls of
// the network, cgroups, mounts, processes that descend from the test,
// keyrings, and the files of /run, of mocker's bundles and of the directory
// for temporary files.
type Snapshot []string

// TakeSnapshot looks at the machine.
func TakeSnapshot(t testing.TB) Snapshot {
	t.Helper()
	var s Snapshot
	// Few programs, as it is done often, also where their start takes long.
	s = append(s, s.command(t, "link show\naddr show\nroute show table all\nrule show\n", "ip", "-o", "-batch", "-")...)
	s = append(s, s.command(t, "", "ip", "-6", "route", "show", "table", "all")...)
	for _, line := range s.command(t, "", "iptables-save") {
		// Rules, and chains but for those that are always there, or will be
		// once somebody looks; neither counters nor the time.
		line, _, _ = strings.Cut(line, " [")
		if strings.Contains(line, ": -A") || strings.Contains(line, ": :") && !strings.HasSuffix(line, " ACCEPT") {
			s = append(s, line)
		}
	}
	s = append(s, tree("/proc/sys/net/ipv4", true)...)
	s = append(s, cgroupDirs()...)
	s = append(s, lines("mount", "/proc/self/mountinfo")...)
	s = append(s, descendants()...)
	s = append(s, keyrings()...)
	s = append(s, tree("/run", false)...)
	s = append(s, tree("/var/lib/mocker", false)...)
	s = append(s, tempFiles()...)
	slices.Sort(s)
	return s
}

// Unchanged fails the test unless the machine is as it was. What the kernel
// takes its time for, such as the end of a namespace, is waited for.
func (s Snapshot) Unchanged(t testing.TB) {
	t.Helper()
	var diff string
	for end := time.Now().Add(Patience(5 * time.Second)); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if diff = s.diff(TakeSnapshot(t)); diff == "" {
			return
		}
	}
	t.Errorf("the machine has changed:\n%s", diff)
}

func (s Snapshot) diff(now Snapshot) string {
	var b strings.Builder
	for _, l := range s {
		// A keyring stays until somebody reaps the last process that had it,
		// and the machine's init may do so for earlier tests at any time.
		if _, ok := slices.BinarySearch(now, l); !ok && !strings.HasPrefix(l, "key ") {
			fmt.Fprintln(&b, "- "+l)
		}
	}
	for _, l := range now {
		if _, ok := slices.BinarySearch(s, l); !ok {
			fmt.Fprintln(&b, "+ "+l)
		}
	}
	return b.String()
}

func (Snapshot) command(t testing.TB, input string, c ...string) []string {
	t.Helper()
	cmd := exec.Command(c[0], c[1:]...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", strings.Join(c, " "), err)
	}
	var list []string
	for line := range strings.Lines(string(out)) {
		list = append(list, strings.Join(c, " ")+": "+strings.TrimSpace(line))
	}
	return list
}

func lines(what, path string) []string {
	data, _ := os.ReadFile(path)
	var list []string
	for line := range strings.Lines(string(data)) {
		list = append(list, what+" "+strings.TrimSpace(line))
	}
	return list
}

// tree lists the files below a directory, with their content if it is asked
// for.
func tree(dir string, content bool) []string {
	var list []string
	_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // it has just gone
		}
		line := "file " + p
		if content && d.Type().IsRegular() {
			data, _ := os.ReadFile(p)
			line += " = " + strings.TrimSpace(string(data))
		}
		list = append(list, line)
		return nil
	})
	return list
}

// tempFiles lists the top of the directory for temporary files, without what
// the tests themselves make there.
func tempFiles() []string {
	entries, _ := os.ReadDir(os.TempDir())
	var list []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "Test") && !strings.HasPrefix(e.Name(), "go-build") && !strings.HasPrefix(e.Name(), "bash_") {
			list = append(list, "temporary "+e.Name())
		}
	}
	return list
}

func cgroupDirs() []string {
	var list []string
	_ = filepath.WalkDir("/sys/fs/cgroup", func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			list = append(list, "cgroup "+p)
		}
		return nil
	})
	return list
}

func keyrings() []string {
	var list []string
	for _, l := range lines("key", "/proc/keys") {
		if strings.Contains(l, "_ses.") {
			f := strings.Fields(l)
			list = append(list, "key "+strings.Join(f[len(f)-2:], " "))
		}
	}
	return list
}

// descendants lists the processes that the test, or something that it ran,
// has started. The commands that look are not among them: they have ended.
func descendants() []string {
	parents, names := map[int]int{}, map[int]string{}
	self := os.Getpid()
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, f := range stats {
		data, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		end := bytes.LastIndexByte(data, ')')
		fields := strings.Fields(string(data[end+1:]))
		pid, _ := strconv.Atoi(strings.Split(f, "/")[2])
		parents[pid], _ = strconv.Atoi(fields[1])
		if parents[pid] == self && fields[0] == "Z" {
			reap(pid)
			delete(parents, pid)
			continue
		}
		names[pid] = fmt.Sprintf("process %d %s %s", pid, data[bytes.IndexByte(data, '('):end+1], fields[0])
	}
	var list []string
	for pid := range parents {
		for p := parents[pid]; p > 1; p = parents[p] {
			if p == self {
				list = append(list, names[pid])
				break
			}
		}
	}
	return list
}

// reap reaps an ended child if it is from a pid namespace of its own, as an
// engine does: a zombie keeps its session keyring. Others are left to lie:
// they may be commands that os/exec waits for.
func reap(pid int) {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(data)) {
		if pids, ok := strings.CutPrefix(line, "NSpid:"); ok && len(strings.Fields(pids)) > 1 {
			_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
		}
	}
}

// Children are the pids of a process's children, whichever of its threads they
// were born from.
func Children(t testing.TB, pid int) []int {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/[0-9]*/children", pid))
	if err != nil || len(files) == 0 {
		t.Fatalf("process %d is gone (%v)", pid, err)
	}
	var list []int
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // a thread that has ended
		}
		for _, word := range strings.Fields(string(data)) {
			n, err := strconv.Atoi(word)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, n)
		}
	}
	return list
}
