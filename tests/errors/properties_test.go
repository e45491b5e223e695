package errors

import (
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// properties are those that the kernel takes as numbers, and what they need of
// the machine.
func properties() []row {
	refused := func(input, want string, edit func(*specs.Spec)) row {
		return row{input: input, call: create, prep: with(edit), want: want}
	}
	scheduler := func(s specs.Scheduler) func(*specs.Spec) {
		return func(spec *specs.Spec) { spec.Process.Scheduler = &s }
	}
	list := []row{
		refused("a scheduler that does not exist",
			`config.json: process.scheduler.policy: "SCHED_NORMAL": not one of SCHED_OTHER, SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_ISO, SCHED_IDLE, SCHED_DEADLINE`,
			scheduler(specs.Scheduler{Policy: "SCHED_NORMAL"})),
		refused("a realtime scheduler without a priority",
			"config.json: process.scheduler.priority: 0: not between 1 and 99, as it is with SCHED_FIFO", scheduler(specs.Scheduler{Policy: specs.SchedFIFO})),
		refused("a deadline that is longer than its period",
			"config.json: process.scheduler.period: 20000: less than the deadline 30000",
			scheduler(specs.Scheduler{Policy: specs.SchedDeadline, Runtime: 10000, Deadline: 30000, Period: 20000})),
		refused("more processor time than there is",
			"prepare process: process.scheduler: sched_setattr SCHED_DEADLINE: invalid argument",
			scheduler(specs.Scheduler{Policy: specs.SchedDeadline, Runtime: 1e11, Deadline: 1e11})),
		refused("an I/O priority that is too low",
			"config.json: process.ioPriority.priority: 8: not between 0 and 7",
			func(s *specs.Spec) {
				s.Process.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_BE, Priority: 8}
			}),
		refused("a list of processors that is none",
			`config.json: process.execCPUAffinity.final: "3-1": "3-1" is neither a number nor a range such as 0-3`,
			func(s *specs.Spec) { s.Process.ExecCPUAffinity = &specs.CPUAffinity{Final: "3-1"} }),
		refused("a personality with a flag",
			`config.json: linux.personality.flags[0]: "ADDR_NO_RANDOMIZE": the specification has no flags`,
			func(s *specs.Spec) {
				s.Linux.Personality = &specs.LinuxPersonality{Domain: specs.PerLinux, Flags: []specs.LinuxPersonalityFlag{"ADDR_NO_RANDOMIZE"}}
			}),
		refused("a memory policy without nodes",
			"config.json: linux.memoryPolicy.nodes: missing",
			func(s *specs.Spec) { s.Linux.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: specs.MpolBind} }),
		refused("a network device that does not exist",
			"linux.netDevices.none: no such network device in mocker's network namespace",
			func(s *specs.Spec) { s.Linux.NetDevices = map[string]specs.LinuxNetDevice{"none": {}} }),
		refused("a network device without a network namespace",
			"config.json: linux.netDevices: needs a network namespace other than the host's in linux.namespaces",
			func(s *specs.Spec) {
				without(specs.NetworkNamespace)(s)
				s.Linux.NetDevices = map[string]specs.LinuxNetDevice{"lo": {}}
			}),
		refused("a network device that cannot be moved",
			"network devices: linux.netDevices.lo: move it: invalid argument (not every device can leave its network namespace)",
			func(s *specs.Spec) { s.Linux.NetDevices = map[string]specs.LinuxNetDevice{"lo": {Name: "other"}} }),
		refused("a class of service with a path for a name",
			`config.json: linux.intelRdt.closID: "../x": not the name of a class of service`,
			func(s *specs.Spec) { s.Linux.IntelRdt = &specs.LinuxIntelRdt{ClosID: "../x"} }),
		refused("a bandwidth of memory in another form",
			`config.json: linux.intelRdt.memBwSchema: "50%": does not begin with "MB:"`,
			func(s *specs.Spec) { s.Linux.IntelRdt = &specs.LinuxIntelRdt{MemBwSchema: "50%"} }),
		{input: "a class of service that is missing", call: args("create --resctrl $DIR --bundle $BUNDLE $ID"), own: true,
			prep: with(func(s *specs.Spec) { s.Linux.IntelRdt = &specs.LinuxIntelRdt{ClosID: "gold"} }),
			want: `linux.intelRdt.closID: "gold": no such class of service in $DIR, and no schemata to make one`},
		{input: "a pidfd socket that nobody listens on", call: args("create --pidfd-socket $DIR/none --bundle $BUNDLE $ID"), own: true,
			prep: with(func(*specs.Spec) {}),
			want: "connect to pidfd socket $DIR/none: no such file or directory"},
		refused("a file for the output of hooks that is relative",
			`config.json: annotations.run.oci.hooks.stderr: "log": not an absolute path`,
			func(s *specs.Spec) { s.Annotations = map[string]string{"run.oci.hooks.stderr": "log"} }),
	}
	if _, err := os.Stat("/sys/fs/resctrl/schemata"); err != nil {
		list = append(list, refused("a class of service without resctrl",
			"linux.intelRdt: no resctrl file system is mounted (mount -t resctrl resctrl /sys/fs/resctrl; it takes a processor and a kernel with RDT)",
			func(s *specs.Spec) { s.Linux.IntelRdt = &specs.LinuxIntelRdt{} }))
	}
	return list
}
