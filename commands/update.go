package commands

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"

	"github.com/mocker-runtime/mocker/specconv"
)

func (e *env) updateVerb() *cli.Command {
	return &cli.Command{
		Name:      "update",
		Usage:     "change the limits of a container",
		ArgsUsage: "<container-id>",
		Description: `update changes the limits of a container that is created, running or paused,
and leaves those that are not given as they are. If one cannot be set, none is
changed. Sizes are bytes, or have a unit: 512m, 1.5g; -1 is no limit.

Engines hand over a file instead of flags. It has the form of linux.resources
in a config.json. Rules for devices in it take the place of all earlier ones;
the default devices stay allowed:

    { "memory": { "limit": 67108864 }, "cpu": { "quota": 50000, "period": 100000 } }

EXAMPLE
    mocker update --memory 512m --memory-swap 1g --pids-limit 100 box1
    mocker update --cpu-quota 50000 --cpu-period 100000 box1
    mocker update --resources limits.json box1`,
		Flags:  updateFlags(),
		Action: e.update,
	}
}

// limitFlag is a flag of update that stands for one limit.
type limitFlag struct {
	name, usage string
	member      string // of linux.resources
	set         func(r *specs.LinuxResources, text string) error
}

func limitFlags() []limitFlag {
	return []limitFlag{
		{"blkio-weight", "weight of the block I/O, `N` from 10 to 1000", "blockIO.weight",
			func(r *specs.LinuxResources, s string) error { return number(s, &r.BlockIO.Weight) }},
		{"cpu-period", "period of --cpu-quota, `MICROSECONDS`; 0 is the kernel's default", "cpu.period",
			func(r *specs.LinuxResources, s string) error { return period(s, 100000, &r.CPU.Period) }},
		{"cpu-quota", "processor time in each period, `MICROSECONDS`", "cpu.quota",
			func(r *specs.LinuxResources, s string) error { return number(s, &r.CPU.Quota) }},
		{"cpu-burst", "unused quota that may be used later, `MICROSECONDS`", "cpu.burst",
			func(r *specs.LinuxResources, s string) error { return numberOr0(s, &r.CPU.Burst) }},
		{"cpu-share", "weight of the processor time, `N` from 2 to 262144", "cpu.shares",
			func(r *specs.LinuxResources, s string) error { return number(s, &r.CPU.Shares) }},
		{"cpu-rt-period", "period of --cpu-rt-runtime, `MICROSECONDS`; 0 is the kernel's default", "cpu.realtimePeriod",
			func(r *specs.LinuxResources, s string) error { return period(s, 1000000, &r.CPU.RealtimePeriod) }},
		{"cpu-rt-runtime", "realtime processor time in each period, `MICROSECONDS`", "cpu.realtimeRuntime",
			func(r *specs.LinuxResources, s string) error { return number(s, &r.CPU.RealtimeRuntime) }},
		{"cpu-idle", "`0|1`: with 1 it runs when no other wants the processor", "cpu.idle",
			func(r *specs.LinuxResources, s string) error { return numberOr0(s, &r.CPU.Idle) }},
		{"cpuset-cpus", "processors that it may use, a `LIST` such as 0-3,7", "cpu.cpus",
			func(r *specs.LinuxResources, s string) error { r.CPU.Cpus = s; return nil }},
		{"cpuset-mems", "memory nodes that it may use, a `LIST` such as 0-1", "cpu.mems",
			func(r *specs.LinuxResources, s string) error { r.CPU.Mems = s; return nil }},
		{"memory", "limit of memory, `SIZE`", "memory.limit",
			func(r *specs.LinuxResources, s string) error { return size(s, &r.Memory.Limit) }},
		{"memory-reservation", "memory that it can count on, `SIZE`", "memory.reservation",
			func(r *specs.LinuxResources, s string) error { return size(s, &r.Memory.Reservation) }},
		{"memory-swap", "limit of memory and swap together, `SIZE`", "memory.swap",
			func(r *specs.LinuxResources, s string) error { return size(s, &r.Memory.Swap) }},
		{"pids-limit", "limit of processes and threads, `N`", "pids.limit",
			func(r *specs.LinuxResources, s string) error { return numberOr0(s, &r.Pids.Limit) }},
	}
}

// refusedLimits are flags of runc that mocker cannot honour, with why. runc
// ignores them.
func refusedLimits() [][2]string {
	return [][2]string{
		{"kernel-memory", "the kernel has no such limit since 5.4"},
		{"kernel-memory-tcp", "deprecated by the kernel, as the kernel memory limit is"},
	}
}

// schemaFlags are the flags for the container's class of service.
func schemaFlags() []schemaFlag {
	return []schemaFlag{
		{"l3-cache-schema", "share of the L3 cache, a `LINE` such as L3:0=f;1=ff; see linux.intelRdt", specconv.CheckSchema},
		{"mem-bw-schema", "share of the bandwidth of memory, a `LINE` such as MB:0=50;1=100", specconv.CheckMemBwSchema},
	}
}

type schemaFlag struct {
	name, usage string
	check       func(line string) error
}

