package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// phases are what is timed, in the order of the tables.
var phases = []string{sum, "run", "create", "start", "state", "kill", "delete", "exec", "delete --force"}

// sum is that of three phases of one container.
const sum = "create + start + delete"

// floorName is the C program among the runtimes; it can only run.
const floorName = "floor"

// lives measures the phases in all settings.
func (b *bench) lives() error {
	settings := []*Series{
		{View: b.view},
		{View: b.view, Pause: int(b.pause.Milliseconds())},
		{View: b.view, Docker: true},
		{View: b.view, Docker: true, Pause: int(b.pause.Milliseconds())},
	}
	for _, s := range settings {
		rounds := b.rounds
		if s.Pause > 0 {
			rounds = b.pauseRounds
		}
		if rounds == 0 {
			continue
		}
		fmt.Fprintf(os.Stderr, "bench: %s\n", s.title())
		l, err := b.newLife(s)
		if err != nil {
			return err
		}
		l.measure(rounds)
		b.results.Series = append(b.results.Series, s)
	}
	return nil
}

// life measures the phases in one setting.
type life struct {
	*bench
	*Series
	short, long string // bundles of containers that end at once, and that stay
	pidFile     string
	taken       map[string]float64 // by the turn that is on
}

func (b *bench) newLife(s *Series) (_ *life, err error) {
	s.Times, s.Errors = map[string]map[string][]float64{}, map[string]string{}
	for _, phase := range phases {
		s.Times[phase] = map[string][]float64{}
	}
	l := &life{bench: b, Series: s, pidFile: filepath.Join(b.dir, "pid")}
	limits := b.controllers("memory", "cpu", "pids")
	if s.Docker && !limits {
		s.Note = "without limits: this cgroup tree has no controllers"
	}
	setting := func(args ...string) func(*specs.Spec) {
		return func(spec *specs.Spec) {
			spec.Process.Args = args
			if s.Docker {
				b.likeDocker(spec, limits)
			}
		}
	}
	if l.short, err = b.bundle("short", setting("/bin/true")); err != nil {
		return nil, err
	}
	l.long, err = b.bundle("long", setting("/bin/sleep", "1000"))
	return l, err
}

// likeDocker sets what docker run --memory 256m --cpus 1 --pids-limit 100 does.
func (b *bench) likeDocker(spec *specs.Spec, limits bool) {
	spec.Linux.Seccomp = b.seccomp
	if !limits {
		return
	}
	memory, swap, quota, period, pids := int64(256<<20), int64(512<<20), int64(100000), uint64(100000), int64(100)
	res := spec.Linux.Resources
	res.Memory = &specs.LinuxMemory{Limit: &memory}
	if _, err := os.Stat("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes"); err == nil {
		res.Memory.Swap = &swap
	}
	res.CPU = &specs.LinuxCPU{Quota: &quota, Period: &period}
	res.Pids = &specs.LinuxPids{Limit: &pids}
}

// controllers reports whether there are cgroups of all of these.
func (b *bench) controllers(names ...string) bool {
	have := strings.Fields(content(top + "/cgroup.controllers"))
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(top, name)); b.view == "v1" && err != nil || b.view == "v2" && !slices.Contains(have, name) {
			return false
		}
	}
	return true
}

// measure lets the runtimes take turns. One that fails is out, and what it did
// in turns that were whole counts.
func (l *life) measure(rounds int) {
	for round := -l.warmUp; round < rounds; round++ {
		for _, r := range l.runtimes {
			if l.Errors[r.Name] != "" {
				continue
			}
			l.taken = map[string]float64{}
			if err := l.turn(r); err != nil {
				l.Errors[r.Name] = err.Error()
				fmt.Fprintf(os.Stderr, "bench: %s: %v\n", r.Name, err)
				continue
			}
			l.keep(r.Name, round)
		}
		if l.Docker || l.Errors[floorName] != "" {
			continue
		}
		l.taken = map[string]float64{}
		if err := l.timed("run", Runtime{Path: l.floor}, l.root, "/bin/true"); err != nil {
			l.Errors[floorName] = err.Error()
			continue
		}
		l.keep(floorName, round)
	}
}

func (l *life) keep(name string, round int) {
	if round < 0 {
		return
	}
	for phase, ms := range l.taken {
		l.Times[phase][name] = append(l.Times[phase][name], ms)
	}
}

// timed takes the time of a phase.
func (l *life) timed(phase string, r Runtime, args ...string) error {
	time.Sleep(time.Duration(l.Pause) * time.Millisecond)
	took, err := r.run(args...)
	l.taken[phase] = milliseconds(took)
	return err
}

// turn is every phase once.
func (l *life) turn(r Runtime) (err error) {
	id := fmt.Sprintf("bench-%d-%s", os.Getpid(), r.Name)
	defer func() {
		if err != nil {
			_, _ = r.run("delete", "--force", id) // of whatever there is
		}
	}()
	for _, part := range []func(Runtime, string) error{l.whole, l.atOnce, l.entered, l.forced} {
		if err := part(r, id); err != nil {
			return err
		}
	}
	return nil
}

// whole is a container that runs to its end.
func (l *life) whole(r Runtime, id string) error {
	if err := l.timed("create", r, "create", "--bundle", l.short, "--pid-file", l.pidFile, id); err != nil {
		return err
	}
	pid, err := readPID(l.pidFile)
	if err != nil {
		return err
	}
	err = errors.Join(l.timed("state", r, "state", id), l.timed("start", r, "start", id))
	if err != nil {
		return err
	}
	if err := reap(pid); err != nil {
		return err
	}
	if err := l.timed("delete", r, "delete", id); err != nil {
		return err
	}
	l.taken[sum] = l.taken["create"] + l.taken["start"] + l.taken["delete"]
	return nil
}

func (l *life) atOnce(r Runtime, id string) error {
	return l.timed("run", r, "run", "--bundle", l.short, id)
}

// up makes a container that stays; that takes no time here.
func (l *life) up(r Runtime, id string) (pid int, err error) {
	if _, err := r.run("create", "--bundle", l.long, "--pid-file", l.pidFile, id); err != nil {
		return 0, err
	}
	if pid, err = readPID(l.pidFile); err != nil {
		return 0, err
	}
	_, err = r.run("start", id)
	return pid, err
}

func (l *life) entered(r Runtime, id string) error {
	pid, err := l.up(r, id)
	if err != nil {
		return err
	}
	if err := errors.Join(l.timed("exec", r, "exec", id, "/bin/true"), l.timed("kill", r, "kill", id, "KILL")); err != nil {
		return err
	}
	if err := reap(pid); err != nil {
		return err
	}
	_, err = r.run("delete", id)
	return err
}

// forced deletes a container that runs, while somebody else waits for its end
// as an engine does.
func (l *life) forced(r Runtime, id string) error {
	pid, err := l.up(r, id)
	if err != nil {
		return err
	}
	reaped := make(chan error, 1)
	go func() { reaped <- reap(pid) }()
	if err := l.timed("delete --force", r, "delete", "--force", id); err != nil {
		return err
	}
	return <-reaped
}
