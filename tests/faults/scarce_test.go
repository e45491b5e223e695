package faults

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// told wants success, or an error of mocker's that says what is wrong. What
// has so little that Go cannot run either may end in the words of its runtime.
func told(t *testing.T, what string, r drive.Result, orGo bool) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(r.Stderr), "\n")
	last := lines[len(lines)-1]
	switch {
	case r.Code == 0 && r.Stderr == "", r.Code != 0 && strings.HasPrefix(last, "mocker: ") && len(last) > 20:
	case orGo && r.Code != 0 && (r.Code > 128 || strings.Contains(r.Stderr, "fatal error: ") || strings.Contains(r.Stderr, "runtime: ") ||
		!strings.Contains(r.Stderr, "mocker") && strings.Contains(r.Stderr, "prlimit")):
	default:
		t.Errorf("%s: neither done nor told why not: %v", what, r)
	}
	if strings.Contains(r.Stderr, "panic: ") {
		t.Errorf("%s: %v", what, r)
	}
	if r.Took > drive.Patience(10*time.Second) {
		t.Errorf("%s took %v", what, r.Took)
	}
}

// scarce runs create, run and exec with something before their command line,
// and wants each to work or to say why not, and nothing left. It gives how
// many worked.
func scarce(t *testing.T, bundle string, before machine, orGo bool, wrap ...string) (worked int) {
	t.Helper()
	line := func(args ...string) drive.Result {
		t.Helper()
		all := append(append(append([]string{}, wrap...), drive.Mocker(t)), args...)
		return drive.Exec(t, all[0], all[1:]...)
	}
	for _, verb := range [][]string{{"create", "--bundle", bundle, id}, {"run", "--detach", "--bundle", bundle, id}, {"exec", id, "true"}} {
		if verb[0] == "exec" {
			drive.OK(t, "run", "--detach", "--bundle", bundle, id)
		}
		r := line(verb...)
		told(t, strings.Join(append(wrap[:len(wrap):len(wrap)], verb[0]), " "), r, orGo)
		t.Logf("%q: %s: exit %d, %.300s", wrap, verb[0], r.Code, r.Stderr)
		if r.Code == 0 {
			worked++
		}
		if strings.Contains(r.Stderr, "warning: container "+id+": poststop hooks: ") {
			os.Remove(before.mark) // for want of what is scarce, and it has said so
		}
		if verb[0] == "exec" && !strings.Contains(drive.OK(t, "state", id), `"running"`) {
			t.Errorf("%q: exec has harmed the container", wrap)
		}
		stop := reapWhile(t) // an exec that the Go runtime has ended leaves its program
		before.cleaned(t)
		stop()
		if t.Failed() {
			t.FailNow()
		}
	}
	return worked
}

// sweep runs scarce for several amounts; the most of them is enough and the
// least is not, or the test does not say anything.
func sweep(t *testing.T, orGo bool, amounts []int, wrap func(n int) []string) {
	t.Helper()
	bundle, before := faultBundle(t)
	// The limits that the container gets may be more than the caller can give.
	drive.Edit(t, bundle, func(s *specs.Spec) { s.Process.Rlimits = nil })
	for i, n := range amounts {
		worked := scarce(t, bundle, before, orGo, wrap(n)...)
		if i == 0 && worked != 0 {
			t.Errorf("with %d, %d of 3 work: that is not scarce", n, worked)
		}
		if i == len(amounts)-1 && worked != 3 {
			t.Errorf("with %d, %d of 3 work: that is too scarce", n, worked)
		}
	}
}

// TestFewDescriptors: as many descriptors as the hard limit has.
func TestFewDescriptors(t *testing.T) {
	sweep(t, true, []int{4, 7, 9, 11, 13, 15, 18, 22, 27, 33, 40, 100}, func(n int) []string {
		return []string{"prlimit", fmt.Sprintf("--nofile=%d:%[1]d", n)}
	})
}

// TestLittleAddressSpace: ENOMEM of mocker's own, by rlimit.
func TestLittleAddressSpace(t *testing.T) {
	sweep(t, true, []int{20, 60, 100, 120, 140, 1 << 12}, func(n int) []string {
		return []string{"prlimit", fmt.Sprintf("--as=%d:%[1]d", n<<20)}
	})
}

