// Package seccomp compiles linux.seccomp of a config.json to the program that
// the kernel runs before every system call: classic BPF over struct
// seccomp_data (seccomp(2)).
//
// It is pure: it looks at no kernel and loads nothing. What a profile means is
// what runc makes of it with libseccomp; docs/seccomp.md tells how the program
// is built, how long it takes at most, and where mocker decides otherwise.
//
//	names.go     the words of config.json
//	abi.go       architectures, and the numbers of their calls (calls.go, generated)
//	rule.go      entries of linux.seccomp.syscalls, and which one wins
//	decision.go  for each architecture, what to answer to which number and arguments
//	program.go   decisions as instructions
//	answer.go    what a finished program says to one call
package seccomp

//go:generate go run gen_calls.go

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

// maxProgram is the kernel's limit (BPF_MAXINSNS).
const maxProgram = 4096

// PropertyError is what is wrong with one property of linux.seccomp.
type PropertyError struct {
	Path  string // JSON path below linux.seccomp: "syscalls[3].args[0].op"; "" is the section itself
	Value any    // as it stands there; nil if there is none to show
	Cause error
}

func (e *PropertyError) Error() string {
	text := e.Path
	switch v := e.Value.(type) {
	case nil:
	case string:
		text += ": " + strconv.Quote(v)
	default:
		text += fmt.Sprintf(": %v", v)
	}
	return text + ": " + e.Cause.Error()
}

// Unwrap gives the cause.
func (e *PropertyError) Unwrap() error { return e.Cause }

func refuse(path string, value any, cause string, args ...any) error {
	return &PropertyError{path, value, fmt.Errorf(cause, args...)}
}

func missing(path string) error {
	return &PropertyError{Path: path, Cause: errors.New("missing")}
}

// Compile makes the filter for a kernel that runs on goarch (a GOARCH: amd64
// or arm64). A section without a default action and without rules is no filter
// (nil): engines write that for "unconfined". Errors about the section are
// *PropertyError, joined where there are several.
func Compile(spec *specs.LinuxSeccomp, goarch string) (*config.Seccomp, error) {
	if spec == nil || spec.DefaultAction == "" && len(spec.Syscalls) == 0 {
		return nil, nil
	}
	native, others, bad := architectures(spec.Architectures, goarch)
	p, more := parseProfile(spec)
	if err := errors.Join(append(bad, more...)...); err != nil {
		return nil, err
	}
	root, err := p.decide(native, others)
	if err != nil {
		return nil, err
	}
	filter, err := assemble(root)
	if err != nil {
		return nil, err
	}
	result := &config.Seccomp{Filter: filter, Flags: p.flags, Notify: p.notify}
	if p.notify { // else the specification wants both to be ignored
		result.ListenerPath, result.ListenerMetadata = spec.ListenerPath, spec.ListenerMetadata
	}
	return result, nil
}

// profile is a section with its words resolved.
type profile struct {
	standard uint32 // what the program returns for calls without a rule
	newer    uint32 // what it returns for calls younger than the youngest in the profile
	flags    uint
	notify   bool
	rules    []named
	ids      uint64 // given to rules so far
}

// named is a rule and the calls it is for; those that no table has are left
// out.
type named struct {
	calls []*call
	rule  *rule
}

// mostProblems is where a reader of errors has had enough.
const mostProblems = 1000

// parseProfile finds all that is wrong with a section, nils among it, but for
// its architectures.
func parseProfile(spec *specs.LinuxSeccomp) (p *profile, bad []error) {
	standard, err := action("defaultAction", spec.DefaultAction, "defaultErrnoRet", spec.DefaultErrnoRet)
	if err == nil && standard == retNotify {
		err = refuse("defaultAction", string(spec.DefaultAction), "SCMP_ACT_NOTIFY cannot be used as default action")
	}
	bad = append(bad, err)
	p = &profile{standard: standard, newer: standard}
	if !permits(standard) {
		// A libc that tries a new call and falls back to an old one does so
		// for ENOSYS only.
		p.newer = retErrno | uint32(unix.ENOSYS)
	}
	for i := range spec.Syscalls {
		bad = append(bad, p.add(&spec.Syscalls[i], i)...)
		if len(bad) > mostProblems {
			break
		}
	}
	if p.notify && spec.ListenerPath == "" {
		bad = append(bad, missing("listenerPath"))
	}
	var more []error
	p.flags, more = flags(spec.Flags, p.notify)
	return p, append(bad, more...)
}

// permits reports whether calls that nobody thought of go through, or to a
// tracer that has to judge them itself.
func permits(ret uint32) bool {
	switch ret & unix.SECCOMP_RET_ACTION_FULL {
	case unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_LOG, unix.SECCOMP_RET_TRACE:
		return true
	}
	return false
}
