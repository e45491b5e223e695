package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// patience is when a command counts as hanging.
const patience = 60 * time.Second

// Runtime is one of those that are compared.
type Runtime struct {
	Name, Path, Version string
	Size                int64 // of the binary
}

// run runs a command of the runtime and gives how long it took.
func (r Runtime) run(args ...string) (time.Duration, error) {
	took, _, err := runFor(patience, nil, r.Path, args...)
	if err != nil {
		err = fmt.Errorf("%s %s: %w", filepath.Base(r.Path), args[0], err)
	}
	return took, err
}

// runFor runs a program for a limited time and gives how long it took, and
// what it wrote to stdout. Input may be nil. Its output goes to files in memory: containers
// inherit it, and a pipe would be read until they end.
func runFor(limit time.Duration, input io.Reader, path string, args ...string) (time.Duration, string, error) {
	output, err := memoryFile()
	if err != nil {
		return 0, "", err
	}
	defer output.Close()
	messages, err := memoryFile()
	if err != nil {
		return 0, "", err
	}
	defer messages.Close()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = input, output, messages
	started := time.Now()
	err = cmd.Run()
	took := time.Since(started)
	if err != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = fmt.Errorf("no end after %v", limit)
		}
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(written(messages)))
	}
	return took, written(output), err
}

func memoryFile() (*os.File, error) {
	fd, err := unix.MemfdCreate("bench", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	return os.NewFile(uintptr(fd), "bench"), nil
}

// written is all that was written to a file.
func written(file *os.File) string {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return ""
	}
	data, _ := io.ReadAll(file)
	return string(data)
}

// readPID reads a file that a runtime was told to write with --pid-file.
func readPID(path string) (int, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(data)))
}

// reap waits for the end of a container's first process, as a shim does.
func reap(pid int) error {
	for {
		_, err := unix.Wait4(pid, nil, 0, nil)
		if !errors.Is(err, unix.EINTR) {
			if err != nil {
				return fmt.Errorf("wait for process %d of the container: %w", pid, err)
			}
			return nil
		}
	}
}

// end kills a container and waits until it is gone.
func end(pid int) error {
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		return fmt.Errorf("kill process %d of the container: %w", pid, err)
	}
	return reap(pid)
}

func milliseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }
