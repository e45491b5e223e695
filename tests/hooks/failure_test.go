package hooks

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/coverage"
	"github.com/mocker-runtime/mocker/tests/drive"
)

// TestFailure: a hook that fails in one of several ways ends the container,
// with an error that says how; what earlier hooks have made is undone by the
// poststop hooks, and later ones do not run (runtime.md, "Lifecycle").
func TestFailure(t *testing.T) {
	coverage.Shows(t, "lifecycle: a hook that fails during create stops and destroys the container",
		"lifecycle: a startContainer or poststart hook that fails stops the container",
		"lifecycle: a poststop hook that fails is a warning", "hooks.prestart.timeout", "hooks.createRuntime.timeout",
		"hooks.createContainer.timeout", "hooks.startContainer.timeout", "hooks.poststart.timeout", "hooks.poststop.timeout")
	second := 1
	ways := []struct {
		name string
		hook func(b *box) specs.Hook
		want string // behind the hook's path
	}{
		{"exit", func(b *box) specs.Hook { return b.sh("echo no luck >&2; exit 3") }, "exit status 3: no luck"},
		{"signal", func(b *box) specs.Hook { return b.sh("kill -TERM $$") }, "signal: terminated"},
		{"hangs", func(b *box) specs.Hook {
			h := b.sh("echo waiting; sleep 1000")
			if os.Getenv("RUNTIME") != "" {
				h = b.sh("exec sleep 1000") // runc does not kill what a hook has started, and waits for it
			}
			h.Timeout = &second
			return h
		}, "timed out after 1s: waiting"},
		{"missing", func(*box) specs.Hook { return specs.Hook{Path: "/does/not/exist"} }, "no such file or directory"},
		{"not executable", func(*box) specs.Hook { return specs.Hook{Path: "/etc/passwd"} }, "permission denied"},
	}
	for _, kind := range kinds {
		for _, way := range ways {
			t.Run(kind+"/"+way.name, func(t *testing.T) {
				if kind == "poststart" || kind == "startContainer" {
					drive.MockersOwn(t, "Debian's runc says nothing of startContainer, and runs poststart in create")
				}
				before := drive.TakeSnapshot(t)
				b := newBox(t, func(b *box, s *specs.Spec) {
					first, last := b.sh("touch $OUT/first"), b.sh("touch $OUT/last")
					for _, h := range []specs.Hook{first, way.hook(b), last} {
						add(s, kind, h)
					}
					add(s, "poststop", b.sh("touch $OUT/poststop"))
				})
				r := b.create()
				if atStart(kind) {
					b.good(r)
					r = b.start()
				}
				if kind == "poststop" {
					b.good(r)
					if r = drive.Run(t, "delete", b.id); !b.has("last") || r.Code != 0 && os.Getenv("RUNTIME") == "" {
						drive.MockersOwn(t, "runc stops at the first one, against runtime.md")
						t.Errorf("delete: %v", r)
					}
					r.Code = 1
				} else if b.has("last") {
					t.Error("a hook after it has run")
				}
				want := way.want
				if os.Getenv("RUNTIME") != "" {
					want = "" // in other words
				}
				if r.Code != 1 || !strings.Contains(r.Stderr, want) || os.Getenv("RUNTIME") == "" && !strings.Contains(r.Stderr, kind+" hooks: hook ") {
					t.Errorf("%v, want %q", r, want)
				}
				if !b.has("first") || !b.has("poststop") {
					t.Errorf("the hook before it has run: %t, poststop: %t", b.has("first"), b.has("poststop"))
				}
				b.gone()
				before.Unchanged(t)
			})
		}
	}
}

// TestRunFails: run says the same, once, and leaves nothing.
func TestRunFails(t *testing.T) {
	drive.MockersOwn(t, "its texts are others")
	for _, kind := range kinds[:5] {
		before := drive.TakeSnapshot(t)
		b := newBox(t, func(b *box, s *specs.Spec) { add(s, kind, b.sh("exit 3")) })
		r := drive.Run(t, "run", "--bundle", b.bundle, b.id)
		if want := fmt.Sprintf("mocker: %s hooks: hook \"/bin/sh\": exit status 3\n", kind); r.Code != 1 || r.Stderr != want {
			t.Errorf("%v, want %q", r, want)
		}
		b.gone()
		before.Unchanged(t)
	}
}

