package seccomp

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/coverage"
	"github.com/mocker-runtime/mocker/tests/drive"
)

// TestAgent: a supervisor answers for a container and for who joins it, and
// knows whose calls they are.
func TestAgent(t *testing.T) {
	coverage.Shows(t, "linux.seccomp.listenerPath", "linux.seccomp.listenerMetadata", "linux.seccomp.syscalls.action=SCMP_ACT_NOTIFY")
	const message = "containerProcessState."
	coverage.Shows(t, message+"ociVersion", message+"fds", message+"pid", message+"metadata", message+"state.ociVersion", message+"state.id",
		message+"state.status", message+"state.pid", message+"state.bundle", message+"state.annotations")
	for name, as := range map[string]edit{
		"no new privileges":                func(*specs.Spec) {},
		"new privileges":                   newPrivileges,
		"user 1000":                        all(user(1000), capabilities()),
		"user 1000, new privileges":        all(user(1000), capabilities(), newPrivileges),
		"administrator":                    all(capabilities("CAP_SYS_ADMIN"), newPrivileges),
		"user namespace":                   inUserNamespace,
		"user namespace, new privileges":   all(inUserNamespace, newPrivileges),
		"user 1000 there, new privileges":  all(inUserNamespace, newPrivileges, user(1000), capabilities()),
		"few files and processes, of 1000": all(user(1000), capabilities(), newPrivileges, limits),
	} {
		t.Run(name, func(t *testing.T) {
			a := newAgent(t, pretend(t))
			id, bundle := box(t, "uname -n; mkdir /tmp/d; grep Seccomp: /proc/self/status; sleep 100", as, a.profile("uname", "mkdir", "mkdirat"),
				func(s *specs.Spec) { s.Annotations = map[string]string{"color": "red"} })
			c := drive.Start(t, drive.Runtime(t), "create", "--bundle", bundle, id)
			if r := c.Wait(); r.Code != 0 {
				t.Fatal(r)
			}
			st := state(t, id)
			m := a.message()
			if m.Version == "" || !slices.Equal(m.Fds, []string{"seccompFd"}) || m.Pid != st.Pid || m.Metadata != "meta data" ||
				m.State.Version != st.Version || m.State.ID != id || m.State.Status != "creating" || m.State.Pid != st.Pid || m.State.Bundle != bundle || m.State.Annotations["color"] != "red" {
				t.Errorf("the agent got %+v, of %+v", m, st)
			}
			drive.OK(t, "start", id)
			const denied = "mkdir: can't create directory '/tmp/d': No medium found"
			drive.Eventually(t, "it has asked", func() bool { return strings.Contains(c.Output(), "Seccomp:") })
			if c.Output() != "agent\nSeccomp:\t2\n" || strings.TrimSpace(c.Errors()) != denied {
				t.Errorf("the container says %q, %q", c.Output(), c.Errors())
			}
			r := drive.Run(t, "exec", id, "mkdir", "/tmp/d")
			if strings.TrimSpace(r.Stderr) != denied {
				t.Errorf("exec: %v", r)
			}
			m = a.message()
			if pids := a.pids(sysMkdir); m.Pid != pids[len(pids)-1] || m.State.Pid != st.Pid || m.State.Status != "running" || m.State.ID != id {
				t.Errorf("the agent got %+v for the exec, which was %v, in %+v", m, pids, st)
			}
		})
	}
}

// TestWaitKillable: an agent answers under the flag that lets a call be killed
// once the agent has it.
func TestWaitKillable(t *testing.T) {
	drive.MockersOwn(t, "runc 1.1 has no flags")
	coverage.Shows(t, "linux.seccomp.flags=SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV")
	a := newAgent(t, pretend(t))
	got := prints(t, "uname -n", a.profile("uname"), func(s *specs.Spec) {
		s.Linux.Seccomp.Flags = []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagWaitKillableRecv, "SECCOMP_FILTER_FLAG_TSYNC"}
	})
	if got != "agent\n" {
		t.Errorf("got %q", got)
	}
}

// limits are low ones.
func limits(s *specs.Spec) {
	s.Process.Rlimits = []specs.POSIXRlimit{
		{Type: "RLIMIT_NOFILE", Soft: 64, Hard: 64}, {Type: "RLIMIT_NPROC", Soft: 100, Hard: 100},
	}
}

