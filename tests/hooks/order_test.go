package hooks

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/coverage"
	"github.com/mocker-runtime/mocker/tests/drive"
)

// everyKind adds two hooks of each kind that run a script, $1 of which is the
// kind.
func everyKind(script string) func(*box, *specs.Spec) {
	return func(b *box, s *specs.Spec) {
		for _, kind := range kinds {
			for range 2 {
				h := b.sh(script)
				h.Args = append(h.Args, "sh", kind)
				add(s, kind, h)
			}
		}
	}
}

// TestOrder: all kinds in order, two of each, with the state of that moment.
func TestOrder(t *testing.T) {
	coverage.Shows(t, "hooks: the state comes on stdin", "lifecycle: hooks run in the order in which they are listed",
		"lifecycle: prestart, createRuntime and createContainer hooks run during create, in this order",
		"lifecycle: startContainer hooks run during start, before the program", "state")
	b := newBox(t, everyKind(`echo "$1 $(cat)" >>$OUT/log`), func(_ *box, s *specs.Spec) {
		s.Annotations = map[string]string{"org.example.key": "value"}
	})
	pid := b.life()
	statuses := map[string]specs.ContainerState{
		"prestart": specs.StateCreating, "createRuntime": specs.StateCreating, "createContainer": specs.StateCreating,
		"startContainer": specs.StateCreated, "poststart": specs.StateRunning, "poststop": specs.StateStopped,
	}
	lines := strings.Split(strings.TrimSpace(b.wrote("log")), "\n")
	if os.Getenv("RUNTIME") != "" { // Debian's runc runs poststart in create
		statuses["poststart"] = specs.StateCreated
		lines = append(append(append(lines[:6:6], lines[8:10]...), lines[6:8]...), lines[10:]...)
	}
	if len(lines) != 2*len(kinds) {
		t.Fatalf("%d hooks have run: %q", len(lines), lines)
	}
	for i, line := range lines {
		kind, text, _ := strings.Cut(line, " ")
		var st specs.State
		if err := json.Unmarshal([]byte(text), &st); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		want := pid
		switch {
		case kind == "poststop":
			want = 0
		case inside(kind):
			want = 1 // as it is seen there
		}
		if kind != kinds[i/2] || st.ID != b.id || st.Status != statuses[kind] || st.Pid != want ||
			st.Bundle != b.bundle || st.Annotations["org.example.key"] != "value" {
			t.Errorf("%d: %s, want %s with status %s and pid %d", i, line, kinds[i/2], statuses[kind], want)
		}
	}
}

// TestPlace: namespaces, cgroup, root and working directory of each kind.
func TestPlace(t *testing.T) {
	coverage.Shows(t, "hooks: each kind runs in its namespaces")
	const look = `exec >>$OUT/$1.$$; cat >/dev/null; for n in mnt pid net ipc uts cgroup user; do readlink /proc/self/ns/$n; done
		pwd; test -e "$OUT/../../../../etc/hostname" && hostname; ls -d /bundle-of-the-test 2>/dev/null
		head -1 /proc/self/cgroup | cut -d: -f3`
	b := newBox(t, everyKind(look), func(_ *box, s *specs.Spec) {
		s.Process.Cwd = "/tmp"
		s.Hostname = "inside"
		cgroup := specs.LinuxNamespace{Type: specs.CgroupNamespace}
		if !slices.Contains(s.Linux.Namespaces, cgroup) { // it is there on cgroup v2
			s.Linux.Namespaces = append(s.Linux.Namespaces, cgroup)
		}
	})
	b.good(b.create())
	pid := b.pid()
	link := func(pid any, ns string) string { l, _ := os.Readlink(fmt.Sprintf("/proc/%v/ns/%s", pid, ns)); return l }
	own := map[string]string{}
	for _, ns := range []string{"mnt", "pid", "net", "ipc", "uts", "cgroup", "user"} {
		own[ns] = link(pid, ns)
	}
	b.good(b.start())
	drive.OK(t, "delete", "--force", b.id)
	for _, kind := range kinds {
		files, err := os.ReadDir(b.out)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range files {
			if strings.HasPrefix(f.Name(), kind+".") {
				got = strings.Split(b.wrote(f.Name()), "\n")
			}
		}
		if len(got) < 8 {
			t.Errorf("%s wrote %q", kind, got)
			continue
		}
		for i, ns := range []string{"mnt", "pid", "net", "ipc", "uts", "cgroup", "user"} {
			want := link("self", ns)
			if inside(kind) {
				want = own[ns]
			}
			if got[i] != want {
				t.Errorf("%s: the %s namespace is %s, want %s", kind, ns, got[i], want)
			}
		}
		cwd := b.bundle
		switch kind {
		case "createContainer":
			cwd = b.bundle + "/rootfs"
		case "startContainer":
			cwd = "/tmp"
		case "poststop":
			if os.Getenv("RUNTIME") != "" {
				cwd = got[7] // wherever runc was called
			}
		}
		if got[7] != cwd {
			t.Errorf("%s: works in %s, want %s", kind, got[7], cwd)
		}
		if cgroup := got[len(got)-2]; inside(kind) && cgroup != "/" {
			t.Errorf("%s: in the cgroup %s, as seen from the container's", kind, cgroup)
		}
	}
}

