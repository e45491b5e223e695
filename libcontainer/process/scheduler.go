package process

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
	"github.com/mocker-runtime/mocker/libcontainer/inside"
)

// schedule gives a process its I/O priority and its scheduler. It is done
// from outside, as for limits: what it takes are rights over the machine,
// which the child may have lost in a user namespace.
func schedule(pid int, p *config.Process) error {
	if p == nil {
		return nil
	}
	if io := p.IOPriority; io != nil {
		err := inside.SetIOPriority(pid, io.Class, io.Level)
		if errors.Is(err, unix.EPERM) {
			err = fmt.Errorf("%w (it takes CAP_SYS_NICE)", err)
		}
		if err != nil {
			return fmt.Errorf("process.ioPriority: ioprio_set %s %d: %w", io.Name, io.Level, err)
		}
	}
	if s := p.Scheduler; s != nil {
		return setScheduler(pid, s)
	}
	return nil
}

func setScheduler(pid int, s *config.Scheduler) error {
	attr := unix.SchedAttr{
		Policy: s.Policy, Flags: s.Flags, Nice: s.Nice, Priority: s.Priority,
		Runtime: s.Runtime, Deadline: s.Deadline, Period: s.Period,
	}
	if err := unix.SchedSetAttr(pid, &attr, 0); err != nil {
		return fmt.Errorf("process.scheduler: sched_setattr %s: %w%s", s.Name, err, whyNotScheduled(s, err))
	}
	return nil
}

// whyNotScheduled says what stands behind an errno of sched_setattr(2).
func whyNotScheduled(s *config.Scheduler, err error) string {
	realtime := s.Policy == unix.SCHED_FIFO || s.Policy == unix.SCHED_RR
	switch {
	case errors.Is(err, unix.EPERM) && realtime:
		return " (it takes CAP_SYS_NICE, and on cgroup v1 a linux.resources.cpu.realtimeRuntime)"
	case errors.Is(err, unix.EPERM) && s.Policy == unix.SCHED_DEADLINE:
		return " (it takes CAP_SYS_NICE, and a cpuset with all processors)"
	case errors.Is(err, unix.EPERM):
		return " (it takes CAP_SYS_NICE)"
	case errors.Is(err, unix.EBUSY):
		return " (there is not that much processor time left)"
	case errors.Is(err, unix.EOPNOTSUPP):
		return " (the kernel has no utilization clamping)"
	}
	return ""
}

// afterFork reports whether a scheduler does not pass to a copy of a process,
// or keeps it from being copied (sched(7)).
func afterFork(s *config.Scheduler) bool {
	return s != nil && (s.Policy == unix.SCHED_DEADLINE || s.Flags&unix.SCHED_FLAG_RESET_ON_FORK != 0)
}

// SetAffinity binds a process, or with 0 this thread and the children it will
// have, to processors; nil leaves it as it is. name is the property, for
// errors.
func SetAffinity(pid int, cpus config.Bits, name string) error {
	if cpus == nil {
		return nil
	}
	set := unix.NewCPUSet(64 * len(cpus))
	for n := range 64 * len(cpus) {
		if cpus[n/64]>>(n%64)&1 == 1 {
			set.Set(n)
		}
	}
	err := unix.SchedSetaffinityDynamic(pid, set)
	if errors.Is(err, unix.EINVAL) {
		err = fmt.Errorf("%w (none of these processors is online and in the cgroup's cpuset)", err)
	}
	if err != nil {
		return fmt.Errorf("process.execCPUAffinity.%s: sched_setaffinity: %w", name, err)
	}
	return nil
}

// CheckMachine refuses what this machine lacks of what a container's processes
// are to have.
func CheckMachine(cfg *config.Config) error {
	const clamps = unix.SCHED_FLAG_UTIL_CLAMP_MIN | unix.SCHED_FLAG_UTIL_CLAMP_MAX
	if p := cfg.Process; p != nil && p.Scheduler != nil && p.Scheduler.Flags&clamps != 0 {
		if _, err := os.Lstat("/proc/sys/kernel/sched_util_clamp_min"); errors.Is(err, os.ErrNotExist) {
			return errors.New("process.scheduler.flags: the kernel has no utilization clamping (CONFIG_UCLAMP_TASK)")
		}
	}
	m := cfg.Traits.MemoryPolicy
	if m == nil {
		return nil
	}
	if err := inside.Mempolicy(); err != nil {
		return fmt.Errorf("linux.memoryPolicy: the kernel has no NUMA memory policies: %w", err)
	}
	if m.Mode&unix.MPOL_F_RELATIVE_NODES == 0 && m.Nodes != nil && !anyNode(m.Nodes) {
		return fmt.Errorf("linux.memoryPolicy.nodes: none of them is there: the machine has the nodes %s", nodesOnline())
	}
	// With a node that every machine has, what is wrong is the mode.
	var first config.Bits
	if m.Nodes != nil {
		first = config.Bits{1}
	}
	if err := inside.TryMempolicy(m.Mode, first); errors.Is(err, unix.EINVAL) && inside.TryMempolicy(unix.MPOL_BIND, config.Bits{1}) == nil {
		return fmt.Errorf("linux.memoryPolicy: set_mempolicy %s: %w (this kernel does not know the mode, or not with these flags)", m.Name, err)
	}
	return nil
}

// TakeOn gives the child what each process of a container has.
func TakeOn(in *inside.Child, t config.Traits) error {
	if p := t.Personality; p != nil {
		err := in.Personality(p.Name, p.Domain)
		if errors.Is(err, unix.EINVAL) {
			err = fmt.Errorf("%w (this machine cannot run 32-bit programs)", err)
		}
		if err != nil {
			return fmt.Errorf("linux.personality: %w", err)
		}
	}
	m := t.MemoryPolicy
	if m == nil {
		return nil
	}
	err := in.SetMempolicy(m.Name, m.Mode, m.Nodes)
	if errors.Is(err, unix.EINVAL) {
		err = fmt.Errorf("%w (the machine has the nodes %s, of which the cgroup's cpuset may leave some; not every kernel knows every mode)", err, nodesOnline())
	}
	if err != nil {
		return fmt.Errorf("linux.memoryPolicy: %w", err)
	}
	return nil
}

// anyNode reports whether the machine has one of these nodes; and that it has,
// where the kernel does not tell.
func anyNode(nodes config.Bits) bool {
	const all = "/sys/devices/system/node/"
	if _, err := os.Lstat(all); err != nil {
		return true
	}
	for n := range 64 * len(nodes) {
		if nodes[n/64]>>(n%64)&1 == 1 {
			if _, err := os.Lstat(all + "node" + strconv.Itoa(n)); err == nil {
				return true
			}
		}
	}
	return false
}

func nodesOnline() string {
	data, err := os.ReadFile("/sys/devices/system/node/online")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(data))
}