// TestAgentOfEngine: with the engines' profile around what is asked about.
func TestAgentOfEngine(t *testing.T) {
	for name, privileges := range map[string]edit{"no new privileges": func(*specs.Spec) {}, "new privileges": newPrivileges} {
		t.Run(name, func(t *testing.T) {
			a := newAgent(t, pretend(t))
			id, bundle := box(t, "mkdir /tmp/d; sleep 100", privileges, enginesProfile(t), func(s *specs.Spec) {
				p := s.Linux.Seccomp
				p.ListenerPath = a.socket
				for i := range p.Syscalls {
					p.Syscalls[i].Names = slices.DeleteFunc(p.Syscalls[i].Names, func(name string) bool { return slices.Contains(mkdir, name) })
				}
				p.Syscalls = append(p.Syscalls, rule(specs.ActNotify, mkdir...))
			})
			drive.OK(t, "run", "--detach", "--bundle", bundle, id)
			r := drive.Run(t, "exec", id, "mkdir", "/tmp/d")
			if !strings.Contains(r.Stderr, "No medium found") {
				t.Errorf("exec: %v", r)
			}
			term := drive.OnTerminal(t, drive.Runtime(t), "exec", "--tty", id, "mkdir", "/tmp/d")
			term.Expect("No medium found")
			term.Wait()
		})
	}
}

// TestAgentOfSharedPID: the agent gets the pid that the process has in the end.
func TestAgentOfSharedPID(t *testing.T) {
	first, bundle := box(t, "sleep 100")
	drive.OK(t, "run", "--detach", "--bundle", bundle, first)
	for name, privileges := range map[string]edit{"no new privileges": func(*specs.Spec) {}, "new privileges": newPrivileges} {
		t.Run(name, func(t *testing.T) {
			a := newAgent(t, pretend(t))
			id, bundle := box(t, "mkdir /tmp/d; exec sleep 100", sharePID(state(t, first).Pid), user(1000), capabilities(), privileges, a.profile(mkdir...))
			c := drive.Start(t, drive.Runtime(t), "run", "--bundle", bundle, id)
			drive.Eventually(t, "it has asked", func() bool { return len(a.pids(sysMkdir)) == 1 })
			if m, st := a.message(), state(t, id); m.Pid != st.Pid || m.State.Pid != st.Pid {
				t.Errorf("the agent got %+v, of %+v", m, st)
			}
			drive.OK(t, "kill", id, "KILL")
			c.Wait() // who is not reaped keeps the namespace's init from ending
		})
	}
}

// TestImportantCalls: the agent is asked about what mocker itself has to do,
// too.
func TestImportantCalls(t *testing.T) {
	for name, privileges := range map[string]edit{"no new privileges": func(*specs.Spec) {}, "new privileges": newPrivileges} {
		t.Run(name, func(t *testing.T) {
			a := newAgent(t, proceed)
			id, bundle := box(t, "sleep 100", privileges, a.profile("execve", "openat", "open", "read", "close", "fcntl", "setsid", "prctl"))
			drive.OK(t, "create", "--bundle", bundle, id)
			drive.OK(t, "start", id)
			if got := drive.OK(t, "exec", id, "echo", "hello"); got != "hello\n" {
				t.Errorf("exec: %q", got)
			}
			if pids := a.pids(unix.SYS_EXECVE); len(pids) < 2 {
				t.Errorf("it was asked about execve by %v", pids)
			}
		})
	}
}

// TestNoAgent: what is wrong with the socket is said by create, and nothing
// stays.
func TestNoAgent(t *testing.T) {
	before := drive.TakeSnapshot(t)
	dir := t.TempDir()
	gone := filepath.Join(dir, "gone")
	unix.Close(listen(t, gone, 1))
	for path, want := range map[string]string{
		filepath.Join(dir, "none"): "no such file or directory",
		gone:                       "connection refused",
		dir:                        "connection refused",
		"@mocker-seccomp-none":     "connection refused",
	} {
		t.Run(path, func(t *testing.T) {
			id, bundle := box(t, "true", (&agent{socket: path}).profile(mkdir...))
			r := drive.Run(t, "create", "--bundle", bundle, id)
			if r.Code != 1 || !strings.Contains(r.Stderr, want) || !drive.Others() && !strings.Contains(r.Stderr, "mocker: prepare process: connect to seccomp agent "+path+": ") {
				t.Errorf("%v\nwant: %s", r, want)
			}
			if r := drive.Run(t, "state", id); r.Code != 1 {
				t.Errorf("it is there: %v", r)
			}
		})
	}
	before.Unchanged(t)
}