// schemata are the lines that the flags give.
func schemata(c *cli.Context) (lines []string, err error) {
	for _, f := range schemaFlags() {
		line := c.String(f.name)
		if line == "" {
			continue
		}
		if c.String("resources") != "" {
			return nil, fmt.Errorf("--resources and --%s: give one or the other", f.name)
		}
		if err := f.check(line); err != nil {
			return nil, fmt.Errorf("--%s %q: %w", f.name, line, err)
		}
		lines = append(lines, line)
	}
	return lines, nil
}

func updateFlags() []cli.Flag {
	flags := []cli.Flag{
		&cli.StringFlag{Name: "resources", Aliases: []string{"r"}, Usage: "take the limits from `FILE`, - is standard input; no other flag can be given then"},
	}
	for _, f := range limitFlags() {
		flags = append(flags, &cli.StringFlag{Name: f.name, Usage: f.usage})
	}
	for _, f := range schemaFlags() {
		flags = append(flags, &cli.StringFlag{Name: f.name, Usage: f.usage})
	}
	for _, f := range refusedLimits() {
		flags = append(flags, &cli.StringFlag{Name: f[0], Hidden: true})
	}
	return flags
}

func (e *env) update(c *cli.Context) error {
	if err := wantArgs(c, 1, 1); err != nil {
		return err
	}
	for _, f := range refusedLimits() {
		if c.String(f[0]) != "" {
			return fmt.Errorf("--%s: %s", f[0], f[1])
		}
	}
	container, err := e.open(c.Args().First())
	if err != nil {
		return err
	}
	defer container.Close()
	lines, err := schemata(c)
	if err != nil {
		return err
	}
	wanted, where, err := e.wantedLimits(c)
	if err != nil {
		return err
	}
	limits, warnings, err := specconv.Limits(wanted)
	var bad *specconv.BadValue
	if errors.As(err, &bad) {
		name := where(strings.TrimPrefix(bad.Path, "linux.resources."))
		return fmt.Errorf("%s: %w", strings.TrimSpace(name+" "+bad.Value), bad.Cause)
	}
	if err != nil {
		return err
	}
	for _, w := range warnings {
		e.report.debugf("%s", w)
	}
	return container.Update(limits, lines)
}

// wantedLimits reads the limits from the file or the flags. where says from
// which of them a member of linux.resources comes, for errors.
func (e *env) wantedLimits(c *cli.Context) (limits *specs.LinuxResources, where func(member string) string, err error) {
	if name := c.String("resources"); name != "" {
		for _, f := range limitFlags() {
			if c.String(f.name) != "" {
				return nil, nil, fmt.Errorf("--resources and --%s: give one or the other", f.name)
			}
		}
		limits, err := e.limitsFile(name)
		return limits, func(member string) string { return "--resources " + name + ": " + member + ":" }, err
	}
	limits = &specs.LinuxResources{Memory: &specs.LinuxMemory{}, CPU: &specs.LinuxCPU{}, BlockIO: &specs.LinuxBlockIO{}, Pids: &specs.LinuxPids{}}
	for _, f := range limitFlags() {
		text := c.String(f.name)
		if text == "" {
			continue
		}
		if err := f.set(limits, text); err != nil {
			return nil, nil, fmt.Errorf("--%s %s: %w", f.name, text, err)
		}
	}
	return limits, flagOf, nil
}

// flagOf is the flag that stands for a member of linux.resources.
func flagOf(member string) string {
	for _, f := range limitFlags() {
		if f.member == member {
			return "--" + f.name
		}
	}
	return member
}

func (e *env) limitsFile(name string) (*specs.LinuxResources, error) {
	var in io.Reader = e.streams.In
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("--resources: %w", err)
		}
		defer f.Close()
		in = f
	}
	limits, err := specconv.LoadResources(in)
	if err != nil {
		return nil, fmt.Errorf("--resources %s: %w", name, err)
	}
	return limits, nil
}

// number reads a limit for which 0 means nothing.
func number[T uint16 | uint64 | int64](text string, to **T) error {
	err := numberOr0(text, to)
	if err == nil && **to == 0 {
		return errors.New("0 is no limit that can be set")
	}
	return err
}

func numberOr0[T uint16 | uint64 | int64](text string, to **T) error {
	n, err := strconv.ParseInt(text, 10, 64)
	if errors.Is(err, strconv.ErrSyntax) {
		return errors.New("not a whole number")
	}
	v := T(n)
	if err != nil || int64(v) != n || v < 0 != (n < 0) {
		return errors.New("out of range")
	}
	*to = &v
	return nil
}

// period reads a period; 0 means the kernel's default.
func period(text string, standard uint64, to **uint64) error {
	err := numberOr0(text, to)
	if err == nil && **to == 0 {
		*to = &standard
	}
	return err
}

func size(text string, to **int64) error {
	n := int64(-1)
	if text != "-1" {
		var err error
		if n, err = specconv.ParseSize(text); err != nil {
			return err
		}
		if n == 0 {
			return errors.New("0 is no limit that can be set")
		}
	}
	*to = &n
	return nil
}
