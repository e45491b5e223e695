package cgroups

import (
	"os"
	"path/filepath"
	"testing"

	oci "github.com/opencontainers/cgroups"
	"golang.org/x/sys/unix"
)

// TestOOMv2 counts in a file like memory.events, of which a v2 tree beside
// the memory hierarchy of v1 has none.
func TestOOMv2(t *testing.T) {
	oci.TestMode = true // the library reads cgroup file systems only
	t.Cleanup(func() { oci.TestMode = false })
	dir := t.TempDir()
	say := func(events string) {
		if err := os.WriteFile(filepath.Join(dir, "memory.events"), []byte(events), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c := &Cgroup{paths: map[string]string{"": dir}}
	if w, err := c.WatchOOM(); w != nil || err != nil {
		t.Errorf("without memory.events: %v, %v", w, err)
	}
	say("low 0\nhigh 0\nmax 3\noom 2\noom_kill 2\noom_group_kill 0\n")
	w, err := c.WatchOOM()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if w.Poll.Events != unix.POLLPRI {
		t.Errorf("waits for %#x", w.Poll.Events)
	}
	for _, step := range []struct {
		events string
		want   bool
	}{
		{"", false},
		{"low 0\nhigh 0\nmax 9\noom 2\noom_kill 2\noom_group_kill 0\n", false}, // met the limit, and got by
		{"low 0\nhigh 0\nmax 9\noom 3\noom_kill 3\noom_group_kill 0\n", true},
		{"", false},
		{"low 0\nhigh 0\nmax 12\noom 5\noom_kill 11\noom_group_kill 0\n", true},
		{"low 0\n", false}, // cut: nothing to be said
		{"low 0\nhigh 0\nmax 12\noom 5\noom_kill 11\noom_group_kill 0\n", false},
	} {
		if step.events != "" {
			say(step.events)
		}
		if got := w.Take(); got != step.want {
			t.Errorf("%q: got %v", step.events, got)
		}
	}
}