// TestWayward: hooks that do odd things and succeed.
func TestWayward(t *testing.T) {
	for name, script := range map[string]string{
		"closes stdin":       "exec 0<&-; exit 0",
		"closes all":         "exec 0<&- 1>&- 2>&-; sleep 0.1; exit 0",
		"prints megabytes":   "cat >/dev/null; head -c 20000000 /dev/zero | tr '\\0' x; exit 0",
		"leaves a daemon":    "sleep 20 & exit 0",
		"a daemon far away":  "(sleep 20 </dev/null >/dev/null 2>&1 &) ; exit 0",
		"reads a byte of it": "head -c 1 >/dev/null; exit 0",
	} {
		t.Run(name, func(t *testing.T) {
			if strings.Contains(script, "sleep 20") {
				drive.MockersOwn(t, "runc waits for the daemon")
			}
			before := drive.TakeSnapshot(t)
			b := newBox(t, everyKind(script), func(b *box, s *specs.Spec) {
				// Larger than a pipe holds.
				s.Annotations = map[string]string{"big": strings.Repeat("x", 200_000)}
				add(s, "poststop", b.sh("touch $OUT/all"))
			})
			start := time.Now()
			b.life()
			if took := time.Since(start); took > drive.Patience(15*time.Second) || !b.has("all") {
				t.Errorf("took %v, came to the last one: %t", took, b.has("all"))
			}
			if strings.Contains(script, "sleep") { // what the host's hooks leave is their own business
				drive.Exec(t, "pkill", "-P", fmt.Sprint(os.Getpid()), "-x", "sleep")
			}
			before.Unchanged(t)
		})
	}
}

// TestMuchOutput: the error has the end of what the hook has said.
func TestMuchOutput(t *testing.T) {
	drive.MockersOwn(t, "runc keeps all of it")
	for _, kind := range []string{"createRuntime", "createContainer", "startContainer"} {
		b := newBox(t, func(b *box, s *specs.Spec) {
			add(s, kind, b.sh("head -c 20000000 /dev/zero | tr '\\0' x; echo; echo the end; exit 3"))
		})
		r := b.create()
		if atStart(kind) {
			r = b.start()
		}
		if r.Code != 1 || len(r.Stderr) > 10_000 || !strings.HasSuffix(r.Stderr, "the end\n") {
			t.Errorf("%s: exit %d, %d bytes", kind, r.Code, len(r.Stderr))
		}
	}
}

// hanging starts the command that runs a hook which hangs, and gives it with
// the pid of the hook's child on the host.
func hanging(t *testing.T, kind string) (b *box, cmd *drive.Cmd, pid int) {
	t.Helper()
	b = newBox(t, func(b *box, s *specs.Spec) { add(s, kind, b.sh("sleep 1234 & touch $OUT/hangs; wait")) })
	args := []string{"create", "--bundle", b.bundle, b.id}
	if atStart(kind) {
		b.good(b.create())
		args = []string{"start", b.id}
	}
	cmd = drive.Start(t, drive.Runtime(t), args...)
	drive.Eventually(t, "the hook hangs", func() bool { return b.has("hangs") })
	drive.Eventually(t, "the hook's child sleeps", func() bool {
		out, _ := exec.Command("pgrep", "-n", "-x", "-f", "sleep 1234").Output()
		pid, _ = strconv.Atoi(strings.TrimSpace(string(out)))
		return pid != 0
	})
	return b, cmd, pid
}

