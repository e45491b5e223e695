package faults

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/drive"
)

var (
	soak     = flag.Int("soak", 60, "number of lifecycles of the soak test; -short: 6")
	soakSeed = flag.Uint64("soakseed", 0, "of the soak test; 0: another each time")
)

// TestSoak: many lifecycles, some of which are cut short by SIGKILL, leave
// nothing that would add up: cgroups, mounts, descriptors, keyrings,
// processes, and objects of the kernel.
func TestSoak(t *testing.T) {
	seed := *soakSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	total := drive.Rounds(*soak, 6)
	t.Logf("%d lifecycles, -soakseed %d", total, seed)
	bundle, before := faultBundle(t)
	drive.Edit(t, bundle, func(s *specs.Spec) { s.Linux.CgroupsPath, s.Hooks = "", nil })
	const workers = 2
	defer reapWhile(t)()
	// The first ones fill caches.
	lifecycles(t, bundle, seed, workers, max(total/10, workers))
	reap(t)
	first := counts()
	kills := lifecycles(t, bundle, seed+1, workers, total)
	before.untouched(t)
	last := counts()
	t.Logf("%d of %d commands were killed", kills, total)
	for what, n := range last {
		// The kernel's objects are those of the whole machine, and are freed late.
		slack := 0
		if strings.HasPrefix(what, "slab ") {
			slack = 400 + total/10
		}
		t.Logf("%s: %d, then %d", what, first[what], n)
		if n > first[what]+slack {
			t.Errorf("%s: there were %d, and now are %d", what, first[what], n)
		}
	}
}

// reapWhile reaps, until its result is called, the processes of containers
// that the test has inherited from an exec that was killed: the kernel keeps
// the init of a pid namespace as long as one of its processes is a zombie.
func reapWhile(t *testing.T) (stop func()) {
	end, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-end:
				return
			case <-time.After(20 * time.Millisecond):
			}
			for _, pid := range drive.Children(t, os.Getpid()) {
				status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
				_, line, _ := strings.Cut(string(status), "NSpid:")
				line, _, _ = strings.Cut(line, "\n")
				// The others are commands that os/exec waits for.
				if len(strings.Fields(line)) > 1 {
					_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
				}
			}
		}
	}()
	return func() { close(end); <-done }
}

// lifecycles makes containers and deletes them, by some workers at once.
func lifecycles(t *testing.T, bundle string, seed uint64, workers, total int) (kills int) {
	t.Helper()
	var wait sync.WaitGroup
	var mu sync.Mutex
	for w := range workers {
		out, err := os.OpenFile(filepath.Join(t.TempDir(), "out"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		wait.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(w)))
			for i := w; i < total && !t.Failed(); i += workers {
				s := soaker{t, out, fmt.Sprintf("%s-%d", id, w), random}
				killed := s.lifecycle(bundle)
				mu.Lock()
				kills += killed
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	return kills
}

type soaker struct {
	t      *testing.T
	out    *os.File
	id     string
	random *rand.Rand
}

// lifecycle is one of some, chosen at random.
func (s soaker) lifecycle(bundle string) (killed int) {
	var verbs [][]string
	switch s.random.IntN(4) {
	case 0:
		verbs = [][]string{{"run", "--detach", "--bundle", bundle, s.id}, {"exec", s.id, "true"}, {"delete", "--force", s.id}}
	case 1:
		verbs = [][]string{{"create", "--bundle", bundle, s.id}, {"start", s.id}, {"kill", s.id, "KILL"}, {"delete", "--force", s.id}}
	case 2:
		verbs = [][]string{{"create", "--bundle", bundle, s.id}, {"delete", "--force", s.id}}
	case 3:
		verbs = [][]string{{"create", "--bundle", bundle, s.id}, {"start", s.id}, {"exec", s.id, "true"}, {"delete", "--force", s.id}}
		victim := s.random.IntN(len(verbs))
		for i, verb := range verbs {
			after := time.Duration(0)
			if i == victim {
				after = time.Duration(1+s.random.IntN(20000)) * time.Microsecond
			}
			// Who comes after one that was killed may find nothing to work on.
			s.run(after, i < victim, verb...)
		}
		s.run(0, true, "delete", "--force", s.id)
		return 1
	}
	for _, verb := range verbs {
		s.run(0, true, verb...)
	}
	return 0
}

// run runs a command, and kills it after some time, unless that is 0.
func (s soaker) run(killAfter time.Duration, must bool, args ...string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if killAfter > 0 {
		ctx, cancel = context.WithTimeout(ctx, killAfter)
		defer cancel()
	}
	cmd := exec.CommandContext(ctx, os.Getenv("MOCKER"), args...)
	if err := s.out.Truncate(0); err != nil {
		s.t.Error(err)
	}
	cmd.Stdout, cmd.Stderr = s.out, s.out
	if err := cmd.Run(); err != nil && must && killAfter == 0 {
		said, _ := os.ReadFile(s.out.Name())
		s.t.Errorf("%s: %v: %s", strings.Join(args, " "), err, said)
	}
}

// counts is how many there are of what could add up.
func counts() map[string]int {
	n := map[string]int{}
	_ = filepath.WalkDir("/sys/fs/cgroup", func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.Contains(p, id) {
			n["cgroups"]++
		}
		return nil
	})
	for what, path := range map[string]string{"mounts": "/proc/self/mountinfo", "keyrings": "/proc/keys"} {
		data, _ := os.ReadFile(path)
		for line := range strings.Lines(string(data)) {
			if what == "mounts" || strings.Contains(line, id) {
				n[what]++
			}
		}
	}
	fds, _ := os.ReadDir("/proc/self/fd")
	n["descriptors of the test"] = len(fds)
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		data, _ := os.ReadFile(path)
		_, rest, _ := strings.Cut(string(data), ") ")
		if f := strings.Fields(rest); len(f) > 1 && f[0] == "Z" && f[1] == strconv.Itoa(os.Getpid()) {
			n["zombies"]++
		}
	}
	slab, _ := os.ReadFile("/proc/slabinfo")
	for line := range strings.Lines(string(slab)) {
		switch f := strings.Fields(line); f[0] {
		case "mnt_cache", "nsproxy", "net_namespace", "pid_namespace", "user_namespace", "task_struct":
			n["slab "+f[0]], _ = strconv.Atoi(f[1])
		}
	}
	return n
}