// TestAgentLeaves: calls that nobody answers any more fail, and nothing waits
// for ever.
func TestAgentLeaves(t *testing.T) {
	a := newAgent(t, proceed)
	id, bundle := box(t, "mkdir /tmp/a && echo made; while ! test -e /go; do sleep 0.1; done; mkdir /tmp/b; sleep 100", a.profile(mkdir...))
	c := drive.Start(t, drive.Runtime(t), "run", "--bundle", bundle, id)
	drive.Eventually(t, "it has been answered", func() bool { return c.Output() == "made\n" })
	a.leave()
	drive.OK(t, "exec", id, "touch", "/go")
	drive.Eventually(t, "its call fails", func() bool {
		return strings.TrimSpace(c.Errors()) == "mkdir: can't create directory '/tmp/b': Function not implemented"
	})
	drive.OK(t, "kill", id, "KILL")
	c.Wait()
}

// TestAgentKeepsWaiting: an agent that takes no connection, and one that does
// not answer what mocker has to do, are waited for ten seconds.
func TestAgentKeepsWaiting(t *testing.T) {
	drive.MockersOwn(t, "runc waits as long as it takes")
	before := drive.TakeSnapshot(t)
	t.Run("all", func(t *testing.T) {
		deaf := filepath.Join(t.TempDir(), "deaf")
		fd := listen(t, deaf, 0)
		defer unix.Close(fd)
		for range 2 { // as many as wait in a queue of none
			client, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(client)
			_ = unix.Connect(client, &unix.SockaddrUnix{Name: deaf})
		}
		silent := newAgent(t, nil)
		running, runningBundle := box(t, "sleep 100", silent.profile(mkdir...))
		drive.OK(t, "run", "--detach", "--bundle", runningBundle, running)

		begin := time.Now()
		create := func(profile edit) *drive.Cmd {
			id, bundle := box(t, "true", profile)
			return drive.Start(t, drive.Runtime(t), "create", "--bundle", bundle, id)
		}
		unheard := create((&agent{socket: deaf}).profile(mkdir...))
		closing := create(silent.profile("close_range"))
		execId, execBundle := box(t, "true", silent.profile("execve"))
		drive.OK(t, "create", "--bundle", execBundle, execId)
		starting := drive.Start(t, drive.Runtime(t), "start", execId)
		joinId, joinBundle := box(t, "sleep 100", silent.profile("setsid"))
		drive.OK(t, "run", "--detach", "--bundle", joinBundle, joinId)
		joining := drive.Start(t, drive.Runtime(t), "exec", joinId, "true")

		for _, test := range []struct {
			cmd  *drive.Cmd
			want string
			code int
		}{
			{unheard, fmt.Sprintf("mocker: prepare process: connect to seccomp agent %s: nobody has accepted it within 10s", deaf), 1},
			{closing, `mocker: prepare process: the container's process waits for an answer of who has the listener of its seccomp filter during "close_range CLOSE_RANGE_UNSHARE"`, 1},
			{starting, "mocker: the seccomp agent does not answer: after 10s the program has not been executed (linux.seccomp.listenerPath: " + silent.socket + ")", 1},
			{joining, "mocker: waits for an answer of who has the listener of its seccomp filter", 255},
		} {
			if r := test.cmd.Wait(); r.Code != test.code || strings.TrimSpace(r.Stderr) != test.want {
				t.Errorf("%v\nwant exit %d: %s", r, test.code, test.want)
			}
		}
		if took := time.Since(begin); took > drive.Patience(15*time.Second) || took < 9*time.Second {
			t.Errorf("it took %v", took)
		}
		if got := state(t, execId).Status; got != "stopped" {
			t.Errorf("what was not started is %s", got)
		}
		if got := state(t, joinId).Status; got != "running" {
			t.Errorf("what was not joined is %s", got)
		}
	})
	before.Unchanged(t)
}
