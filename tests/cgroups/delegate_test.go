package cgroups

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// owners tells who owns a directory, as ".", and the files in it, but for
// those that belong to root.
func owners(t testing.TB, dir string) map[string]uint32 {
	t.Helper()
	list, err := os.ReadDir(dir)
	check(t, err)
	all := map[string]uint32{}
	names := []string{"."}
	for _, e := range list {
		names = append(names, e.Name())
	}
	for _, name := range names {
		info, err := os.Lstat(filepath.Join(dir, name))
		check(t, err)
		if uid := info.Sys().(*syscall.Stat_t).Uid; uid != 0 {
			all[name] = uid
		}
	}
	return all
}

// delegated is what a user gets who owns a cgroup.
func delegated(t testing.TB, dir string, uid uint32) map[string]uint32 {
	t.Helper()
	all := map[string]uint32{".": uid}
	for name := range strings.FieldsSeq(read(t, "/sys/kernel/cgroup/delegate")) {
		if exists(filepath.Join(dir, name)) {
			all[name] = uid
		}
	}
	return all
}

// TestOwner: the cgroup belongs to the container's user where it can be
// written to from inside, and there only.
func TestOwner(t *testing.T) {
	drive.MockersOwn(t, "runc does so with systemd alone")
	needV2(t, "memory", "pids")
	user := func(uid uint32) func(*specs.Spec) {
		return func(s *specs.Spec) { s.Process.User = specs.User{UID: uid, GID: uid} }
	}
	readOnly := func(s *specs.Spec) {
		namespace(s)
		for i := range s.Mounts {
			if s.Mounts[i].Type == "cgroup" {
				s.Mounts[i].Options = append(s.Mounts[i].Options, "ro")
			}
		}
	}
	for name, c := range map[string]struct {
		edits []func(*specs.Spec)
		owner uint32
	}{
		"user namespace":        {[]func(*specs.Spec){namespace, userNamespace(t)}, 200000},
		"user of it":            {[]func(*specs.Spec){namespace, userNamespace(t), user(7)}, 200007},
		"ordinary user":         {[]func(*specs.Spec){namespace, user(7)}, 7},
		"root":                  {[]func(*specs.Spec){namespace}, 0},
		"read-only":             {[]func(*specs.Spec){readOnly, userNamespace(t)}, 0},
		"no cgroup namespace":   {[]func(*specs.Spec){userNamespace(t), noNamespace}, 0},
		"by annotation, nested": {[]func(*specs.Spec){namespace, userNamespace(t), delegateTo("its/own")}, 200000},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, forever, c.edits...)
			own(t, b)
			drive.OK(t, "create", "--bundle", b.bundle, b.id)
			dir, want := b.dir, map[string]uint32{}
			if name == "by annotation, nested" {
				if got := owners(t, b.dir); len(got) != 0 {
					t.Errorf("the cgroup with the limits: %v", got)
				}
				dir += "/its/own"
			}
			if c.owner != 0 {
				want = delegated(t, dir, c.owner)
			}
			if got := owners(t, dir); !maps.Equal(got, want) {
				t.Errorf("got  %v\nwant %v", got, want)
			}
		})
	}
}

func delegateTo(name string) func(*specs.Spec) {
	return func(s *specs.Spec) { s.Annotations = map[string]string{"run.oci.delegate-cgroup": name} }
}