// TestRoot: createContainer sees the host's files with the container's
// mounts, and before the change of root; startContainer the container's.
func TestRoot(t *testing.T) {
	b := newBox(t, func(b *box, s *specs.Spec) {
		add(s, "createContainer", b.sh(`{ cat /proc/mounts | grep -c " $(pwd)/proc "; ls -d /lost-or-not $(pwd)/bin/busybox 2>/dev/null; } >$OUT/create; touch created-here`))
		add(s, "startContainer", b.sh(`{ ls -d /created-here /bin/busybox; hostname; } >$OUT/start`))
		s.Hostname = "inside"
	})
	b.life()
	if got, want := b.wrote("create"), "1\n"+b.bundle+"/rootfs/bin/busybox\n"; got != want {
		t.Errorf("createContainer saw %q, want %q", got, want)
	}
	if got, want := b.wrote("start"), "/bin/busybox\n/created-here\ninside\n"; got != want {
		t.Errorf("startContainer saw %q, want %q", got, want)
	}
}

// TestCredentials: the host's hooks are root's; startContainer is the
// process's user, with its capabilities and limits.
func TestCredentials(t *testing.T) {
	const look = `cat >/dev/null; { grep -E '^(Uid|Gid|Groups|Umask|NoNewPrivs|CapPrm|CapEff|CapBnd):' /proc/self/status | tr -s ' \t' ' '; ulimit -Sn; } >$OUT/$1`
	b := newBox(t, everyKind(look), func(_ *box, s *specs.Spec) {
		kill := []string{"CAP_KILL"}
		s.Process.User = specs.User{UID: 1000, GID: 1001, AdditionalGids: []uint32{7}}
		s.Process.NoNewPrivileges = true
		s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: kill, Permitted: kill, Effective: kill, Inheritable: kill, Ambient: kill}
		s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 77, Hard: 99}}
	})
	b.life()
	host := strings.Fields(b.wrote("createRuntime"))
	if got := strings.Fields(b.wrote("createContainer")); strings.Join(got[:len(got)-1], " ") != strings.Join(host[:len(host)-1], " ") {
		t.Errorf("createContainer is\n%s, createRuntime\n%s", got, host)
	}
	const set = "0000000000000020"
	want := "Umask: 0022 Uid: 1000 1000 1000 1000 Gid: 1001 1001 1001 1001 Groups: 7 CapPrm: " + set + " CapEff: " + set + " CapBnd: " + set + " NoNewPrivs: 1 77"
	if got := strings.Join(strings.Fields(b.wrote("startContainer")), " "); got != want {
		t.Errorf("startContainer is\n%s, want\n%s", got, want)
	}
}

// TestGiven: arguments and environment are those of the hook and no others,
// and its descriptors are the three streams.
func TestGiven(t *testing.T) {
	coverage.Shows(t, "hooks.prestart.path", "hooks.prestart.args", "hooks.prestart.env", "hooks.createRuntime.path",
		"hooks.createRuntime.args", "hooks.createRuntime.env", "hooks.createContainer.path", "hooks.createContainer.args",
		"hooks.createContainer.env", "hooks.startContainer.path", "hooks.startContainer.args", "hooks.startContainer.env",
		"hooks.poststart.path", "hooks.poststart.args", "hooks.poststart.env", "hooks.poststop.path", "hooks.poststop.args",
		"hooks.poststop.env")
	t.Setenv("LEAK", "host")
	b := newBox(t, func(b *box, s *specs.Spec) {
		s.Process.Env = append(s.Process.Env, "PROCESS=env")
		for _, kind := range kinds {
			argv0 := "argv0"
			if kind == "startContainer" {
				argv0 = "dd" // busybox goes by its name
			}
			for _, file := range []string{"environ", "cmdline"} {
				add(s, kind, specs.Hook{
					Path: "/bin/dd", Args: []string{argv0, "if=/proc/self/" + file, "of=" + b.out + "/" + kind + "." + file},
					Env: []string{"KIND=" + kind, "EMPTY="},
				})
			}
			add(s, kind, b.sh("ls /proc/self/fd >$OUT/"+kind+".fds"))
		}
	})
	b.life()
	for _, kind := range kinds {
		if got, want := b.wrote(kind+".environ"), "KIND="+kind+"\x00EMPTY=\x00"; got != want {
			t.Errorf("%s: environment %q, want %q", kind, got, want)
		}
		want := "argv0\x00if="
		if kind == "startContainer" {
			want = "dd\x00if" // and splits its arguments
		}
		if got := b.wrote(kind + ".cmdline"); !strings.HasPrefix(got, want) {
			t.Errorf("%s: arguments %q", kind, got)
		}
		// ls opens one itself.
		if got := strings.Fields(b.wrote(kind + ".fds")); inside(kind) && len(got) != 4 && os.Getenv("RUNTIME") == "" {
			t.Errorf("%s has the descriptors %v", kind, got)
		}
	}
}