// TestForceHanging: delete --force of a container whose hook hangs ends the
// hook and the command that waits for it.
func TestForceHanging(t *testing.T) {
	drive.MockersOwn(t, "runc has no state to delete by then")
	for _, kind := range []string{"createRuntime", "createContainer", "startContainer"} {
		t.Run(kind, func(t *testing.T) {
			before := drive.TakeSnapshot(t)
			b, cmd, pid := hanging(t, kind)
			if r := drive.Run(t, "delete", "--force", b.id); r.Code != 0 || r.Took > drive.Patience(5*time.Second) {
				t.Errorf("delete: %v after %v", r, r.Took)
			}
			r := cmd.Wait()
			if r.Code != 1 || !strings.Contains(r.Stderr, "the container's process has ended") && !(inside(kind) && strings.Contains(r.Stderr, "signal: killed")) {
				t.Errorf("%v", r)
			}
			b.ended(pid)
			b.gone()
			before.Unchanged(t)
		})
	}
}

// TestMockerKilled: a hook ends with the mocker that runs it, and what it has
// started goes with the container.
func TestMockerKilled(t *testing.T) {
	drive.MockersOwn(t, "runc's hooks live on")
	for _, kind := range []string{"createContainer", "startContainer"} {
		t.Run(kind, func(t *testing.T) {
			before := drive.TakeSnapshot(t)
			b, cmd, pid := hanging(t, kind)
			hook := parent(t, pid)
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			cmd.Wait()
			// What was a child of mocker's is the test's now, and the container
			// cannot end before it has been reaped.
			drive.Eventually(t, "the hook has been reaped", func() bool {
				reapOrphans()
				_, err := os.Stat(fmt.Sprintf("/proc/%d", hook))
				return err != nil
			})
			drive.OK(t, "delete", "--force", b.id)
			b.ended(pid)
			b.gone()
			reapOrphans()
			before.Unchanged(t)
		})
	}
}

// reapOrphans reaps what has become the test's, which runs no command.
func reapOrphans() {
	for {
		if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); pid <= 0 || err != nil {
			return
		}
	}
}

func parent(t *testing.T, pid int) int {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), ") ")
	ppid, err := strconv.Atoi(strings.Fields(rest)[1])
	if err != nil {
		t.Fatal(err)
	}
	return ppid
}

// TestNamespacesShared: hooks inside work in a container that has the host's
// pid namespace too, and are told the pid from there.
func TestNamespacesShared(t *testing.T) {
	b := newBox(t, everyKind(`echo "$1 $(cat)" >>$OUT/log`), func(_ *box, s *specs.Spec) {
		s.Linux.Namespaces = []specs.LinuxNamespace{{Type: specs.MountNamespace}}
		s.Hostname = ""
		drop := func(m specs.Mount) bool { return m.Type == "sysfs" || m.Type == "mqueue" || m.Type == "cgroup" }
		var rest []specs.Mount
		for _, m := range s.Mounts {
			if !drop(m) {
				rest = append(rest, m)
			}
		}
		s.Mounts = rest
	})
	pid := b.life()
	if n := strings.Count(b.wrote("log"), fmt.Sprintf(`"pid":%d`, pid)); n != 10 {
		t.Errorf("%d hooks have got the pid %d:\n%s", n, pid, b.wrote("log"))
	}
}

// TestOwnBinary: a container cannot make start run mocker in it. What looks
// for the program is not in the container's pid namespace: it has no self.
func TestOwnBinary(t *testing.T) {
	drive.MockersOwn(t, "runc is sealed and runs itself")
	for link, want := range map[string]string{"/proc/self/exe": "no such file or directory", "/bound": "mocker's own binary"} {
		b := newBox(t, func(b *box, s *specs.Spec) {
			add(s, "startContainer", specs.Hook{Path: "/bin/x", Args: []string{"x", "--version"}})
			s.Mounts = append(s.Mounts, specs.Mount{Destination: "/bound", Source: drive.Mocker(t), Options: []string{"bind"}})
		})
		if err := os.Symlink(link, filepath.Join(b.bundle, "rootfs/bin/x")); err != nil {
			t.Fatal(err)
		}
		b.good(b.create())
		if r := b.start(); r.Code != 1 || !strings.Contains(r.Stderr, want) {
			t.Errorf("%v, want %q", r, want)
		}
	}
}