// TestInFullCgroup: mocker in a cgroup that has no free pids, or no memory.
func TestInFullCgroup(t *testing.T) {
	for _, c := range []struct {
		tree, v1, v2 string
		amounts      []int
		unit         int
	}{
		{"pids", "pids.max", "pids.max", []int{1, 3, 5, 6, 7, 8, 9, 100}, 1},
		{"memory", "memory.limit_in_bytes", "memory.max", []int{1, 2, 3, 512}, 1 << 20},
	} {
		t.Run(c.tree, func(t *testing.T) {
			dir, file := filepath.Join("/sys/fs/cgroup", c.tree, id+"-outer"), c.v1
			if drive.V2(t) {
				drive.NeedLimits(t, c.tree)
				dir, file = "/sys/fs/cgroup/"+id+"-outer", c.v2
			}
			must(t, os.Mkdir(dir, 0o755))
			defer func() {
				drive.Eventually(t, "the cgroup is empty", func() bool { return os.Remove(dir) == nil })
			}()
			if drive.V2(t) {
				enable(t, c.tree)
			}
			sweep(t, true, c.amounts, func(n int) []string {
				must(t, os.WriteFile(filepath.Join(dir, file), []byte(fmt.Sprint(n*c.unit)), 0o644))
				return []string{"sh", "-c", "echo $$ >" + dir + `/cgroup.procs && exec "$@"`, "sh"}
			})
		})
	}
}

// enable makes sure that children of the root have a controller.
func enable(t *testing.T, controller string) {
	t.Helper()
	must(t, os.WriteFile("/sys/fs/cgroup/cgroup.subtree_control", []byte("+"+controller), 0o644))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fill takes all that is left of a file system, but for some bytes.
func fill(t *testing.T, dir string, left int64) {
	t.Helper()
	var st unix.Statfs_t
	must(t, unix.Statfs(dir, &st))
	size := int64(st.Bavail)*st.Bsize - left
	f, err := os.Create(filepath.Join(dir, "filler"))
	must(t, err)
	defer f.Close()
	if err := unix.Fallocate(int(f.Fd()), 0, 0, max(size, 1)); err != nil && !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
}

func mountTmpfs(t *testing.T, dir, options string) {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o755))
	must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, options))
	t.Cleanup(func() {
		must(t, unix.Unmount(dir, unix.MNT_DETACH))
		must(t, os.Remove(dir))
	})
}

// TestFullStateRoot: the directory of states lies on a disk that is full, or
// has no inodes left. What is there already can be started, joined and
// deleted.
func TestFullStateRoot(t *testing.T) {
	bundle, _ := faultBundle(t)
	root := "/run/faults-full"
	for _, c := range []struct {
		name, options string
		left          int64 // bytes; -1: all
	}{
		{"no bytes", "size=64k", 0}, {"one page", "size=64k", 4096}, {"two pages", "size=64k", 8192}, {"enough", "size=64k", -1},
		{"2 inodes", "nr_inodes=2", -1}, {"3 inodes", "nr_inodes=3", -1}, {"4 inodes", "nr_inodes=4", -1}, {"5 inodes", "nr_inodes=5", -1},
		{"6 inodes", "nr_inodes=6", -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			mountTmpfs(t, root, c.options)
			if c.left >= 0 {
				fill(t, root, c.left)
			}
			before := machine{seen: look(t)}
			line := func(args ...string) drive.Result { return drive.Run(t, append([]string{"--root", root}, args...)...) }
			for _, verb := range [][]string{{"create", "--bundle", bundle, id}, {"run", "--detach", "--bundle", bundle, id}} {
				r := line(verb...)
				told(t, verb[0], r, false)
				if r.Code != 0 && !strings.Contains(r.Stderr, "no space left on device") {
					t.Errorf("%s: not the reason: %v", verb[0], r)
				}
				if r := line("delete", "--force", id); r.Code != 0 || r.Stderr != "" {
					t.Errorf("delete --force: %v", r)
				}
				if c.name == "enough" && r.Code != 0 || c.left == 0 && r.Code == 0 {
					t.Errorf("%s: %v", verb[0], r)
				}
				before.untouched(t)
			}
		})
	}
	t.Run("full after create", func(t *testing.T) {
		mountTmpfs(t, root, "size=64k")
		before := machine{seen: look(t)}
		line := func(args ...string) drive.Result { return drive.Run(t, append([]string{"--root", root}, args...)...) }
		if r := line("create", "--bundle", bundle, id); r.Code != 0 {
			t.Fatal(r)
		}
		fill(t, root, 0)
		for _, verb := range [][]string{{"start", id}, {"exec", id, "true"}, {"update", "--pids-limit", "50", id}, {"kill", id, "KILL"}} {
			told(t, verb[0], line(verb...), false)
		}
		if r := line("delete", "--force", id); r.Code != 0 || r.Stderr != "" {
			t.Errorf("delete --force: %v", r)
		}
		must(t, os.Remove(root+"/filler"))
		before.untouched(t)
	})
}

