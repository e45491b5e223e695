package rootless

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// TestShell: `mocker spec --busybox --rootless` and `mocker run` give a shell
// on a terminal, as root inside that is the user outside.
func TestShell(t *testing.T) {
	for name, subordinate := range map[string]bool{"with subordinate ids": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			u := newUser(t, subordinate)
			before := drive.TakeSnapshot(t)
			u.ok("spec", "--busybox", "--rootless", "--bundle", "box")
			term := drive.OnTerminal(t, "setpriv", u.command(u.mocker, "run", "--bundle", "box", "rootless-shell")...)
			term.Expect("# ")
			term.Type("id -u; tty; touch /file; cat /proc/self/uid_map | wc -l\r")
			term.Expect("0\r\n")
			term.Expect("/dev/pts/0")
			term.Expect(map[bool]string{true: "2\r\n", false: "1\r\n"}[subordinate])
			term.Expect("# ")
			st := u.state("rootless-shell")
			if got := status(t, st.Pid, "Uid"); !strings.HasPrefix(got, fmt.Sprintf("%d\t%d\t", uid, uid)) || st.Owner != "roofless" {
				t.Errorf("the shell's user is %s, the container's owner %q", got, st.Owner)
			}
			info, err := os.Stat(st.Rootfs + "/file")
			check(t, err)
			if owner(info) != uid {
				t.Errorf("/file belongs to %d", owner(info))
			}
			term.Type("exit 3\r")
			if code := term.Wait(); code != 3 || strings.Contains(term.Shown(), "job control") {
				t.Errorf("exit %d\n%s", code, term.Shown())
			}
			before.Unchanged(t)
		})
	}
}

// TestProcessors: a mocker that its user can write seals itself by starting
// again, and what it has taken on for itself until then does not stay.
func TestProcessors(t *testing.T) {
	const look = `grep Cpus_allowed: /proc/self/status; cat /proc/self/timerslack_ns`
	u := newUser(t, true)
	check(t, os.Chown(u.mocker, uid, uid))
	bundle := u.bundle(func(s *specs.Spec) { s.Process.Args = []string{"sh", "-c", look} })
	if got, want := u.ok("run", "--bundle", bundle, u.id()), u.run("sh", "-c", look).Stdout; got != want {
		t.Errorf("inside %q, without mocker %q", got, want)
	}
}

