package faults

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/mocker-runtime/mocker/tests/drive"
)

const stateFile = "/run/mocker/" + id + "/state.json" // of the tests' own /run

// onOne are the verbs that look at or change one container.
func onOne() [][]string {
	return [][]string{
		{"state", id}, {"start", id}, {"kill", id, "KILL"}, {"kill", "--all", id, "KILL"}, {"pause", id}, {"resume", id}, {"ps", id},
		{"events", "--stats", id}, {"events", id}, {"update", "--pids-limit", "5", id}, {"delete", id},
	}
}

// TestStateCut: with a part of its state.json a container is of no use. Each
// verb says so and what to do, and that leaves nothing.
func TestStateCut(t *testing.T) {
	bundle, before := faultBundle(t)
	other := drive.Bundle(t, drive.Sh("sleep 1000"))
	for _, part := range []int{0, 50, 99} { // percent
		t.Run(fmt.Sprintf("%d%%", part), func(t *testing.T) {
			drive.OK(t, "run", "--detach", "--bundle", bundle, id)
			drive.OK(t, "create", "--bundle", other, id+"-other")
			defer drive.Run(t, "delete", "--force", id+"-other")
			whole, err := os.ReadFile(stateFile)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(stateFile, whole[:len(whole)*part/100], 0o600); err != nil {
				t.Fatal(err)
			}
			want := "read " + stateFile + ": unexpected end of JSON input (the container cannot be used any more, remove it with: mocker --root /run/mocker delete --force " + id + ")\n"
			for _, verb := range onOne() {
				if r := drive.Run(t, verb...); r.Code != 1 || r.Stdout != "" || r.Stderr != "mocker: "+want {
					t.Errorf("%v: %v\nwant %s", verb, r, want)
				}
			}
			r := drive.Run(t, "list")
			if r.Code != 0 || !strings.Contains(r.Stdout, id+"-other") || strings.Contains(r.Stdout, id+" ") || r.Stderr != "mocker: warning: container "+id+" is left out: "+want {
				t.Errorf("list: %v", r)
			}
			if r := drive.Run(t, "create", "--bundle", bundle, id); r.Code != 1 || !strings.Contains(r.Stderr, "already exists") {
				t.Errorf("create: %v", r)
			}
			drive.OK(t, "delete", "--force", id+"-other")
			before.cleaned(t)
		})
	}
}

// TestPidReused: the pid of a container's process has been given to a
// stranger, whom no verb touches.
func TestPidReused(t *testing.T) {
	bundle, before := faultBundle(t)
	for _, how := range []string{"another start time", "another process"} {
		t.Run(how, func(t *testing.T) {
			drive.OK(t, "run", "--detach", "--bundle", bundle, id)
			stranger := exec.Command("sleep", "1000")
			if err := stranger.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() { _ = stranger.Wait(); close(ended) }()
			edit(t, func(init map[string]any) {
				if how == "another process" {
					init["pid"] = stranger.Process.Pid
				} else {
					init["startTime"] = init["startTime"].(float64) + 1
				}
			})
			for _, c := range []struct{ verb, want string }{
				{"state", `"stopped"`}, {"kill", "container not running"}, {"pause", "container not running"}, {"resume", "container not paused"},
				{"start", "has stopped"}, {"events --stats", "container not running"}, {"update --pids-limit 5", "container not running"},
			} {
				r := drive.Run(t, append(strings.Fields(c.verb), id)...)
				if !strings.Contains(r.Stdout+r.Stderr, c.want) || (r.Code == 0) != (c.verb == "state") {
					t.Errorf("%s: %v\nwant %s", c.verb, r, c.want)
				}
			}
			// Ends what is in the cgroup, and that alone.
			drive.OK(t, "delete", id)
			select {
			case <-ended:
				t.Errorf("the stranger has ended: %v", stranger.ProcessState)
			default:
			}
			_ = stranger.Process.Kill()
			<-ended
			before.untouched(t)
		})
	}
}

// edit changes the process that a state.json names.
func edit(t *testing.T, change func(init map[string]any)) {
	t.Helper()
	data, err := os.ReadFile(stateFile)
	if err != nil {
		t.Fatal(err)
	}
	var st map[string]any
	if err := json.Unmarshal(data, &st); err != nil {
		t.Fatal(err)
	}
	change(st["init"].(map[string]any))
	if data, err = json.Marshal(st); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(stateFile, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