// TestFullBundle: there is no room in the root file system for what mocker has
// to make in it, or it is read-only.
func TestFullBundle(t *testing.T) {
	source, before := faultBundle(t)
	drive.Edit(t, source, func(s *specs.Spec) {
		s.Mounts = append(s.Mounts, specs.Mount{Type: "tmpfs", Source: "tmpfs", Destination: "/new/deep/dir"})
	})
	small := "/run/faults-bundle"
	for _, c := range []struct{ name, want string }{{"no inodes", "no space left on device"}, {"read-only", "read-only file system"}} {
		t.Run(c.name, func(t *testing.T) {
			mountTmpfs(t, small, "size=8m")
			if r := drive.Exec(t, "cp", "-a", source+"/.", small); r.Code != 0 {
				t.Fatal(r)
			}
			var st unix.Statfs_t
			must(t, unix.Statfs(small, &st))
			if c.name == "read-only" {
				must(t, unix.Mount("", small, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
			} else {
				must(t, unix.Mount("", small, "", unix.MS_REMOUNT, fmt.Sprintf("nr_inodes=%d", st.Files-st.Ffree)))
			}
			before := machine{look(t), before.mark}
			for _, verb := range []string{"create", "run"} {
				r := drive.Run(t, append(map[string][]string{"create": {"create"}, "run": {"run", "--detach"}}[verb], "--bundle", small, id)...)
				told(t, verb, r, false)
				if r.Code == 0 || !strings.Contains(r.Stderr, "/new/deep/dir") || !strings.Contains(r.Stderr, c.want) {
					t.Errorf("%s: %v", verb, r)
				}
				before.cleaned(t)
			}
		})
	}
}

// TestReadOnlyRun: nothing can be written to the directory of states. A
// container that is there can be used all the same, and deleted afterwards.
func TestReadOnlyRun(t *testing.T) {
	bundle, before := faultBundle(t)
	remount := func(flags uintptr) {
		t.Helper()
		must(t, unix.Mount("", "/run", "", unix.MS_REMOUNT|flags, "mode=755"))
	}
	defer remount(0)
	for _, made := range []bool{false, true} {
		if made {
			drive.OK(t, "run", "--detach", "--bundle", bundle, id)
		}
		remount(unix.MS_RDONLY)
		verbs := [][]string{{"create", "--bundle", bundle, id}, {"run", "--detach", "--bundle", bundle, id}}
		if made {
			verbs = [][]string{{"exec", id, "true"}, {"state", id}, {"ps", id}, {"list"}, {"update", "--pids-limit", "50", id}, {"kill", id, "CONT"}, {"delete", "--force", id}}
		}
		for _, verb := range verbs {
			r := drive.Run(t, verb...)
			told(t, verb[0], drive.Result{Stderr: r.Stderr, Code: r.Code, Took: r.Took}, false)
			if changes := verb[0] == "create" || verb[0] == "run" || verb[0] == "delete"; changes && (r.Code == 0 || !strings.Contains(r.Stderr, "read-only file system")) {
				t.Errorf("%s: %v", verb[0], r)
			}
			if reads := verb[0] == "exec" || verb[0] == "state" || verb[0] == "list" || verb[0] == "ps"; reads && r.Code != 0 {
				t.Errorf("%s: %v", verb[0], r)
			}
		}
		remount(0)
		before.cleaned(t)
	}
}

// TestVanishedRoot: the bundle is removed at any time.
func TestVanishedRoot(t *testing.T) {
	for _, c := range []struct {
		name   string
		before [][]string // done while it was there
		then   []string
		code   int
		want   string
	}{
		{"create", nil, []string{"create", "--bundle", "BUNDLE", id}, 1, "no such file or directory"},
		{"start", [][]string{{"create", "--bundle", "BUNDLE", id}}, []string{"start", id}, 1, "no such file or directory"},
		{"exec", [][]string{{"run", "--detach", "--bundle", "BUNDLE", id}}, []string{"exec", id, "true"}, 255, "no such file or directory"},
		{"kill", [][]string{{"run", "--detach", "--bundle", "BUNDLE", id}}, []string{"kill", id, "KILL"}, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			bundle, before := faultBundle(t)
			line := func(args []string) []string {
				return strings.Split(strings.ReplaceAll(strings.Join(args, " "), "BUNDLE", bundle), " ")
			}
			for _, verb := range c.before {
				drive.OK(t, line(verb)...)
			}
			must(t, os.RemoveAll(bundle))
			r := drive.Run(t, line(c.then)...)
			told(t, c.name, r, false)
			if r.Code != c.code || !strings.Contains(r.Stderr, c.want) {
				t.Errorf("want %d and %q: %v", c.code, c.want, r)
			}
			before.cleaned(t)
		})
	}
}

// TestBusyCgroup: strangers in the container's cgroup, or in one below it, do
// not keep it from being deleted, by force at the latest.
func TestBusyCgroup(t *testing.T) {
	for _, below := range []string{"", "/below", "/below/deeper"} {
		t.Run("cgroup"+below, func(t *testing.T) {
			bundle, before := faultBundle(t)
			drive.OK(t, "run", "--detach", "--bundle", bundle, id)
			dir := "/sys/fs/cgroup/pids/" + id + below
			if drive.V2(t) {
				dir = "/sys/fs/cgroup/" + id + below
			}
			must(t, os.MkdirAll(dir, 0o755))
			stranger := drive.Start(t, "sleep", "1000")
			defer func() { _ = stranger.Process.Kill() }()
			must(t, os.WriteFile(dir+"/cgroup.procs", []byte(fmt.Sprint(stranger.Process.Pid)), 0o644))
			drive.OK(t, "kill", id, "KILL")
			drive.Eventually(t, "it has stopped", func() bool { return strings.Contains(drive.OK(t, "state", id), `"stopped"`) })
			r := drive.Run(t, "delete", id)
			told(t, "delete", r, false)
			r = drive.Run(t, "delete", "--force", id)
			told(t, "delete --force", r, false)
			if r.Code != 0 && !strings.Contains(r.Stderr, "cgroup") {
				t.Errorf("delete --force: %v", r)
			}
			_ = stranger.Process.Kill()
			stranger.Wait()
			before.cleaned(t)
		})
	}
}

// TestInterrupted: signals without end, which mocker has handlers for or which
// stop it, make no call of it fail.
func TestInterrupted(t *testing.T) {
	bundle, before := faultBundle(t)
	storm := func(args ...string) drive.Result {
		t.Helper()
		cmd := drive.Start(t, drive.Mocker(t), args...)
		done := make(chan int)
		stop := make(chan struct{})
		go func() {
			n := 0
			for {
				select {
				case <-stop:
					done <- n
					return
				default:
				}
				victims := []int{cmd.Process.Pid}
				if data, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", cmd.Process.Pid)); err == nil {
					var child int
					if k, _ := fmt.Sscan(string(data), &child); k == 1 {
						victims = append(victims, child)
					}
				}
				for _, pid := range victims {
					for _, sig := range []unix.Signal{unix.SIGURG, unix.SIGCHLD, unix.SIGWINCH, unix.SIGSTOP, unix.SIGCONT} {
						_ = unix.Kill(pid, sig)
					}
				}
				n++
				time.Sleep(100 * time.Microsecond)
			}
		}()
		r := cmd.Wait()
		close(stop)
		if n := <-done; n < 1 {
			t.Errorf("%s met only %d rounds of signals", args[0], n)
		}
		return r
	}
	for range drive.Rounds(10, 2) {
		for _, verb := range [][]string{{"create", "--bundle", bundle, id}, {"start", id}, {"exec", id, "true"}, {"delete", "--force", id}} {
			if r := storm(verb...); r.Code != 0 || r.Stderr != "" {
				t.Errorf("%s: %v", verb[0], r)
			}
		}
		before.cleaned(t)
		if t.Failed() {
			return
		}
	}
}
