package box

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/mocker-runtime/mocker/tests/drive"
)

type state struct {
	ID          string            `json:"id"`
	Status      string            `json:"status"`
	Bundle      string            `json:"bundle"`
	Rootfs      string            `json:"rootfs"`
	Pid         int               `json:"pid"`
	Annotations map[string]string `json:"annotations"`
}

func stateOf(t testing.TB, name string, flags ...string) state {
	t.Helper()
	r := mocker(t, append(flags, "state", name)...)
	var st state
	if err := json.Unmarshal([]byte(r.Stdout), &st); err != nil {
		t.Fatalf("state: %v: %v", err, r)
	}
	return st
}

// TestDetached: run prints the id and returns, with its output a pipe that
// the container must not hold; what the container prints is in its log.
func TestDetached(t *testing.T) {
	before := drive.TakeSnapshot(t)
	r := shell(t, `id=$(mocker run -d --annotation a=b busybox sh -c 'echo out; echo err >&2; read x; echo "read:$x"; exec sleep 100') && echo "$id"`)
	id := strings.TrimSpace(r.Stdout)
	t.Cleanup(func() { mocker(t, "delete", "--force", id) })
	if r.Code != 0 || r.Stderr != "" || !regexp.MustCompile(`^[0-9a-f]{12}$`).MatchString(id) {
		t.Fatal(r)
	}
	st := stateOf(t, id)
	if st.Status != "running" || st.Annotations["a"] != "b" || st.Rootfs != st.Bundle+"/rootfs" || !strings.HasPrefix(st.Bundle, "/var/lib/mocker/") {
		t.Errorf("state %+v", st)
	}
	drive.Eventually(t, "the log has all of it", func() bool { return read(t, st.Bundle+"/log") == "out\nerr\nread:\n" })
	for dir := st.Bundle; dir != "/var/lib"; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("others may look into %s: %v, %v", dir, info, err)
		}
	}
	if r := mocker(t, "kill", id, "KILL"); r.Code != 0 {
		t.Error(r)
	}
	drive.Eventually(t, "it has stopped", func() bool { return stateOf(t, id).Status == "stopped" })
	if r := mocker(t, "delete", id); r.Code != 0 || r.Stdout+r.Stderr != "" {
		t.Error(r)
	}
	before.Unchanged(t)
}

// TestDetachedUser: a program that opens its output by name can.
func TestDetachedUser(t *testing.T) {
	name := newName(t)
	if r := mocker(t, "run", "-d", "--network", "none", "--name", name, "--user", "nobody", "sh", "-c", "echo x >>/dev/stdout; exec sleep 100"); r.Code != 0 {
		t.Fatal(r)
	}
	log := stateOf(t, name).Bundle + "/log"
	drive.Eventually(t, "the log has a line", func() bool { return read(t, log) == "x\n" })
}

// TestKept: the container and its bundle stay until they are deleted.
func TestKept(t *testing.T) {
	before := drive.TakeSnapshot(t)
	name := newName(t)
	if r := mocker(t, "run", "--keep", "--name", name, "sh", "-c", "echo made >/file; exit 4"); r.Code != 4 {
		t.Fatal(r)
	}
	st := stateOf(t, name)
	if st.Status != "stopped" || read(t, st.Rootfs+"/file") != "made\n" {
		t.Errorf("%+v", st)
	}
	if r := mocker(t, "run", "--name", name, "true"); r.Code != 125 || r.Stderr != fmt.Sprintf("mocker: container with given ID already exists: %q\n", name) {
		t.Error(r)
	}
	if r := mocker(t, "delete", name); r.Code != 0 {
		t.Error(r)
	}
	before.Unchanged(t)
}

// TestOtherRoot: the bundles of containers elsewhere lie there too.
func TestOtherRoot(t *testing.T) {
	before := drive.TakeSnapshot(t)
	dir, name := t.TempDir(), newName(t)
	if r := mocker(t, "--root", dir, "run", "-d", "--network", "none", "--name", name, "sleep", "100"); r.Code != 0 {
		t.Fatal(r)
	}
	if st := stateOf(t, name, "--root", dir); !strings.HasPrefix(st.Bundle, dir+"/") {
		t.Errorf("%+v", st)
	}
	if r := mocker(t, "--root", dir, "list", "-q"); r.Stdout != name+"\n" {
		t.Errorf("list: %v", r)
	}
	if r := mocker(t, "--root", dir, "delete", "--force", name); r.Code != 0 {
		t.Error(r)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	before.Unchanged(t)
}

// TestBrokenState: a container whose state cannot be read takes its bundle
// along.
func TestBrokenState(t *testing.T) {
	before := drive.TakeSnapshot(t)
	name := newName(t)
	if r := mocker(t, "run", "-d", "--network", "none", "--name", name, "sleep", "100"); r.Code != 0 {
		t.Fatal(r)
	}
	write(t, "/run/mocker/"+name+"/state.json", "{")
	if r := mocker(t, "delete", "--force", name); r.Code != 0 {
		t.Error(r)
	}
	before.Unchanged(t)
}

// TestEarlierBoot: a bundle whose container a power cut has taken goes when
// the next one is made; one of this boot stays, whoever it belongs to.
func TestEarlierBoot(t *testing.T) {
	const bundles = "/var/lib/mocker/bundles"
	boot := strings.ReplaceAll(strings.TrimSpace(read(t, "/proc/sys/kernel/random/boot_id")), "-", "")[:12]
	old, other := bundles+"/000000000000-abc", bundles+"/"+boot+"-other"
	for _, dir := range []string{old, other} {
		if err := os.MkdirAll(dir+"/rootfs", 0o700); err != nil {
			t.Fatal(err)
		}
	}
	defer func() { os.RemoveAll(other); os.Remove(bundles); os.Remove(filepath.Dir(bundles)) }()
	printed(t, "true")
	if _, err := os.Stat(old); !os.IsNotExist(err) {
		t.Errorf("that of an earlier boot: %v", err)
	}
	if _, err := os.Stat(other); err != nil {
		t.Errorf("that of another container: %v", err)
	}
}

// TestManyAtOnce: the last that goes must not take away what the next needs.
func TestManyAtOnce(t *testing.T) {
	before := drive.TakeSnapshot(t)
	var wg sync.WaitGroup
	for n := range 4 {
		wg.Go(func() {
			for range 5 {
				if r := box(t, "echo", fmt.Sprint(n)); r.Code != 0 || r.Stdout != fmt.Sprintln(n) {
					t.Errorf("%d: %v", n, r)
				}
			}
		})
	}
	wg.Wait()
	before.Unchanged(t)
}

// TestFailureLeavesNothing at each stage.
func TestFailureLeavesNothing(t *testing.T) {
	before := drive.TakeSnapshot(t)
	for _, args := range [][]string{
		{"--user", "nobody-at-all", "true"},
		{"frobnicate:1", "frobnicate"},
		{"-v", "/proc/none:/mnt", "true"},
		{"-v", "/etc/hosts/below:/mnt", "true"},
		{"-v", "/dev/null:/proc/x", "true"},
		{"--name", "a/b", "true"},
		{"-d", "-t", "true"},
		{"-d", "--network", "veth", "--annotation", "mocker.network.subnet=x", "true"},
	} {
		if r := box(t, args...); r.Code < 125 || r.Stdout != "" {
			t.Errorf("%q: %v", args, r)
		}
	}
	before.Unchanged(t)
}
