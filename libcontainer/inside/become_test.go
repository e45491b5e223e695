//go:build !race

// A joiner drops its memory, which a child of the race detector needs: see
// memory_test.go.

package inside

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// join makes a process without capabilities in the container of target.
func join(target *Child, argv ...string) (in *Child, pid int, err error) {
	return joinWith(target, Caps{}, argv...)
}

func joinWith(target *Child, caps Caps, argv ...string) (in *Child, pid int, err error) {
	in, err = New(Birth{CgroupFD: -1})
	if err != nil {
		return nil, 0, err
	}
	if err := in.Setns(target.Pidfd, "container", joinable); err != nil {
		in.Kill()
		in.Close()
		return nil, 0, err
	}
	pid, err = in.Become(func(p *Program) {
		if err := p.DropMemory(); err != nil {
			p.fail(err)
		}
		p.Add("unshare", "CLONE_FILES", unix.SYS_UNSHARE, unix.CLONE_FILES)
		p.Add("close_range", "3-", unix.SYS_CLOSE_RANGE, 3, uint64(^uint32(0)), 0)
		for c := 0; c < 64; c++ {
			if caps.Permitted>>c&1 == 0 {
				p.Add("prctl", "PR_CAPBSET_DROP", unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, c)
				p.Accept(unix.EINVAL) // a capability that this kernel does not have
			}
		}
		p.AddCapset(caps)
		p.Add("prctl", "PR_SET_DUMPABLE", unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0)
	}, func(p *Program) {
		p.Add("setsid", "", unix.SYS_SETSID)
		for range 50 { // wide open for the spy
			p.Add("sched_yield", "", unix.SYS_SCHED_YIELD)
		}
		p.Add("exec", argv[0], unix.SYS_EXECVE, argv[0], argv, []string{})
	}, nil)
	return in, pid, err
}

func TestBecome(t *testing.T) {
	needRoot(t)
	host := birth(t, joinable)
	in, pid, err := join(host, "/bin/sh", "-c", "exit $$")
	if err != nil {
		t.Fatal(err)
	}
	in.Close()
	status, err := Reap(pid)
	if err != nil || status.ExitStatus() != 2 {
		t.Errorf("%v, %v; want the pid inside, 2, as exit status", status, err)
	}
	if _, _, err := join(host, "/no/such"); err == nil || err.Error() != "exec /no/such: no such file or directory" {
		t.Errorf("got %v", err)
	}
}

// TestHostileContainer lets a process of the container, with CAP_SYS_PTRACE
// and nothing else, look at every joiner as fast as it can: at its fds, its
// working directory, its root, its capabilities and its memory. Thousands of
// them join; none may show anything of the host.
func TestHostileContainer(t *testing.T) {
	needRoot(t)
	host := birth(t, joinable)
	root := hostileRoot(t)
	if err := host.enterRoot(root); err != nil {
		t.Fatal(err)
	}
	spy := startSpy(t, host, root)
	n := manyBirths() / 10
	for i := range n {
		in, pid, err := join(host, "/true")
		if err != nil {
			t.Fatalf("join %d: %v", i, err)
		}
		in.Close()
		in.Release()
		if _, err := Reap(pid); err != nil {
			t.Fatal(err)
		}
	}
	seen, looks := spy.stop(t)
	t.Logf("%d joins, the spy looked at %d of them before their execve", n, looks)
	if looks < max(3, n/20) {
		t.Errorf("the spy caught %d processes of %d: it proves nothing", looks, n)
	}
	for what := range seen {
		t.Errorf("the container saw: %s", what)
	}
}

// TestHostileMove is TestHostileContainer for a create that joins the pid
// namespace: the process waits there for its parent to let it go on.
func TestHostileMove(t *testing.T) {
	needRoot(t)
	host := birth(t, joinable)
	root := hostileRoot(t)
	if err := host.enterRoot(root); err != nil {
		t.Fatal(err)
	}
	spy := startSpy(t, host, root)
	n := manyBirths() / 100
	for i := range n {
		if err := moveIn(host); err != nil {
			t.Fatalf("move %d: %v", i, err)
		}
	}
	seen, looks := spy.stop(t)
	t.Logf("%d moves, the spy looked at %d of them before their execve", n, looks)
	if looks < n/2 {
		t.Errorf("the spy caught %d processes of %d: it proves nothing", looks, n)
	}
	for what := range seen {
		if !strings.Contains(what, "-> pipe:") { // that by which it watches its parent
			t.Errorf("the container saw: %s", what)
		}
	}
}

