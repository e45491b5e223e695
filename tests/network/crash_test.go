package network

import (
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// A create that is killed at any moment, alone or with the hook that it runs:
// `delete --force` leaves nothing. And a second container, which came
// meanwhile, does not lose its network.
func TestKilled(t *testing.T) {
	before := prepare(t)
	tries := drive.Rounds(30, 6)
	bundle := busybox(t, "exec sleep 1000")
	mocker := drive.Mocker(t)

	// How long it takes when nobody kills it: the best of three.
	took := time.Minute
	for range 3 {
		id := id(t, "whole")
		r := drive.Exec(t, mocker, "create", "--bundle", bundle, id)
		if took = min(took, r.Took); r.Code != 0 {
			t.Fatalf("create: %v", r)
		}
		forceDelete(t, id)
	}
	killed, beside := 0, 0
	for try := range tries {
		id := id(t, "killed")
		cmd := exec.Command(mocker, "create", "--bundle", bundle, id)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(took * time.Duration(try) * 5 / time.Duration(tries*4)) // up to 5/4 of the time
		victim := cmd.Process.Pid
		if try%2 == 1 {
			victim = -victim // and its hook, and that one's iptables
		}
		if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			killed++
		}
		if try%3 == 2 {
			beside++
			aside(t, bundle)
		}
		forceDelete(t, id)
		before.Unchanged(t)
		if t.Failed() {
			t.Fatalf("try %d, killed after %v of %v", try, took*time.Duration(try)*5/time.Duration(tries*4), took)
		}
	}
	if killed < tries/2 {
		t.Errorf("only %d of %d were still at it when they were killed", killed, tries)
	}
	t.Logf("a create takes %v; %d were killed, %d with another container beside", took, killed, beside)
}

func forceDelete(t *testing.T, id string) {
	t.Helper()
	if r := drive.Exec(t, drive.Mocker(t), "delete", "--force", id); r.Code != 0 || r.Stderr != "" {
		t.Errorf("delete --force %s: %v", id, r)
	}
}

// aside runs a container to its end, while what is left of another one lies
// there.
func aside(t *testing.T, bundle string) {
	t.Helper()
	copied := t.TempDir()
	spec := drive.ReadConfig(t, bundle)
	spec.Root.Path = bundle + "/rootfs"
	drive.Sh("ping -c 1 -W 5 172.18.0.1 >/dev/null && echo alive")(spec)
	drive.WriteConfig(t, copied, spec)
	r := drive.Exec(t, drive.Mocker(t), "run", "--bundle", copied, id(t, "aside"))
	if r.Code != 0 || r.Stdout != "alive\n" {
		t.Errorf("the container beside: %v", r)
	}
}
