package specconv

import (
	"math/bits"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

// capabilityNames is capabilities(7)'s list by number.
var capabilityNames = [...]string{
	unix.CAP_CHOWN:              "CAP_CHOWN",
	unix.CAP_DAC_OVERRIDE:       "CAP_DAC_OVERRIDE",
	unix.CAP_DAC_READ_SEARCH:    "CAP_DAC_READ_SEARCH",
	unix.CAP_FOWNER:             "CAP_FOWNER",
	unix.CAP_FSETID:             "CAP_FSETID",
	unix.CAP_KILL:               "CAP_KILL",
	unix.CAP_SETGID:             "CAP_SETGID",
	unix.CAP_SETUID:             "CAP_SETUID",
	unix.CAP_SETPCAP:            "CAP_SETPCAP",
	unix.CAP_LINUX_IMMUTABLE:    "CAP_LINUX_IMMUTABLE",
	unix.CAP_NET_BIND_SERVICE:   "CAP_NET_BIND_SERVICE",
	unix.CAP_NET_BROADCAST:      "CAP_NET_BROADCAST",
	unix.CAP_NET_ADMIN:          "CAP_NET_ADMIN",
	unix.CAP_NET_RAW:            "CAP_NET_RAW",
	unix.CAP_IPC_LOCK:           "CAP_IPC_LOCK",
	unix.CAP_IPC_OWNER:          "CAP_IPC_OWNER",
	unix.CAP_SYS_MODULE:         "CAP_SYS_MODULE",
	unix.CAP_SYS_RAWIO:          "CAP_SYS_RAWIO",
	unix.CAP_SYS_CHROOT:         "CAP_SYS_CHROOT",
	unix.CAP_SYS_PTRACE:         "CAP_SYS_PTRACE",
	unix.CAP_SYS_PACCT:          "CAP_SYS_PACCT",
	unix.CAP_SYS_ADMIN:          "CAP_SYS_ADMIN",
	unix.CAP_SYS_BOOT:           "CAP_SYS_BOOT",
	unix.CAP_SYS_NICE:           "CAP_SYS_NICE",
	unix.CAP_SYS_RESOURCE:       "CAP_SYS_RESOURCE",
	unix.CAP_SYS_TIME:           "CAP_SYS_TIME",
	unix.CAP_SYS_TTY_CONFIG:     "CAP_SYS_TTY_CONFIG",
	unix.CAP_MKNOD:              "CAP_MKNOD",
	unix.CAP_LEASE:              "CAP_LEASE",
	unix.CAP_AUDIT_WRITE:        "CAP_AUDIT_WRITE",
	unix.CAP_AUDIT_CONTROL:      "CAP_AUDIT_CONTROL",
	unix.CAP_SETFCAP:            "CAP_SETFCAP",
	unix.CAP_MAC_OVERRIDE:       "CAP_MAC_OVERRIDE",
	unix.CAP_MAC_ADMIN:          "CAP_MAC_ADMIN",
	unix.CAP_SYSLOG:             "CAP_SYSLOG",
	unix.CAP_WAKE_ALARM:         "CAP_WAKE_ALARM",
	unix.CAP_BLOCK_SUSPEND:      "CAP_BLOCK_SUSPEND",
	unix.CAP_AUDIT_READ:         "CAP_AUDIT_READ",
	unix.CAP_PERFMON:            "CAP_PERFMON",
	unix.CAP_BPF:                "CAP_BPF",
	unix.CAP_CHECKPOINT_RESTORE: "CAP_CHECKPOINT_RESTORE",
}

// convertCapabilities resolves the five sets. Names that the kernel does not
// have are warned of and left out, as the specification demands (config.md,
// "Linux Process"); so are those that capset(2) would refuse for what is in
// the other sets. Ambient ones that prctl(2) would refuse are left out without
// a word, as other runtimes do: buildah asks for them with every RUN, and what
// is on stderr here is on that of its user. Validate tells (lostAmbient).
func convertCapabilities(given *specs.LinuxCapabilities) (caps config.Capabilities, warnings []string) {
	if given == nil {
		return caps, nil
	}
	const at = "process.capabilities."
	for _, set := range []struct {
		name  string
		given []string
		to    *uint64
	}{
		{"bounding", given.Bounding, &caps.Bounding},
		{"effective", given.Effective, &caps.Effective},
		{"inheritable", given.Inheritable, &caps.Inheritable},
		{"permitted", given.Permitted, &caps.Permitted},
		{"ambient", given.Ambient, &caps.Ambient},
	} {
		for i, name := range set.given {
			bit, ok := capability(name)
			if !ok {
				warnings = append(warnings, "config.json: "+item(at+set.name, i)+": "+quote(name)+": ignored: not a capability")
			}
			*set.to |= bit
		}
	}
	limit := func(name string, set *uint64, within uint64, why string) {
		if extra := *set &^ within; extra != 0 {
			*set &^= extra
			warnings = append(warnings, "config.json: "+at+name+": "+listCapabilities(extra)+": ignored: "+why)
		}
	}
	limit("effective", &caps.Effective, caps.Permitted, "not in permitted")
	limit("inheritable", &caps.Inheritable, caps.Bounding, "not in bounding")
	caps.Ambient &= caps.Permitted & caps.Inheritable
	return caps, warnings
}

// lostAmbient is the warning about ambient capabilities that a process will not
// have; "" if there are none such.
func lostAmbient(given *specs.Process, caps config.Capabilities) string {
	if given == nil || given.Capabilities == nil {
		return ""
	}
	var lost uint64
	for _, name := range given.Capabilities.Ambient {
		bit, _ := capability(name)
		lost |= bit &^ caps.Ambient
	}
	if lost == 0 {
		return ""
	}
	return "config.json: process.capabilities.ambient: " + listCapabilities(lost) + ": ignored: not in both permitted and inheritable"
}

// IsCapability reports whether the kernel has a capability of this name, which
// is in capitals and begins with CAP_.
func IsCapability(name string) bool {
	_, ok := capability(name)
	return ok
}

// capability is the bit of a name in capitals with its CAP_.
func capability(name string) (uint64, bool) {
	for n, known := range capabilityNames {
		if known == name {
			return 1 << n, true
		}
	}
	return 0, false
}

func listCapabilities(set uint64) string {
	var list []string
	for ; set != 0; set &= set - 1 {
		list = append(list, capabilityNames[bits.TrailingZeros64(set)])
	}
	return strings.Join(list, ", ")
}
