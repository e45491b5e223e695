package faults

import (
	"context"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// TestRaceDetector does what the tests beside it do, with a mocker that was
// built with Go's race detector: races within mocker, not between two of them.
func TestRaceDetector(t *testing.T) {
	drive.UnderRaceDetector(t)
	t.Run("one container", func(t *testing.T) { manyAtOnce(t, drive.Rounds(6, 3)) })
	t.Run("many containers", func(t *testing.T) {
		bundle, before := faultBundle(t)
		drive.Edit(t, bundle, func(s *specs.Spec) {
			s.Linux.CgroupsPath = ""
			s.Hooks.Prestart, s.Hooks.Poststop = nil, nil //nolint:staticcheck // deprecated, and what engines use
			s.Hooks.CreateRuntime, s.Hooks.Poststart = []specs.Hook{hook("cat")}, []specs.Hook{hook("cat")}
		})
		stop := reapWhile(t)
		lifecycles(t, bundle, uint64(time.Now().UnixNano()), 4, drive.Rounds(24, 6))
		stop()
		before.untouched(t)
	})
	t.Run("terminals", terminals)
	t.Run("trace", func(t *testing.T) {
		bundle, before := faultBundle(t)
		for _, args := range [][]string{{"create", "--bundle", bundle, id}, {"start", id}, {"exec", id, "true"}, {"delete", "--force", id}} {
			drive.OK(t, append([]string{"--trace", os.DevNull}, args...)...)
		}
		before.untouched(t)
	})
}

// terminals runs containers on a terminal whose size seems to change all the
// time, while their output is read, and while it is not.
func terminals(t *testing.T) {
	bundle, before := faultBundle(t)
	drive.Edit(t, bundle, func(s *specs.Spec) {
		s.Hooks = nil
		s.Process.Terminal = true
		s.Process.Args = []string{"sh", "-c", "for i in $(seq 500); do echo $i; done"}
	})
	for range drive.Rounds(5, 1) {
		for _, read := range []bool{true, false} {
			if err := resized(t, read, "run", "--bundle", bundle, id); err != nil {
				t.Errorf("run, with its output read %v: %v", read, err)
			}
		}
	}
	before.untouched(t)
}

// resized runs mocker, with a terminal as its stdin, and tells it again and
// again that its size has changed.
func resized(t *testing.T, read bool, args ...string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	master, slave := drive.OpenTerminal(t)
	defer master.Close()
	defer slave.Close()
	output, stdout, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	cmd := exec.CommandContext(ctx, drive.Mocker(t), args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, stdout, os.Stderr
	err = cmd.Start()
	stdout.Close()
	if err != nil {
		t.Fatal(err)
	}
	if read {
		go func() { _, _ = io.Copy(io.Discard, output) }()
	} else {
		output.Close()
	}
	ended := make(chan error)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case err := <-ended:
			return err
		case <-time.After(100 * time.Microsecond):
			_ = cmd.Process.Signal(unix.SIGWINCH)
		}
	}
}
