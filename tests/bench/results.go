package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// Results are what is written as JSON.
type Results struct {
	Machine  Machine
	Command  string  // that made them
	Took     float64 // seconds
	Runtimes []Runtime
	Series   []*Series
	Figures  []Figure
	Failures []string `json:",omitempty"` // parts that could not be measured to their end
	// Goals are the ratios to reach without pauses, by phase and runtime.
	Goals map[string]map[string]float64
}

// Machine is where it was measured.
type Machine struct {
	Kernel, CPU           string
	CPUs                  int
	MemoryMiB             int
	Date                  string
	LoadBefore, LoadAfter string // of /proc/loadavg
	Note                  string `json:",omitempty"` // of the person who measured
}

// Series are the times of one setting.
type Series struct {
	View   string // v1 or v2
	Pause  int    // milliseconds before each command
	Docker bool   // the Docker default profile, and limits where there are controllers
	Note   string `json:",omitempty"`
	// Times are milliseconds by phase and runtime, a value for each turn.
	Times map[string]map[string][]float64
	// Errors tell of each runtime that could not go on here, why.
	Errors map[string]string `json:",omitempty"`
}

// title names a setting for people.
func (s *Series) title() string {
	title := "cgroup " + s.View
	if s.Docker {
		title += ", Docker's default seccomp profile and limits"
	}
	if s.Pause > 0 {
		title += fmt.Sprintf(", a pause of %d ms before each command", s.Pause)
	}
	return title
}

// Figure is something else that was measured: one number of one runtime.
type Figure struct {
	Axis, View, Runtime string
	Value               float64
	Unit                string
	Error               string `json:",omitempty"` // why there is no number
}

func (r *Results) merge(part *Results) {
	r.Series = append(r.Series, part.Series...)
	r.Figures = append(r.Figures, part.Figures...)
	r.Failures = append(r.Failures, part.Failures...)
}

func (r *Results) figure(f Figure) { r.Figures = append(r.Figures, f) }

func readResults(path string) (*Results, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := new(Results)
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

func (r *Results) write(path string) error {
	data, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}

func thisMachine() Machine {
	m := Machine{CPUs: runtime.NumCPU(), Date: time.Now().UTC().Format("2006-01-02"), LoadBefore: load()}
	m.Kernel = strings.TrimSpace(content("/proc/sys/kernel/osrelease"))
	for line := range strings.Lines(content("/proc/cpuinfo")) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			m.CPU = strings.TrimSpace(value)
		}
	}
	var kib int
	if _, err := fmt.Sscanf(content("/proc/meminfo"), "MemTotal: %d kB", &kib); err == nil {
		m.MemoryMiB = kib / 1024
	}
	return m
}

// quiet reports whether the machine had nothing else to do in the minute before.
func (m Machine) quiet() bool {
	var minute float64
	_, err := fmt.Sscan(m.LoadBefore, &minute)
	return err == nil && minute < 0.5
}

func load() string {
	fields := strings.Fields(content("/proc/loadavg"))
	return strings.Join(fields[:min(3, len(fields))], " ")
}

// content of a file of /proc that is always there.
func content(path string) string {
	data, _ := os.ReadFile(path)
	return string(data)
}