// TestLife: create, start, list, kill and delete, by several users of ids.
func TestLife(t *testing.T) {
	u := newUser(t, true)
	before := drive.TakeSnapshot(t)
	id := u.id()
	bundle := u.bundle(func(s *specs.Spec) {
		s.Process.User = specs.User{UID: 1000, GID: 1000, AdditionalGids: []uint32{5}}
		s.Process.Args = []string{"sh", "-c", "exec sleep 100"}
		s.Process.Capabilities = nil
	})
	u.ok("create", "--bundle", bundle, "--pid-file", "pid", id)
	if st := u.state(id); st.Status != "created" {
		t.Errorf("it is %s", st.Status)
	}
	u.ok("start", id)
	st := u.state(id)
	for name, want := range map[string]string{"Uid": fmt.Sprint(first + 999), "Gid": fmt.Sprint(first + 999), "Groups": fmt.Sprint(first + 4)} {
		if got := strings.Fields(status(t, st.Pid, name))[0]; got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if list := u.ok("list"); !strings.Contains(list, id) || !strings.Contains(list, "roofless") {
		t.Errorf("list: %s", list)
	}
	if r := drive.Run(t, "list"); strings.Contains(r.Stdout, id) {
		t.Error("it is in root's list too")
	}
	u.ok("kill", id, "KILL")
	drive.Eventually(t, "it has stopped", func() bool { return u.state(id).Status == "stopped" })
	u.ok("delete", id)
	before.Unchanged(t)
}

// TestWorld is what the container finds around it: as a container of root's,
// but for the network and the cgroups, which it may look at and not change.
func TestWorld(t *testing.T) {
	u := newUser(t, false)
	bundle := u.bundle(func(s *specs.Spec) {
		s.Process.Args = []string{"sh", "-c", `hostname; ls /proc | grep -c '^[0-9]'; echo x >/dev/null && head -c 2 /dev/zero | wc -c
			cat /proc/keys | wc -c; ls /sys/firmware | wc -l; cat /etc/resolv.conf >/dev/null && echo names
			for d in /sys/fs/cgroup /sys/fs/cgroup/*; do mkdir $d/mine 2>/dev/null && echo made $d/mine; done; mount -o remount,rw /sys 2>/dev/null && echo remounted
			id -G; readlink /proc/self/ns/net`}
	})
	host, err := os.Readlink("/proc/self/ns/net")
	check(t, err)
	got := u.ok("run", "--bundle", bundle, u.id())
	if want := "mocker\n3\n2\n0\n0\nnames\n0\n" + host + "\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestLimits: who asks for limits where there can be none is told so, by the
// limit's name.
func TestLimits(t *testing.T) {
	u := newUser(t, false)
	pids := int64(10)
	bundle := u.bundle(func(s *specs.Spec) {
		s.Process.Args = []string{"true"}
		s.Linux.Resources = &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &pids}}
	})
	for _, mode := range []string{"auto", "true"} {
		r := u.run(u.mocker, "--rootless", mode, "run", "--bundle", bundle, u.id())
		if r.Code != 1 || !strings.Contains(r.Stderr, "cgroup: linux.resources.pids: an ordinary user can have limits only in a cgroup that was delegated: ") {
			t.Errorf("--rootless %s: %v", mode, r)
		}
	}
	drive.Edit(t, bundle, func(s *specs.Spec) { s.Linux.Resources = nil })
	if r := u.run(u.mocker, "--rootless=false", "run", "--bundle", bundle, u.id()); r.Code != 1 || !strings.HasPrefix(r.Stderr, "mocker: cgroup: ") {
		t.Errorf("--rootless=false: %v", r)
	}
}

// TestDelegated: in a cgroup that belongs to the user, it may set limits.
func TestDelegated(t *testing.T) {
	u := newUser(t, false)
	dir := ""
	for _, d := range []string{"/sys/fs/cgroup/pids", "/sys/fs/cgroup"} {
		if _, err := os.Stat(d + "/cgroup.procs"); err == nil {
			dir = d
		}
	}
	dir += "/rootless-delegated"
	check(t, os.Mkdir(dir, 0o755))
	defer os.Remove(dir)
	check(t, os.Chown(dir, uid, uid))
	for _, file := range []string{"cgroup.procs", "tasks", "cgroup.subtree_control"} {
		if err := os.Chown(dir+"/"+file, uid, uid); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	pids := int64(17)
	bundle := u.bundle(func(s *specs.Spec) {
		s.Process.Args = []string{"sh", "-c", "exec sleep 100"}
		s.Linux.CgroupsPath = "/rootless-delegated/box"
		s.Linux.Resources = &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &pids}}
	})
	id := u.id()
	r := u.run(u.mocker, "run", "--detach", "--bundle", bundle, id)
	if _, v1 := os.Stat(dir + "/tasks"); v1 != nil && strings.Contains(r.Stderr, "permission denied") {
		return // v2: the way into it leads through root's
	}
	if r.Code != 0 {
		t.Fatal(r)
	}
	max, err := os.ReadFile(dir + "/box/pids.max")
	check(t, err)
	cgroup, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", u.state(id).Pid))
	check(t, err)
	if string(max) != "17\n" || !strings.Contains(string(cgroup), "pids:/rootless-delegated/box") {
		t.Errorf("pids.max %s, cgroups\n%s", max, cgroup)
	}
	u.ok("delete", "--force", id)
	if _, err := os.Stat(dir + "/box"); !os.IsNotExist(err) {
		t.Errorf("%s/box: %v", dir, err)
	}
}