// TestOwnTree: root of a user namespace makes cgroups, and limits them, and
// cannot lift its own limits.
func TestOwnTree(t *testing.T) {
	drive.MockersOwn(t, "runc does so with systemd alone")
	needV2(t, "memory", "pids")
	for name, edit := range map[string]func(*specs.Spec){"its own": func(*specs.Spec) {}, "a delegated one": delegateTo("own")} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, `exec 2>&1; cd /sys/fs/cgroup && cat /proc/self/cgroup && mkdir init a && echo $$ >init/cgroup.procs && echo +pids >cgroup.subtree_control && echo 5 >a/pids.max && cat a/pids.max
				(echo max >pids.max) || echo own limit stays; echo made; `+forever, namespace, userNamespace(t), edit, withLimit(55))
			own(t, b)
			b.run()
			drive.Eventually(t, "it is through", func() bool { return strings.Contains(b.started.Output(), "made") })
			got := b.started.Output()
			if !strings.HasPrefix(got, "0::/\n5\n") || !strings.Contains(got, "own limit stays\n") {
				t.Errorf("got %s", got)
			}
			b.has(map[string]string{"pids.max": "55"})
			if got := b.prints("cat /proc/self/cgroup"); got != "0::/init\n" {
				t.Errorf("exec: %s", got)
			}
			drive.OK(t, "delete", "--force", b.id)
		})
	}
}

func withLimit(pids int64) func(*specs.Spec) {
	return func(s *specs.Spec) { s.Linux.Resources.Pids = &specs.LinuxPids{Limit: &pids} }
}

// TestDelegateAnnotation: the processes live below the cgroup with the
// limits, those of exec too.
func TestDelegateAnnotation(t *testing.T) {
	drive.MockersOwn(t, "an annotation of crun's")
	if !unified() {
		b := newBox(t, forever, delegateTo("own"))
		b.refused(`cgroup: annotations.run.oci.delegate-cgroup: "own": a cgroup can be delegated only where cgroup v2 is all there is`)
		return
	}
	b := newBox(t, forever, delegateTo("/../own/"), func(s *specs.Spec) {
		hook := specs.Hook{Path: "/bin/sh", Args: []string{"sh", "-c", "cat /proc/self/cgroup >/hook"}}
		s.Hooks = &specs.Hooks{StartContainer: []specs.Hook{hook}}
	}).run()
	pids := strings.Fields(b.file("own/cgroup.procs"))
	if len(pids) == 0 {
		t.Error("nobody is in the delegated cgroup")
	}
	for _, pid := range pids {
		if got := v2(read(t, "/proc/"+pid+"/cgroup")); got != "0::/"+b.id+"/box/own\n" {
			t.Errorf("process %s is in %s", pid, got)
		}
	}
	// Its cgroup namespace begins there.
	if got := v2(b.prints("cat /proc/self/cgroup; cat /hook; cat /proc/1/cgroup")); got != "0::/\n0::/\n0::/\n" {
		t.Errorf("exec, hook and the first process: %s", got)
	}
	if got := b.file("cgroup.procs"); got != "" {
		t.Errorf("the cgroup with the limits has the processes %s", got)
	}
	for value, want := range map[string]string{"": "must not be empty", "/": "not the name of a cgroup below the container's", "a b": "white space"} {
		bad := newBox(t, forever, delegateTo(value))
		bad.refused("config.json: annotations.run.oci.delegate-cgroup: ")
		bad.refused(want)
	}
}

// TestFoundCgroup: a cgroup that was there before stays, whose it was, without
// what the container has made in it, and takes the next container.
func TestFoundCgroup(t *testing.T) {
	drive.MockersOwn(t, "runc removes it")
	needV2(t)
	for name, edit := range map[string]func(*specs.Spec){"its own": func(*specs.Spec) {}, "a delegated one": delegateTo("own")} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, `cd /sys/fs/cgroup; for c in $(cat cgroup.controllers); do echo +$c >cgroup.subtree_control; done; mkdir made; exit 0`, namespace, userNamespace(t), edit)
			own(t, b)
			check(t, os.MkdirAll(b.dir, 0o755))
			for range 2 {
				if r := drive.Run(t, "run", "--bundle", b.bundle, b.id); r.Code != 0 {
					t.Error(r)
				}
				if got := owners(t, b.dir); len(got) != 0 || b.file("cgroup.subtree_control") != "" || exists(b.dir+"/made") || exists(b.dir+"/own") {
					t.Errorf("owners %v, hands on %q", got, b.file("cgroup.subtree_control"))
				}
			}
			check(t, os.Remove(b.dir))
		})
	}
}
