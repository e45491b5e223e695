package specconv

import (
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

// schedISO is reserved (sched.h), and no kernel has ever had it.
const schedISO = 4

var schedPolicies = [...]word{
	{string(specs.SchedOther), unix.SCHED_NORMAL},
	{string(specs.SchedFIFO), unix.SCHED_FIFO},
	{string(specs.SchedRR), unix.SCHED_RR},
	{string(specs.SchedBatch), unix.SCHED_BATCH},
	{string(specs.SchedISO), schedISO},
	{string(specs.SchedIdle), unix.SCHED_IDLE},
	{string(specs.SchedDeadline), unix.SCHED_DEADLINE},
}

var schedFlags = [...]word{
	{string(specs.SchedFlagResetOnFork), unix.SCHED_FLAG_RESET_ON_FORK},
	{string(specs.SchedFlagReclaim), unix.SCHED_FLAG_RECLAIM},
	{string(specs.SchedFlagDLOverrun), unix.SCHED_FLAG_DL_OVERRUN},
	{string(specs.SchedFlagKeepPolicy), unix.SCHED_FLAG_KEEP_POLICY},
	{string(specs.SchedFlagKeepParams), unix.SCHED_FLAG_KEEP_PARAMS},
	{string(specs.SchedFlagUtilClampMin), unix.SCHED_FLAG_UTIL_CLAMP_MIN},
	{string(specs.SchedFlagUtilClampMax), unix.SCHED_FLAG_UTIL_CLAMP_MAX},
}

func convertScheduler(given *specs.Process, p *config.Process) error {
	const at = "process.scheduler."
	s := given.Scheduler
	if s == nil {
		return nil
	}
	var bad problems
	policy, policyErr := lookUp(at+"policy", s.Policy, schedPolicies[:])
	bad.add(policyErr)
	if policy == schedISO {
		bad.add(refuse(at+"policy", string(s.Policy), "no Linux kernel has it"))
	}
	flags, err := union(at+"flags", s.Flags, schedFlags[:])
	bad.add(err)
	if s.Nice < -20 || s.Nice > 19 {
		bad.add(refuse(at+"nice", s.Nice, "not between -20 and 19"))
	}
	if policyErr == nil && policy != schedISO {
		bad.add(checkPriority(s, policy))
		bad.add(checkDeadline(s, policy))
	}
	p.Scheduler = &config.Scheduler{
		Name: string(s.Policy), Policy: uint32(policy), Nice: s.Nice, Priority: uint32(s.Priority), Flags: flags,
		Runtime: s.Runtime, Deadline: s.Deadline, Period: s.Period,
	}
	return bad.err()
}

// checkPriority checks what only the realtime policies have (sched(7)).
func checkPriority(s *specs.Scheduler, policy uint64) error {
	const at = "process.scheduler.priority"
	realtime := policy == unix.SCHED_FIFO || policy == unix.SCHED_RR
	switch {
	case realtime && (s.Priority < 1 || s.Priority > 99):
		return refuse(at, s.Priority, "not between 1 and 99, as it is with %s", s.Policy)
	case !realtime && s.Priority != 0:
		return refuse(at, s.Priority, "only SCHED_FIFO and SCHED_RR have priorities")
	}
	return nil
}

// checkDeadline checks what only SCHED_DEADLINE has.
func checkDeadline(s *specs.Scheduler, policy uint64) error {
	const at = "process.scheduler."
	var bad problems
	if policy != unix.SCHED_DEADLINE {
		for _, v := range []struct {
			name  string
			value uint64
		}{{"runtime", s.Runtime}, {"deadline", s.Deadline}, {"period", s.Period}} {
			if v.value != 0 {
				bad.add(refuse(at+v.name, v.value, "only SCHED_DEADLINE has one"))
			}
		}
		return bad.err()
	}
	if s.Runtime < 1024 { // DL_SCALE, sched_setattr(2)
		bad.add(refuse(at+"runtime", s.Runtime, "less than 1024 nanoseconds"))
	}
	if s.Deadline < s.Runtime {
		bad.add(refuse(at+"deadline", s.Deadline, "less than the runtime %d", s.Runtime))
	}
	if s.Period != 0 && s.Period < s.Deadline {
		bad.add(refuse(at+"period", s.Period, "less than the deadline %d", s.Deadline))
	}
	return bad.err()
}

// The classes of ioprio_set(2).
var ioClasses = [...]word{
	{string(specs.IOPRIO_CLASS_RT), 1},
	{string(specs.IOPRIO_CLASS_BE), 2},
	{string(specs.IOPRIO_CLASS_IDLE), 3},
}

func convertIOPriority(given *specs.Process, p *config.Process) error {
	const at = "process.ioPriority."
	io := given.IOPriority
	if io == nil {
		return nil
	}
	var bad problems
	class, err := lookUp(at+"class", io.Class, ioClasses[:])
	bad.add(err)
	if io.Priority < 0 || io.Priority > 7 {
		bad.add(refuse(at+"priority", io.Priority, "not between 0 and 7"))
	}
	p.IOPriority = &config.IOPriority{Name: string(io.Class), Class: int(class), Level: io.Priority}
	return bad.err()
}

// maxCPUs is the most that a kernel can be built for (NR_CPUS).
const maxCPUs = 8192

func convertAffinity(given *specs.Process, p *config.Process) (err error) {
	const at = "process.execCPUAffinity."
	a := given.ExecCPUAffinity
	if a == nil {
		return nil
	}
	var bad problems
	p.Affinity.Initial, err = numberSet(at+"initial", a.Initial, maxCPUs)
	bad.add(err)
	p.Affinity.Final, err = numberSet(at+"final", a.Final, maxCPUs)
	bad.add(err)
	return bad.err()
}