// TestRefused is what an ordinary user cannot have.
func TestRefused(t *testing.T) {
	u := newUser(t, true)
	other := u.bundle(func(s *specs.Spec) {
		s.Process.Args = []string{"true"}
		s.Linux.UIDMappings[1].HostID, s.Linux.UIDMappings[1].Size = 5, 10
	})
	plain := u.bundle(func(s *specs.Spec) { s.Process.Args = []string{"true"} })
	for _, row := range []struct {
		name, bundle string
		edit         func(*specs.Spec)
		want         string
	}{
		{"no user namespace", plain, func(s *specs.Spec) {
			s.Linux.UIDMappings, s.Linux.GIDMappings = nil, nil
			s.Linux.Namespaces = s.Linux.Namespaces[:len(s.Linux.Namespaces)-1]
		}, "config.json: linux.namespaces: an ordinary user needs a user namespace (mocker spec --rootless writes one)"},
		{"ids of others", other, func(*specs.Spec) {},
			`namespaces: map "0 54321 1\n1 5 10": newuidmap: exit status 1: newuidmap: uid range [1-11) -> [5-15) not allowed`},
	} {
		drive.Edit(t, row.bundle, row.edit)
		r := u.run(u.mocker, "run", "--bundle", row.bundle, u.id())
		if r.Code != 1 || r.Stderr != "mocker: "+row.want+"\n" {
			t.Errorf("%s: %v\nwant %s", row.name, r, row.want)
		}
	}
	u.env[0] = "PATH=/nowhere"
	bundle := plain
	drive.Edit(t, bundle, func(s *specs.Spec) {
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
		s.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: first, Size: 10}}
		s.Linux.GIDMappings = s.Linux.UIDMappings
	})
	r := drive.Exec(t, "setpriv", append(u.command()[:7:7], "/usr/bin/env", "-i", "-C", u.home, "XDG_RUNTIME_DIR="+u.runtime, "PATH=/nowhere", u.mocker, "run", "--bundle", bundle, "x")...)
	if !strings.Contains(r.Stderr, "an ordinary user needs the program newuidmap for more than its own id, which is not in PATH (package uidmap)") {
		t.Errorf("without newuidmap: %v", r)
	}
}

// TestSetgroups: with its own id alone a user cannot change its groups.
func TestSetgroups(t *testing.T) {
	u := newUser(t, false)
	bundle := u.bundle(func(s *specs.Spec) {
		s.Process.Args = []string{"true"}
		s.Process.User.AdditionalGids = []uint32{0}
	})
	r := u.run(u.mocker, "run", "--bundle", bundle, u.id())
	if r.Code != 1 || !strings.Contains(r.Stderr, "namespaces: process.user.additionalGids: the user namespace denies setgroups") {
		t.Error(r)
	}
}

// TestRoots: where the states are, by the environment; nobody gets to see
// those that another has put into a place that anybody could have made.
func TestRoots(t *testing.T) {
	u := newUser(t, false)
	bundle := u.bundle(func(s *specs.Spec) { s.Process.Args = []string{"sh", "-c", "exec sleep 100"} })
	tmp := fmt.Sprintf("/tmp/mocker-%d", uid)
	for _, row := range []struct{ runtime, root string }{
		{"XDG_RUNTIME_DIR=" + u.home, u.home + "/mocker"},
		{"XDG_RUNTIME_DIR=" + u.runtime, u.runtime + "/mocker"},
		{"NOTHING=", u.runtime + "/mocker"},
		{"NOTHING=1", tmp},
	} {
		if row.root == tmp {
			check(t, os.RemoveAll(u.runtime))
			defer os.RemoveAll(tmp)
		}
		u.env[3] = row.runtime
		id := u.id()
		u.ok("create", "--bundle", bundle, id)
		info, err := os.Stat(row.root + "/" + id)
		if err != nil || owner(info) != uid {
			t.Errorf("%s: %v", row.runtime, err)
		}
		if info, err := os.Stat(row.root); err != nil || info.Mode() != os.ModeDir|os.ModeSticky|0o700 {
			t.Errorf("%s: mode %v (%v)", row.root, info.Mode(), err)
		}
		u.ok("delete", "--force", id)
	}
	check(t, os.Mkdir(tmp, 0o700))
	check(t, os.Chown(tmp, 12345, 12345))
	r := u.run(u.mocker, "create", "--bundle", bundle, "x")
	if want := "mocker: state directory " + tmp + ": not a directory of user 54321 alone: operation not permitted\n"; r.Stderr != want {
		t.Errorf("%v\nwant %s", r, want)
	}
}

