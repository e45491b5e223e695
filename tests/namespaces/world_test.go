package namespaces

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// world is what the containers are made in.
type world struct {
	t       testing.TB
	mocker  string
	bundles [2]string // one for each that works
	spec    *specs.Spec
	plain   int // pid of a container with namespaces of its own, owned by the host's user namespace
	owned   int // pid of one with a user namespace too
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, mocker: drive.Mocker(t)}
	for i := range w.bundles {
		w.bundles[i] = drive.Bundle(t, drive.Sh("exec sleep 100"))
		// For those who join a mount namespace, and look it up there.
		if err := os.Chmod(filepath.Dir(w.bundles[i]), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w.spec = drive.ReadConfig(t, w.bundles[0])
	w.spec.Hostname = ""
	w.spec.Linux.MaskedPaths, w.spec.Linux.ReadonlyPaths = nil, nil
	for _, user := range []string{host, fresh} {
		c := choice{specs.UserNamespace: user}
		for _, k := range kinds {
			c[k.name] = fresh
		}
		pid, err := w.start(0, "namespaces-target-"+user, c)
		if err != "" {
			t.Fatal(err)
		}
		if user == host {
			w.plain = pid
		} else {
			w.owned = pid
		}
	}
	return w
}

func (w *world) end() {
	for _, user := range []string{host, fresh} {
		w.delete("namespaces-target-" + user)
	}
}

func (w *world) delete(id string) {
	if r := drive.Exec(w.t, w.mocker, "delete", "--force", id); r.Code != 0 {
		w.t.Errorf("delete %s: %v", id, r)
	}
}

// run makes one container and gives what is wrong with it, or mocker's error.
func (w *world) run(worker int, c choice) string {
	id := fmt.Sprintf("namespaces-%d", worker)
	target := w.target(c)
	defer target.end()
	pid, err := w.startIn(worker, id, c, target)
	if err != "" {
		return strings.ReplaceAll(err, w.bundles[worker], "BUNDLE")
	}
	defer func() {
		w.delete(id)
		// A process that nobody reaps keeps its session keyring, of which a
		// user can have 200.
		_, _ = unix.Wait4(pid, nil, 0, nil)
	}()
	if c.of(specs.UserNamespace) != host && !ids(pid) {
		return "the process is not the root of its user namespace"
	}
	for _, k := range append(kinds[:len(kinds):len(kinds)], struct {
		name specs.LinuxNamespaceType
		file string
	}{specs.UserNamespace, "user"}) {
		got, want := link(pid, k.file), ""
		own, theirs := link(os.Getpid(), k.file), link(target.of(k.name), k.file)
		switch c.of(k.name) {
		case host:
			want = own
		case joined:
			want = theirs
		case fresh:
			if got == own || got == theirs || got == "" {
				return fmt.Sprintf("the %s namespace is not new", k.name)
			}
			continue
		}
		if got != want || got == "" {
			return fmt.Sprintf("the %s namespace is %s, not %s", k.name, got, want)
		}
	}
	return ""
}

// ids reports whether a process is the 100000 that the root of the test's
// user namespaces is outside.
func ids(pid int) bool {
	var st unix.Stat_t
	return unix.Stat(fmt.Sprintf("/proc/%d", pid), &st) == nil && st.Uid == 100000 && st.Gid == 100000
}

func link(pid int, file string) string {
	target, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, file))
	if err != nil {
		return ""
	}
	return target
}

// target is where a container takes the namespaces from that it joins.
type target struct {
	pid   int
	mount *exec.Cmd // a process with a mount namespace that nobody minds
	user  bool      // which belongs to a user namespace that is joined as well
}

func (w *world) target(c choice) *target {
	t := &target{pid: w.plain}
	if c.of(specs.UserNamespace) == joined {
		t.pid = w.owned
	}
	if c.of(specs.MountNamespace) != joined {
		return t
	}
	// The container's root becomes that of the namespace: each has one that
	// still shows the host's files.
	t.mount = exec.Command("sleep", "100")
	t.mount.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if c.of(specs.UserNamespace) == joined {
		t.user = true
		ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 100000, Size: 65536}}
		t.mount.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		t.mount.SysProcAttr.UidMappings, t.mount.SysProcAttr.GidMappings = ids, ids
	}
	if err := t.mount.Start(); err != nil {
		w.t.Error(err)
	}
	return t
}

// of is the process whose namespace of a type is joined.
func (t *target) of(name specs.LinuxNamespaceType) int {
	if t.mount != nil && (name == specs.MountNamespace || t.user && name == specs.UserNamespace) {
		return t.mount.Process.Pid
	}
	return t.pid
}

func (t *target) end() {
	if t.mount != nil {
		_ = t.mount.Process.Kill()
		_ = t.mount.Wait()
	}
}

func (w *world) start(worker int, id string, c choice) (pid int, err string) {
	return w.startIn(worker, id, c, nil)
}

// startIn starts a container and waits until its process runs sleep: only
// then it is in its time namespace.
func (w *world) startIn(worker int, id string, c choice, t *target) (pid int, failed string) {
	w.write(worker, c, t)
	pidFile := filepath.Join(w.bundles[worker], "pid")
	r := drive.Exec(w.t, w.mocker, "run", "--detach", "--bundle", w.bundles[worker], "--pid-file", pidFile, id)
	if r.Code != 0 {
		return 0, strings.TrimSpace(strings.TrimPrefix(r.Stderr, "mocker: "))
	}
	data, err := os.ReadFile(pidFile)
	if err == nil {
		pid, err = strconv.Atoi(string(data))
	}
	for end := time.Now().Add(10 * time.Second); err == nil; time.Sleep(time.Millisecond) {
		comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if string(comm) == "sleep\n" {
			return pid, ""
		}
		if time.Now().After(end) {
			return 0, "the process did not become sleep: " + string(comm)
		}
	}
	return 0, err.Error()
}

// write makes the config.json of a combination: what can be mounted in it is.
func (w *world) write(worker int, c choice, t *target) {
	s := *w.spec
	linux := *w.spec.Linux
	s.Linux = &linux
	linux.Namespaces, s.Mounts = nil, nil
	user := c.of(specs.UserNamespace)
	for name, mode := range c {
		switch mode {
		case fresh:
			linux.Namespaces = append(linux.Namespaces, specs.LinuxNamespace{Type: name})
		case joined:
			file := "user"
			for _, k := range kinds {
				if k.name == name {
					file = k.file
				}
			}
			linux.Namespaces = append(linux.Namespaces, specs.LinuxNamespace{Type: name, Path: fmt.Sprintf("/proc/%d/ns/%s", t.of(name), file)})
		}
	}
	if user == fresh {
		linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 65536}}
		linux.GIDMappings = linux.UIDMappings
	}
	if c.of(specs.TimeNamespace) == fresh {
		linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"monotonic": {Secs: 7}}
	}
	// Those that show a namespace need one that belongs to the user namespace.
	for _, m := range w.spec.Mounts {
		needs := map[string]specs.LinuxNamespaceType{"proc": specs.PIDNamespace, "sysfs": specs.NetworkNamespace, "mqueue": specs.IPCNamespace}[m.Type]
		mode := c.of(needs)
		if m.Type != "cgroup" && (needs == "" || user == host || mode == fresh || user == joined && mode == joined && !t.user) {
			s.Mounts = append(s.Mounts, m)
		}
	}
	data, err := json.Marshal(&s)
	if err == nil {
		err = os.WriteFile(filepath.Join(w.bundles[worker], "config.json"), data, 0o644)
	}
	if err != nil {
		w.t.Error(err)
	}
}
