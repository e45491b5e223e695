package main

import (
	_ "embed" // of the fixtures in C
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/specconv"
)

var (
	//go:embed testdata/floor.c
	floorSource []byte
	//go:embed testdata/calls.c
	callsSource []byte
	//go:embed testdata/peak.c
	peakSource []byte
	//go:embed testdata/network.sh
	networkScript []byte
)

// bench is what measures in one view.
type bench struct {
	*options
	view    string
	dir     string // goes with it
	root    string // of all containers
	seccomp *specs.LinuxSeccomp
	floor   string // programs
	peak    string
	results Results
}

func newBench(o *options, view string) (_ *bench, err error) {
	b := &bench{options: o, view: view}
	data, err := os.ReadFile(o.profile)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &b.seccomp); err != nil {
		return nil, fmt.Errorf("%s: %w", o.profile, err)
	}
	if b.dir, err = os.MkdirTemp("", "mocker-bench-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	if err := os.Chmod(b.dir, 0o755); err != nil {
		return nil, err
	}
	if err := b.install(); err != nil {
		return nil, err
	}
	if b.root, err = b.makeRoot(); err != nil {
		return nil, err
	}
	if b.floor, err = b.compile("floor", floorSource); err != nil {
		return nil, err
	}
	if b.peak, err = b.compile("peak", peakSource); err != nil {
		return nil, err
	}
	calls, err := b.compile("calls", callsSource)
	if err != nil {
		return nil, err
	}
	return b, os.Rename(calls, filepath.Join(b.root, "bin/calls"))
}

func (b *bench) close() { os.RemoveAll(b.dir) }

// install takes copies of the runtimes. How a program lies in the page cache, in
// small pieces or in large ones, depends on who wrote it: a linker's takes a
// fifth longer to start than a copy of it.
func (b *bench) install() error {
	for i, r := range b.runtimes {
		to := filepath.Join(b.dir, "runtimes", r.Name)
		if out, err := exec.Command("install", "-D", r.Path, to).CombinedOutput(); err != nil {
			return fmt.Errorf("install %s: %w: %s", r.Path, err, out)
		}
		b.runtimes[i].Path = to
	}
	return nil
}

// makeRoot makes a root of busybox with the few applets that are run.
func (b *bench) makeRoot() (string, error) {
	root := filepath.Join(b.dir, "rootfs")
	for _, dir := range []string{"bin", "proc", "sys", "dev"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			return "", err
		}
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return "", err
	}
	data, err := os.ReadFile(busybox)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(root, "bin/busybox"), data, 0o755); err != nil {
		return "", err
	}
	for _, name := range []string{"true", "sleep"} {
		if err := os.Symlink("busybox", filepath.Join(root, "bin", name)); err != nil {
			return "", err
		}
	}
	return root, nil
}

// compile builds a fixture in C, static: it may run in a container.
func (b *bench) compile(name string, source []byte) (string, error) {
	program := filepath.Join(b.dir, name)
	if err := os.WriteFile(program+".c", source, 0o644); err != nil {
		return "", err
	}
	if out, err := exec.Command("gcc", "-O2", "-static", "-Wall", "-o", program, program+".c").CombinedOutput(); err != nil {
		return "", fmt.Errorf("gcc %s.c: %w: %s", name, err, out)
	}
	return program, nil
}

// bundle makes a bundle of what "mocker spec" writes, changed by edit.
func (b *bench) bundle(name string, edit func(*specs.Spec)) (string, error) {
	spec := specconv.Example()
	spec.Version = "1.0.2" // what Debian's runtimes know as well
	spec.Process.Terminal = false
	spec.Root.Path = b.root
	edit(spec)
	data, err := json.MarshalIndent(spec, "", "\t")
	if err != nil {
		return "", err
	}
	dir := filepath.Join(b.dir, "bundle-"+name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, "config.json"), data, 0o644)
}

func runs(args ...string) func(*specs.Spec) {
	return func(s *specs.Spec) { s.Process.Args = args }
}