// TestNoCgroup: what cannot be done without a cgroup says so.
func TestNoCgroup(t *testing.T) {
	u := newUser(t, false)
	bundle := u.bundle(func(s *specs.Spec) { s.Process.Args = []string{"sh", "-c", "sleep 100 & exec sleep 100"} })
	id := u.id()
	u.ok("run", "--detach", "--bundle", bundle, id)
	if got := u.ok("exec", id, "id", "-u"); got != "0\n" {
		t.Errorf("exec: %q", got)
	}
	for _, args := range [][]string{{"pause", id}, {"events", "--stats", id}, {"update", "--pids-limit", "5", id}} {
		r := u.run(append([]string{u.mocker}, args...)...)
		if want := fmt.Sprintf("mocker: container %q has no cgroup: its user may not make one here\n", id); r.Code != 1 || r.Stderr != want {
			t.Errorf("%v: %v\nwant %s", args, r, want)
		}
	}
	// Its processes are those of its pid namespace.
	var pids []int
	if err := json.Unmarshal([]byte(u.ok("ps", "--format", "json", id)), &pids); err != nil || len(pids) != 2 {
		t.Errorf("ps: %v (%v), want two", pids, err)
	}
	u.ok("kill", "--all", id, "USR1") // ends the child, and not the init of a pid namespace
	drive.Eventually(t, "the child has ended", func() bool {
		return strings.Count(u.ok("ps", id, "-eo", "pid,stat"), "S") == 2 // the title's, and the first process
	})
	u.ok("kill", "--all", id, "KILL")
	if st := u.state(id); st.Status != "stopped" {
		t.Errorf("after kill --all: %s", st.Status)
	}
}

// TestNoNetworkHook: the hook says that it is not for an ordinary user.
func TestNoNetworkHook(t *testing.T) {
	u := newUser(t, false)
	r := u.run(u.mocker, "hook", "network")
	if want := "mocker: hook network: needs root: a rootless container has no network hook, it shares the machine's network (leave the hook and the network namespace out)\n"; r.Code != 1 || r.Stderr != want {
		t.Errorf("%v\nwant %s", r, want)
	}
}

// TestInPodman: in the user namespace that podman makes for an ordinary user,
// where that user is root and yet is not.
func TestInPodman(t *testing.T) {
	u := newUser(t, true)
	before := drive.TakeSnapshot(t)
	unshare := func(args ...string) drive.Result {
		return u.run(append([]string{"podman", "unshare"}, args...)...)
	}
	if r := unshare("true"); r.Code != 0 {
		t.Fatal(r)
	}
	defer u.run("podman", "system", "migrate") // ends the process that keeps the namespace
	r := unshare(u.mocker, "spec", "--busybox", "--rootless", "--bundle", "box")
	if r.Code != 0 {
		t.Fatal(r)
	}
	bundle := u.home + "/box"
	edit := func(change func(*specs.Spec)) {
		drive.Edit(t, bundle, func(s *specs.Spec) {
			s.Process.Terminal = false
			change(s)
		})
	}
	edit(func(s *specs.Spec) {
		s.Process.Args = []string{"sh", "-c", "id -u; cat /proc/self/uid_map | tr -s ' '; echo x >/dev/null && echo null"}
	})
	if r := unshare(u.mocker, "run", "--bundle", "box", "rootless-podman"); r.Code != 0 || r.Stdout != "0\n 0 0 1\n 1 1 65536\nnull\n" {
		t.Error(r)
	}
	// Already in a user namespace, a container needs none.
	edit(func(s *specs.Spec) {
		s.Process.Args = []string{"sh", "-c", "cat /proc/self/uid_map | tr -s ' '; echo x >/dev/null && echo null; ls /proc | grep -c '^[0-9]'; touch /mine"}
		s.Linux.Namespaces = s.Linux.Namespaces[:len(s.Linux.Namespaces)-1]
		s.Linux.UIDMappings, s.Linux.GIDMappings = nil, nil
	})
	want := fmt.Sprintf(" 0 %d 1\n 1 %d 65536\nnull\n3\n", uid, first)
	if r := unshare(u.mocker, "run", "--bundle", "box", "rootless-podman"); r.Code != 0 || r.Stdout != " 0 0 1\n 1 1 65536\nnull\n3\n" && r.Stdout != want {
		t.Error(r)
	}
	info, err := os.Stat(bundle + "/rootfs/mine")
	check(t, err)
	if owner(info) != uid {
		t.Errorf("/mine belongs to %d", owner(info))
	}
	u.run("podman", "system", "migrate")
	check(t, os.RemoveAll(u.runtime))
	check(t, os.Mkdir(u.runtime, 0o700))
	check(t, os.Chown(u.runtime, uid, uid))
	before.Unchanged(t)
}

