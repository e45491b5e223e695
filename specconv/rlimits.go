package specconv

import (
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

// rlimitNames is getrlimit(2)'s list by number.
var rlimitNames = [...]string{
	unix.RLIMIT_CPU:        "RLIMIT_CPU",
	unix.RLIMIT_FSIZE:      "RLIMIT_FSIZE",
	unix.RLIMIT_DATA:       "RLIMIT_DATA",
	unix.RLIMIT_STACK:      "RLIMIT_STACK",
	unix.RLIMIT_CORE:       "RLIMIT_CORE",
	unix.RLIMIT_RSS:        "RLIMIT_RSS",
	unix.RLIMIT_NPROC:      "RLIMIT_NPROC",
	unix.RLIMIT_NOFILE:     "RLIMIT_NOFILE",
	unix.RLIMIT_MEMLOCK:    "RLIMIT_MEMLOCK",
	unix.RLIMIT_AS:         "RLIMIT_AS",
	unix.RLIMIT_LOCKS:      "RLIMIT_LOCKS",
	unix.RLIMIT_SIGPENDING: "RLIMIT_SIGPENDING",
	unix.RLIMIT_MSGQUEUE:   "RLIMIT_MSGQUEUE",
	unix.RLIMIT_NICE:       "RLIMIT_NICE",
	unix.RLIMIT_RTPRIO:     "RLIMIT_RTPRIO",
	unix.RLIMIT_RTTIME:     "RLIMIT_RTTIME",
}

func convertRlimits(given *specs.Process, p *config.Process) error {
	var seen [len(rlimitNames)]bool
	var bad problems
	for i, r := range given.Rlimits {
		at := item("process.rlimits", i)
		number := -1
		for n, name := range rlimitNames {
			if name == r.Type {
				number = n
			}
		}
		switch {
		case r.Type == "":
			bad.add(missing(at + ".type"))
		case number < 0:
			bad.add(refuse(at+".type", r.Type, "not a resource limit"))
		case seen[number]:
			bad.add(refuse(at+".type", r.Type, "given twice"))
		default:
			seen[number] = true
		}
		if r.Soft > r.Hard {
			bad.add(refuse(at+".soft", r.Soft, "more than the hard limit %d", r.Hard))
		}
		p.Rlimits = append(p.Rlimits, config.Rlimit{Name: r.Type, Resource: number, Soft: r.Soft, Hard: r.Hard})
	}
	return bad.err()
}