// moveIn makes a process of the container of target that executes /true.
func moveIn(target *Child) error {
	in, err := New(Birth{CgroupFD: -1})
	if err != nil {
		return err
	}
	defer in.Release()
	defer in.Close()
	defer in.Kill()
	// Into the region, where nothing that follows is put.
	if err := in.do("mkdir", "", unix.SYS_MKDIRAT, unix.AT_FDCWD, strings.Repeat("/", 1<<16)+secret, 0); !errors.Is(err, unix.ENAMETOOLONG) {
		return err
	}
	if err := in.Setns(target.Pidfd, "container", joinable); err != nil {
		return err
	}
	if err := in.WatchPipe(); err != nil {
		return err
	}
	p := in.NewProgram()
	if err := p.DropMemory(); err != nil {
		return err
	}
	p.Add("unshare", "CLONE_FILES", unix.SYS_UNSHARE, unix.CLONE_FILES)
	if watch := in.ParentFD(); watch > 3 {
		p.Add("close_range", "3-", unix.SYS_CLOSE_RANGE, 3, watch-1, 0)
	}
	p.Add("close_range", "", unix.SYS_CLOSE_RANGE, in.ParentFD()+1, uint64(^uint32(0)), 0)
	p.Add("prctl", "PR_SET_DUMPABLE", unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0)
	if err := p.Run(); err != nil {
		return err
	}
	err = in.MoveIn(func(p *Program) {
		for c := range 64 {
			p.Add("prctl", "PR_CAPBSET_DROP", unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, c)
			p.Accept(unix.EINVAL)
		}
		p.AddCapset(Caps{})
	}, func(p *Program) { p.Add("setsid", "", unix.SYS_SETSID) })
	if err != nil {
		return err
	}
	p = in.NewProgram()
	for range 50 {
		p.Add("sched_yield", "", unix.SYS_SCHED_YIELD)
	}
	p.Add("exec", "/true", unix.SYS_EXECVE, "/true", []string{"/true"}, []string{})
	if err := p.Post(); err != nil {
		return err
	}
	_, err = in.Wait()
	return err
}

// enterRoot gives the child a root of its own, with a procfs of its pid
// namespace.
func (in *Child) enterRoot(root string) error {
	p := in.NewProgram()
	p.Add("mount", "/", unix.SYS_MOUNT, nil, "/", nil, unix.MS_PRIVATE|unix.MS_REC, nil)
	p.Add("mount", root, unix.SYS_MOUNT, root, root, nil, unix.MS_BIND, nil)
	p.Add("mount", "proc", unix.SYS_MOUNT, "proc", filepath.Join(root, "proc"), "proc", 0, nil)
	p.Add("chdir", root, unix.SYS_CHDIR, root)
	p.Add("pivot_root", ".", unix.SYS_PIVOT_ROOT, ".", ".")
	p.Add("umount", ".", unix.SYS_UMOUNT2, ".", unix.MNT_DETACH)
	p.Add("chdir", "/", unix.SYS_CHDIR, "/")
	return p.Run()
}

// secret is in the memory of this process, and so of every child at birth. It
// is made at run time: as a constant it would be in the program's text.
var secret = strings.Repeat("canary", 3) + strconv.Itoa(os.Getpid())

// hostileRoot is a root file system with a program that ends and one that
// looks. Where there is no Go, MOCKER_PROGRAMS is the folder with what was
// built before.
func hostileRoot(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "proc"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, source := range map[string]string{"spy": "./testdata/spy", "true": "./testdata/true"} {
		program := filepath.Join(root, name)
		if built := os.Getenv("MOCKER_PROGRAMS"); built != "" {
			if err := os.Link(filepath.Join(built, name), program); err != nil {
				t.Fatal(err)
			}
			continue
		}
		build := exec.Command("go", "build", "-o", program, source)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", name, err, out)
		}
	}
	return root
}

type spy struct {
	root string
	pid  int
}

// startSpy runs the spy in the container with CAP_SYS_PTRACE alone.
func startSpy(t *testing.T, host *Child, root string) *spy {
	t.Helper()
	in, pid, err := joinWith(host, Caps{Effective: 1 << unix.CAP_SYS_PTRACE, Permitted: 1 << unix.CAP_SYS_PTRACE}, "/spy", secret)
	if err != nil {
		t.Fatal(err)
	}
	in.Close()
	in.Release()
	s := &spy{root, pid}
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(filepath.Join(root, "report")); err == nil {
			return s
		}
		if time.Now().After(end) {
			t.Fatal("the spy does not start")
		}
	}
}

// stop ends the spy, and gives what it saw, and how often it looked at a
// process that was still mocker's.
func (s *spy) stop(t *testing.T) (seen map[string]bool, looks int) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.root, "stop"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if status, err := Reap(s.pid); err != nil || status.ExitStatus() != 0 {
		t.Fatalf("the spy ended with %v, %v", status, err)
	}
	report, err := os.ReadFile(filepath.Join(s.root, "report"))
	if err != nil || !strings.HasSuffix(string(report), "end\n") {
		t.Fatalf("the report has no end: %v", err)
	}
	seen = map[string]bool{}
	for line := range strings.Lines(strings.TrimSuffix(string(report), "end\n")) {
		if line = strings.TrimSpace(line); line == "looked" {
			looks++
		} else {
			seen[line] = true
		}
	}
	return seen, looks
}