// TestPod: containers of one user that share all namespaces but the mounts.
func TestPod(t *testing.T) {
	for name, subordinate := range map[string]bool{"with subordinate ids": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			u := newUser(t, subordinate)
			before := drive.TakeSnapshot(t)
			first, second := u.id(), u.id()
			network := func(s *specs.Spec) {
				s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.NetworkNamespace}, specs.LinuxNamespace{Type: specs.TimeNamespace})
			}
			u.ok("run", "--detach", "--bundle", u.bundle(func(s *specs.Spec) {
				network(s)
				s.Process.Args = []string{"sh", "-c", "echo here >/dev/shm/x; exec sleep 100"}
				s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Secs: 1000000}}
			}), first)
			pid := u.state(first).Pid
			bundle := u.bundle(func(s *specs.Spec) {
				network(s)
				files := map[specs.LinuxNamespaceType]string{specs.NetworkNamespace: "net"}
				for i, ns := range s.Linux.Namespaces {
					if ns.Type != specs.MountNamespace {
						file := string(ns.Type)
						if f, ok := files[ns.Type]; ok {
							file = f
						}
						s.Linux.Namespaces[i].Path = fmt.Sprintf("/proc/%d/ns/%s", pid, file)
					}
				}
				s.Hostname = ""
				s.Linux.UIDMappings, s.Linux.GIDMappings = nil, nil
				s.Process.Args = []string{"sh", "-c", `id -u; cat /proc/1/comm; cut -c1 /proc/uptime
					for n in user pid net ipc uts cgroup time mnt; do [ "$(readlink /proc/1/ns/$n)" = "$(readlink /proc/self/ns/$n)" ] && echo $n; done; :`}
			})
			if got, want := u.ok("run", "--bundle", bundle, second), "0\nsleep\n1\nuser\npid\nnet\nipc\nuts\ncgroup\ntime\n"; got != want {
				t.Errorf("it prints %q, want %q", got, want)
			}
			u.ok("kill", first, "KILL")
			drive.Eventually(t, "it has stopped", func() bool { return u.state(first).Status == "stopped" })
			u.ok("delete", first)
			before.Unchanged(t)
		})
	}
}

// TestOwnBinary: a mocker that belongs to the user is not the container's to
// write to, whose root is the user.
func TestOwnBinary(t *testing.T) {
	u := newUser(t, false)
	check(t, os.Chown(u.mocker, uid, uid))
	before, err := os.ReadFile(u.mocker)
	check(t, err)
	id := u.id()
	bundle := u.bundle(func(s *specs.Spec) {
		s.Process.Args = []string{"/proc/self/exe"}
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.NetworkNamespace})
	})
	if r := u.run(u.mocker, "create", "--bundle", bundle, id); r.Code != 1 || !strings.Contains(r.Stderr, "mocker's own binary") {
		t.Error(r)
	}
	drive.Edit(t, bundle, func(s *specs.Spec) { s.Process.Args = []string{"sh", "-c", "exec sleep 100"} })
	u.ok("create", "--bundle", bundle, id)
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", u.state(id).Pid))
	check(t, err)
	if exe == u.mocker {
		t.Errorf("the process that waits runs %s itself", exe)
	}
	after, err := os.ReadFile(u.mocker)
	check(t, err)
	if string(before) != string(after) {
		t.Error("the binary has changed")
	}
}
