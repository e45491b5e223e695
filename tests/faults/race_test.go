package faults

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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
		"container not paused", "container is already paused", "in the paused state", "cannot exec in a ", "in the creating state", "is not stopped: ",
	} {
		if strings.Contains(stderr, text) {
			return true
		}
	}
	return false
}

// TestManyAtOnce runs all verbs in any order on one container at the same
// time. Each succeeds or says what another one has been faster with, state and
// list know only real statuses, and nothing is left.
func TestManyAtOnce(t *testing.T) { manyAtOnce(t, 2*drive.Rounds(20, 3)) }

func manyAtOnce(t *testing.T, rounds int) {
	t.Helper()
	bundle, before := faultBundle(t)
	verbs := [][]string{
		{"start", id}, {"state", id}, {"list"}, {"list", "-q"}, {"pause", id}, {"pause", id}, {"resume", id}, {"resume", id},
		{"ps", id}, {"ps", "-f", "json", id}, {"events", "--stats", id}, {"update", "--pids-limit", "70", id},
		{"update", "--memory", "200m", "--cpu-quota", "50000", id}, {"exec", id, "true"}, {"kill", id, "CONT"}, {"kill", "--all", id, "CONT"},
		{"kill", id, "KILL"}, {"delete", id}, {"delete", "--force", id}, {"create", "--bundle", bundle, id},
	}
	const gentle, most = 16, 8 // before the first that ends it; at once
	seed := time.Now().UnixNano()
	random := rand.New(rand.NewPCG(1, uint64(seed)))
	for round := range rounds {
		drive.OK(t, "create", "--bundle", bundle, id)
		if round%2 == 0 {
			drive.OK(t, "start", id)
		}
		var cmds []*drive.Cmd
		for range most {
			n := len(verbs)
			if round%4 < 2 {
				n = gentle
			}
			cmds = append(cmds, drive.Start(t, drive.Mocker(t), verbs[random.IntN(n)]...))
			time.Sleep(time.Duration(random.IntN(1500)) * time.Microsecond)
		}
		// Last an exec: its program may stand still in a paused container.
		isExec := func(cmd *drive.Cmd) bool { return cmd.Args[1] == "exec" }
		execs := slices.DeleteFunc(slices.Clone(cmds), func(cmd *drive.Cmd) bool { return !isExec(cmd) })
		resumed := false
		for _, cmd := range append(slices.DeleteFunc(cmds, isExec), execs...) {
			if isExec(cmd) && !resumed {
				drive.Run(t, "resume", id)
				resumed = true
			}
			r := cmd.Wait()
			line := strings.Join(cmd.Args[1:], " ")
			if isExec(cmd) && r.Code == 128+9 && r.Stderr == "" {
				continue // its program was killed with the container
			}
			if isExec(cmd) && r.Code == 255 {
				r.Code = 1 // what exec makes of an error of its own
			}
			if r.Took > 5*time.Second || r.Code > 1 || r.Code == 1 && !understood(r.Stderr) || r.Code == 0 && r.Stderr != "" {
				t.Errorf("%s after %v: %v", line, r.Took, r)
			}
			if r.Code != 0 && (cmd.Args[1] == "list" || strings.Contains(line, "--force")) {
				t.Errorf("%s: %v", line, r)
			}
			if said := status.FindStringSubmatch(r.Stdout); cmd.Args[1] == "state" && r.Code == 0 &&
				(said == nil || !slices.Contains([]string{"creating", "created", "running", "paused", "stopped"}, said[1])) {
				t.Errorf("%s: %v", line, r)
			}
		}
		drive.Run(t, "resume", id)
		truthful(t)
		before.cleaned(t)
		if t.Failed() {
			t.Fatalf("round %d, seed %d", round, seed)
		}
	}
}

var status = regexp.MustCompile(`"status": "(\w+)"`)

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
