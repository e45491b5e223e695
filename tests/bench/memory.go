package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Axes besides time.
const (
	waiting  = "private memory of a container between create and start"
	smallest = "smallest memory limit that starts /bin/true"
	peakOf   = "peak resident memory of " // and a command
	size     = "size of the binary"
)

// commands are those whose peak is measured.
var commands = []string{"create", "state", "list", "start", "exec", "ps", "kill", "delete", "run", "delete --force"}

// memory measures what each runtime takes of it.
func (b *bench) memory() error {
	short, err := b.bundle("memory-short", runs("/bin/true"))
	if err != nil {
		return err
	}
	long, err := b.bundle("memory-long", runs("/bin/sleep", "1000"))
	if err != nil {
		return err
	}
	for _, r := range b.runtimes {
		if b.view == strings.Split(b.views, ",")[0] {
			b.results.figure(Figure{Axis: size, View: b.view, Runtime: r.Name, Value: float64(r.Size) / (1 << 20), Unit: "MiB"})
		}
		b.note(waiting, r, "MiB", func() (float64, error) { return b.waiting(r, short) })
		peaks, err := b.peaks(r, short, long)
		for _, command := range commands {
			b.note(peakOf+command, r, "MiB", func() (float64, error) {
				if peaks[command] == 0 {
					return 0, err
				}
				return peaks[command], nil
			})
		}
		if b.controllers("memory") {
			b.note(smallest, r, "KiB", func() (float64, error) { return b.smallest(r) })
		}
	}
	return nil
}

// note keeps a figure, or why there is none.
func (b *bench) note(axis string, r Runtime, unit string, get func() (float64, error)) {
	f := Figure{Axis: axis, View: b.view, Runtime: r.Name, Unit: unit}
	if value, err := get(); err == nil {
		f.Value = value
	} else {
		f.Error = err.Error()
		fmt.Fprintf(os.Stderr, "bench: %s: %s: %v\n", r.Name, axis, err)
	}
	b.results.figure(f)
}

// waiting gives the memory that a container which was not started yet shares
// with nobody.
func (b *bench) waiting(r Runtime, bundle string) (mib float64, err error) {
	id := fmt.Sprintf("waiting-%d-%s", os.Getpid(), r.Name)
	pidFile := filepath.Join(b.dir, "pid")
	if _, err := r.run("create", "--bundle", bundle, "--pid-file", pidFile, id); err != nil {
		return 0, err
	}
	pid, err := readPID(pidFile)
	if err != nil {
		return 0, err
	}
	time.Sleep(100 * time.Millisecond) // for what it may still do after create has ended
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	if err := end(pid); err != nil {
		return 0, err
	}
	_, err = r.run("delete", "--force", id)
	return privateOf(string(data)), err
}

// privateOf sums up the private memory of a smaps_rollup, in MiB.
func privateOf(smaps string) float64 {
	var kib float64
	for line := range strings.Lines(smaps) {
		f := strings.Fields(line)
		if len(f) == 3 && (f[0] == "Private_Clean:" || f[0] == "Private_Dirty:" || f[0] == "Private_Hugetlb:") {
			n, _ := strconv.ParseFloat(f[1], 64)
			kib += n
		}
	}
	return kib / 1024
}

// smallest looks for the smallest limit with which "run" of /bin/true succeeds
// three times in a row.
func (b *bench) smallest(r Runtime) (kib float64, err error) {
	const unit, most = 16 << 10, 64 << 20
	starts := func(limit int64) error {
		bundle, err := b.bundle("limit", func(s *specs.Spec) {
			s.Process.Args = []string{"/bin/true"}
			s.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &limit}
		})
		if err != nil {
			return err
		}
		id := fmt.Sprintf("limit-%d-%s", os.Getpid(), r.Name)
		for range 3 {
			if _, _, err := runFor(10*time.Second, nil, r.Path, "run", "--bundle", bundle, id); err != nil {
				_, _ = r.run("delete", "--force", id)
				return err
			}
		}
		return nil
	}
	if err := starts(most); err != nil {
		return 0, err
	}
	low, high := int64(0), int64(most/unit) // fails with low, starts with high
	for high-low > 1 {
		middle := (low + high) / 2
		if starts(middle*unit) == nil {
			high = middle
		} else {
			low = middle
		}
	}
	return float64(high * unit / 1024), nil
}

// peaks gives the most that each command had resident, in MiB, in three lives.
func (b *bench) peaks(r Runtime, short, long string) (map[string]float64, error) {
	most := map[string]float64{}
	id := fmt.Sprintf("peak-%d-%s", os.Getpid(), r.Name)
	pidFile, out := filepath.Join(b.dir, "pid"), filepath.Join(b.dir, "peak-out")
	command := func(name string, args ...string) error {
		all := append(append([]string{out, r.Path}, strings.Fields(name)...), args...)
		if _, _, err := runFor(patience, nil, b.peak, all...); err != nil {
			return fmt.Errorf("%s %s: %w", r.Name, name, err)
		}
		kib, err := strconv.ParseFloat(strings.TrimSpace(content(out)), 64)
		most[name] = max(most[name], kib/1024)
		return err
	}
	for range 3 {
		for _, last := range []string{"kill", "delete --force"} {
			if err := peakLife(command, id, long, pidFile, last); err != nil {
				_, _ = r.run("delete", "--force", id)
				return most, err
			}
		}
		if err := command("run", "--bundle", short, id); err != nil {
			return most, err
		}
	}
	return most, nil
}

// peakLife runs the commands on a container that ends by kill, and delete
// after it, or by delete --force.
func peakLife(command func(string, ...string) error, id, bundle, pidFile, last string) error {
	if err := command("create", "--bundle", bundle, "--pid-file", pidFile, id); err != nil {
		return err
	}
	pid, err := readPID(pidFile)
	if err != nil {
		return err
	}
	for _, name := range []string{"state", "start", "exec", "ps"} {
		args := []string{id}
		if name == "exec" {
			args = append(args, "/bin/true")
		}
		if err := command(name, args...); err != nil {
			return err
		}
	}
	if err := command("list"); err != nil {
		return err
	}
	reaped := make(chan error, 1)
	go func() { reaped <- reap(pid) }()
	if last != "kill" {
		if err := command(last, id); err != nil {
			return err
		}
		return <-reaped
	}
	if err := command("kill", id, "KILL"); err != nil {
		return err
	}
	if err := <-reaped; err != nil {
		return err
	}
	return command("delete", id)
}
