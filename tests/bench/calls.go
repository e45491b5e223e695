package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Axes of system calls.
const (
	callPlain  = "getppid in a container without a filter"
	callDocker = "getppid under Docker's default profile"
	callRatio  = "getppid under Docker's default profile, to none"
	callOne    = "getppid under a filter of one instruction, to none"
)

// callRounds are the most turns that make sense; a turn is the best of many
// short runs, as testdata/calls.c says.
const callRounds, callNumber = 7, "20000"

// calls measures what a filter costs the contained program.
func (b *bench) calls() error {
	bundles := map[string]string{}
	for name, edit := range map[string]func(*specs.Spec){
		callPlain:  runs("/bin/calls", callNumber),
		callOne:    runs("/bin/calls", callNumber, "filter"),
		callDocker: func(s *specs.Spec) { s.Process.Args, s.Linux.Seccomp = []string{"/bin/calls", callNumber}, b.seccomp },
	} {
		bundle, err := b.bundle(fmt.Sprintf("calls-%d", len(bundles)), edit)
		if err != nil {
			return err
		}
		bundles[name] = bundle
	}
	times := map[string]map[string][]float64{}
	errors := map[string]error{}
	for range min(callRounds, b.rounds) {
		for _, r := range b.runtimes {
			if errors[r.Name] == nil {
				errors[r.Name] = callTurn(r, bundles, times)
			}
		}
	}
	for _, r := range b.runtimes {
		b.note(callPlain, r, "ns", func() (float64, error) { return medianOr0(times[callPlain][r.Name]), errors[r.Name] })
		b.note(callDocker, r, "ns", func() (float64, error) { return medianOr0(times[callDocker][r.Name]), errors[r.Name] })
		for axis, filtered := range map[string]string{callRatio: callDocker, callOne: callOne} {
			b.note(axis, r, "times", func() (float64, error) {
				value, _ := ratio(times[filtered][r.Name], times[callPlain][r.Name])
				return value, errors[r.Name]
			})
		}
	}
	return nil
}

func callTurn(r Runtime, bundles map[string]string, times map[string]map[string][]float64) error {
	for _, name := range []string{callPlain, callOne, callDocker} {
		id := "calls-" + r.Name
		_, out, err := runFor(patience, nil, r.Path, "run", "--bundle", bundles[name], id)
		if err != nil {
			_, _ = r.run("delete", "--force", id)
			return fmt.Errorf("%s run: %w", r.Name, err)
		}
		ns, err := strconv.ParseFloat(strings.TrimSpace(out), 64)
		if err != nil {
			return fmt.Errorf("what calls printed: %w", err)
		}
		if times[name] == nil {
			times[name] = map[string][]float64{}
		}
		times[name][r.Name] = append(times[name][r.Name], ns)
	}
	return nil
}

func medianOr0(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	return median(list)
}
