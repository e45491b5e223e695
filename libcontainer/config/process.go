package config

// Scheduler is process.scheduler: what sched_setattr(2) is given.
type Scheduler struct {
	Name     string // policy as in config.json: "SCHED_FIFO"
	Policy   uint32 // SCHED_*
	Nice     int32  // -20 to 19
	Priority uint32 // 1 to 99 with SCHED_FIFO and SCHED_RR, else 0
	Flags    uint64 // SCHED_FLAG_*

	Runtime, Deadline, Period uint64 // of SCHED_DEADLINE, in nanoseconds
}

// IOPriority is process.ioPriority: what ioprio_set(2) is given.
type IOPriority struct {
	Name  string // class as in config.json: "IOPRIO_CLASS_BE"
	Class int    // IOPRIO_CLASS_*
	Level int    // 0, the highest, to 7
}

// Affinity is process.execCPUAffinity: the processors that an exec runs on,
// until it is in the container's cgroup and from then on. nil: not given.
type Affinity struct {
	Initial, Final Bits
}

// Bits is a set of numbers, of processors or of memory nodes: bit n%64 of
// word n/64.
type Bits []uint64

// Traits are properties of a process that config.json gives to the container
// as a whole: each of its processes has them, those of exec too.
type Traits struct {
	Personality  *Personality  `json:"personality,omitempty"`  // nil: inherited
	MemoryPolicy *MemoryPolicy `json:"memoryPolicy,omitempty"` // nil: inherited

	Landlock []LandlockRule `json:"landlock,omitempty"` // nil: not confined by it
}

// LandlockRule is one word of the annotation mocker.landlock: what may be done
// with a file, or with all below a directory.
type LandlockRule struct {
	Read    bool   `json:"read,omitempty"`
	Write   bool   `json:"write,omitempty"`
	Execute bool   `json:"execute,omitempty"`
	Path    string `json:"path"` // absolute
}

// Personality is linux.personality.
type Personality struct {
	Name   string // domain as in config.json: "LINUX32"
	Domain uintptr
}

// MemoryPolicy is linux.memoryPolicy: what set_mempolicy(2) is given.
type MemoryPolicy struct {
	Name  string // mode as in config.json: "MPOL_BIND"
	Mode  int    // MPOL_*, with MPOL_F_* flags
	Nodes Bits   // nil: none
}

// NetDevice is one entry of linux.netDevices.
type NetDevice struct {
	Name  string // in mocker's network namespace
	Inner string // in the container's; "%d" in it is a number that the kernel chooses
}

// RDT is linux.intelRdt: the container's class of service in the resctrl file
// system.
type RDT struct {
	Class    string   // closID: directory of the class, "/" is the default one; "": one of the container's own
	Schemata []string // lines for its file schemata, in the order in which they are written
	Monitor  bool     // a monitoring group of the container's own
}

// RDTGroup is what an RDT has become: absolute paths of directories in the
// resctrl file system.
type RDTGroup struct {
	Dir     string `json:"dir"`               // the class of service
	Made    bool   `json:"made,omitempty"`    // it goes with the container
	Monitor string `json:"monitor,omitempty"` // the monitoring group, which goes with the container; "": none
}
