package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// TestTwoAtOnce runs two commands on one container at the same time. Either
// may lose, with an error that says how; neither hangs, and nothing is left.
func TestTwoAtOnce(t *testing.T) {
	bundle, before := faultBundle(t)
	create := []string{"create", "--bundle", bundle, id}
	force := []string{"delete", "--force", id}
	for _, c := range []struct {
		name    string
		prepare [][]string
		a, b    []string
	}{
		{"start and delete", [][]string{create}, []string{"start", id}, force},
		{"create and delete", nil, create, force},
		{"create and create", nil, create, create},
		{"start and start", [][]string{create}, []string{"start", id}, []string{"start", id}},
		{"kill and delete", [][]string{create, {"start", id}}, []string{"kill", id, "KILL"}, force},
		{"delete and delete", [][]string{create, {"start", id}}, force, force},
	} {
		t.Run(c.name, func(t *testing.T) {
			for round := range drive.Rounds(20, 3) {
				for _, cmd := range c.prepare {
					drive.OK(t, cmd...)
				}
				a := drive.Start(t, drive.Mocker(t), c.a...)
				time.Sleep(time.Duration(round) * 400 * time.Microsecond)
				b := drive.Start(t, drive.Mocker(t), c.b...)
				list := drive.Start(t, drive.Mocker(t), "list")
				state := drive.Start(t, drive.Mocker(t), "state", id)
				for what, r := range map[string]drive.Result{
					strings.Join(c.a, " "): a.Wait(), strings.Join(c.b, " ") + ".": b.Wait(), "list": list.Wait(), "state": state.Wait(),
				} {
					if r.Took > drive.Patience(5*time.Second) || r.Code != 0 && !understood(r.Stderr) {
						t.Errorf("round %d: %s after %v: %v", round, what, r.Took, r)
					}
					if r.Code != 0 && (what == "list" || strings.HasPrefix(what, "delete")) {
						t.Errorf("round %d: %s: %v", round, what, r)
					}
				}
				before.cleaned(t)
				if t.Failed() {
					return
				}
			}
		})
	}
}

// understood reports whether an error is one that says that somebody else was
// faster.
func understood(stderr string) bool {
	for _, text := range []string{
		"does not exist", "already exists", "not running", "has stopped", "already running", "killed by signal 9",
		"was killed before it could start", "the container's process has ended",
	} {
		if strings.Contains(stderr, text) {
			return true
		}
	}
	return false
}

// TestHookHangs: delete --force of a container that waits for a hook ends the
// create, and the hook.
func TestHookHangs(t *testing.T) {
	for _, killed := range []bool{false, true} {
		t.Run(fmt.Sprintf("create killed=%v", killed), func(t *testing.T) {
			bundle, before := faultBundle(t)
			pidFile := filepath.Join(t.TempDir(), "pid")
			drive.Edit(t, bundle, func(s *specs.Spec) {
				s.Hooks.Prestart = append(s.Hooks.Prestart, hook("echo $$ >"+pidFile+"; exec sleep 1000")) //nolint:staticcheck // deprecated, and what engines use
			})
			before.seen = look(t)
			create := drive.Start(t, drive.Mocker(t), "create", "--bundle", bundle, id)
			pid := 0
			drive.Eventually(t, "the hook runs", func() bool {
				text, _ := os.ReadFile(pidFile)
				pid, _ = strconv.Atoi(strings.TrimSpace(string(text)))
				return pid != 0
			})
			defer func() { _ = unix.Kill(pid, unix.SIGKILL) }() // of a test that failed
			if state := drive.OK(t, "state", id); !strings.Contains(state, `"creating"`) {
				t.Errorf("state: %s", state)
			}
			if killed {
				if err := create.Process.Signal(unix.SIGKILL); err != nil {
					t.Fatal(err)
				}
				create.Wait()
				truthful(t)
			}
			if r := drive.Run(t, "delete", "--force", id); r.Code != 0 || r.Took > drive.Patience(2*time.Second) {
				t.Errorf("delete --force after %v: %v", r.Took, r)
			}
			if !killed {
				if r := create.Wait(); r.Code != 1 || !strings.HasPrefix(r.Stderr, "mocker: prestart hooks: ") {
					t.Errorf("create: %v", r)
				}
			}
			drive.Eventually(t, "the hook has ended", func() bool {
				comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
				_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
				return err != nil || string(comm) != "sleep\n"
			})
			before.untouched(t)
		})
	}
}
