package cgroups

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mocker-runtime/mocker/libcontainer/config"
	oci "github.com/opencontainers/cgroups"
	"golang.org/x/sys/unix"
)

func TestKillAllFrozen(t *testing.T) {
	c := made(t, noLimits())
	w := start(t, "exec sleep 100")
	if err := c.Add(w.pid()); err != nil {
		t.Fatal(err)
	}
	if frozen, err := c.Frozen(); frozen || err != nil {
		t.Errorf("frozen from the start: %v, %v", frozen, err)
	}
	dir, file, value := c.paths["freezer"], "freezer.state", "FROZEN"
	if c.unified() {
		dir, file, value = c.paths[""], "cgroup.freeze", "1"
	}
	if err := oci.WriteFile(dir, file, value); err != nil {
		t.Fatal(err)
	}
	if frozen, err := c.Frozen(); !frozen || err != nil {
		t.Errorf("not frozen: %v, %v", frozen, err)
	}
	begin := time.Now()
	if err := c.KillAll(unix.SIGKILL); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > time.Second {
		t.Errorf("it took %v", took)
	}
	w.wait()
	if err := c.Destroy(); err != nil {
		t.Error(err)
	}
	if frozen, err := c.Frozen(); frozen || err != nil {
		t.Errorf("what is gone is frozen: %v, %v", frozen, err)
	}
}

func TestKillAllForks(t *testing.T) {
	for name, v2 := range map[string]bool{"all": true, "without v2": false} {
		t.Run(name, func(t *testing.T) {
			c := made(t, noLimits())
			paths := c.Paths()
			if !v2 && !c.unified() {
				// As on a machine with v1 alone: no cgroup.kill.
				delete(paths, "")
			}
			half, err := FromPaths(paths)
			if err != nil {
				t.Fatal(err)
			}
			w := start(t, `i=0; while [ $i -lt 3000 ]; do (exec sleep 100) & i=$((i+1)); [ $i = 40 ] && echo many; done; wait`)
			if err := c.Add(w.pid()); err != nil {
				t.Fatal(err)
			}
			w.run()
			if err := half.KillAll(unix.SIGKILL); err != nil {
				t.Error(err)
			}
			if pids, err := c.Procs(); len(pids) != 0 || err != nil {
				t.Errorf("left: %v, %v", pids, err)
			}
		})
	}
}

func TestKillAllOtherSignals(t *testing.T) {
	c := made(t, noLimits())
	w := start(t, `trap "echo got; exit" USR1; echo ready; while :; do sleep 0.01; done`)
	if err := c.Add(w.pid()); err != nil {
		t.Fatal(err)
	}
	w.run()
	if err := c.KillAll(unix.SIGUSR1); err != nil {
		t.Error(err)
	}
	if line, _ := w.out.ReadString('\n'); line != "got\n" {
		t.Errorf("got %q", line)
	}
}

func TestDestroyNestedAndPartial(t *testing.T) {
	c := open(t, noLimits())
	if err := c.Make(); err != nil {
		t.Fatal(err)
	}
	for i, dir := range c.dirs() {
		if i%2 == 1 {
			if err := unix.Rmdir(dir); err != nil { // as a killed Make leaves it
				t.Fatal(err)
			}
			continue
		}
		for _, sub := range []string{"a", "a/b", "a/b/c", "d"} {
			if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := c.Destroy(); err != nil {
		t.Error(err)
	}
}

func TestDestroyWaits(t *testing.T) {
	c := open(t, noLimits())
	if err := c.Make(); err != nil {
		t.Fatal(err)
	}
	w := start(t, "exec sleep 100")
	if err := c.Add(w.pid()); err != nil {
		t.Fatal(err)
	}
	dir := c.dirs()[0]
	err := remove(dir, time.Now().Add(20*time.Millisecond))
	want := fmt.Sprintf("remove cgroup %s: device or resource busy (process %d and 0 others are in it)", dir, w.pid())
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	// A deadline that has passed meanwhile is no reason to wait for ever.
	wait(dir, time.Now().Add(-time.Second), time.Millisecond)
	done := make(chan error)
	go func() { done <- c.Destroy() }()
	select {
	case err := <-done:
		t.Fatalf("did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	_ = w.cmd.Process.Kill()
	w.wait()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// The parent comes and goes under the hands of eight siblings.
func TestSiblings(t *testing.T) {
	parent, _ := place(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 50 {
				c, err := Open(config.Cgroup{Path: fmt.Sprintf("/%s/%d", parent, i), Resources: noLimits()}, "c", false)
				if err != nil {
					t.Error(err)
					return
				}
				c.parent = parent
				if err := c.Make(); err != nil {
					t.Error(err)
					return
				}
				if dir := c.paths["cpuset"]; dir != "" {
					// An empty one is a parent that nobody has filled in.
					if cpus, err := oci.ReadFile(dir, "cpuset.cpus"); err != nil || strings.TrimSpace(cpus) == "" {
						t.Errorf("cpuset.cpus: %q, %v", cpus, err)
					}
				}
				if err := c.Destroy(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkMakeDestroy(b *testing.B) {
	parent := fmt.Sprintf("mocker-bench-%d", os.Getpid())
	for b.Loop() {
		c, err := Open(config.Cgroup{Path: "/" + parent + "/c", Resources: noLimits()}, "c", false)
		if err != nil {
			b.Fatal(err)
		}
		c.parent = parent
		if err := errors.Join(c.Make(), c.Destroy()); err != nil {
			b.Fatal(err)
		}
	}
}
