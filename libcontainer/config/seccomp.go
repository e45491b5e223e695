package config

import "golang.org/x/sys/unix"

// Seccomp is linux.seccomp, compiled (libcontainer/seccomp).
type Seccomp struct {
	Filter []unix.SockFilter // classic BPF over struct seccomp_data, at most 4096 instructions
	Flags  uint              // SECCOMP_FILTER_FLAG_* for seccomp(2)
	Notify bool              // some call answers SCMP_ACT_NOTIFY: loading the filter makes a listener

	ListenerPath     string // socket of the agent that gets the listener; set where Notify is
	ListenerMetadata string // handed to the agent as it is
}
