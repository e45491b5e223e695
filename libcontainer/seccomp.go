package libcontainer

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
	"github.com/mocker-runtime/mocker/libcontainer/console"
	"github.com/mocker-runtime/mocker/libcontainer/inside"
	"github.com/mocker-runtime/mocker/libcontainer/process"
	"github.com/mocker-runtime/mocker/libcontainer/ready"
	"github.com/mocker-runtime/mocker/libcontainer/seccomp"
	"github.com/mocker-runtime/mocker/libcontainer/state"
)

// SeccompFlags are the values of linux.seccomp.flags that this kernel takes,
// sorted. It loads nothing, and takes no rights.
func SeccompFlags() []string {
	bits := seccomp.FlagBits()
	var list []string
	for _, name := range seccomp.Flags() {
		if process.TakesFlags(bits[name]) {
			list = append(list, name)
		}
	}
	return list
}

// filterFile is the container's seccomp filter, for exec: with the state, and
// not in it, which is read by every command.
const filterFile = "seccomp"

// savedFilter is the content of filterFile.
type savedFilter struct {
	Program  []byte `json:"program"` // 8 bytes an instruction: code, jt, jf, k (struct sock_filter) in the machine's order
	Flags    uint   `json:"flags"`
	Notify   bool   `json:"notify,omitempty"`
	Path     string `json:"listenerPath,omitempty"`
	Metadata string `json:"listenerMetadata,omitempty"`
}

func saveFilter(file string, s *config.Seccomp) error {
	saved := savedFilter{Flags: s.Flags, Notify: s.Notify, Path: s.ListenerPath, Metadata: s.ListenerMetadata}
	saved.Program = make([]byte, 0, len(s.Filter)*unix.SizeofSockFilter)
	for _, ins := range s.Filter {
		saved.Program = binary.NativeEndian.AppendUint16(saved.Program, ins.Code)
		saved.Program = append(saved.Program, ins.Jt, ins.Jf)
		saved.Program = binary.NativeEndian.AppendUint32(saved.Program, ins.K)
	}
	data, err := json.Marshal(saved)
	if err != nil {
		return fmt.Errorf("encode %s: %w", file, err)
	}
	return os.WriteFile(file, data, 0o600)
}

func loadFilter(file string) (*config.Seccomp, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var saved savedFilter
	if err := json.Unmarshal(data, &saved); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	const size = unix.SizeofSockFilter
	if len(saved.Program) == 0 || len(saved.Program)%size != 0 {
		return nil, fmt.Errorf("read %s: %d bytes are no filter", file, len(saved.Program))
	}
	s := &config.Seccomp{Flags: saved.Flags, Notify: saved.Notify, ListenerPath: saved.Path, ListenerMetadata: saved.Metadata}
	s.Filter = make([]unix.SockFilter, len(saved.Program)/size)
	for i := range s.Filter {
		b := saved.Program[i*size:]
		s.Filter[i] = unix.SockFilter{Code: binary.NativeEndian.Uint16(b), Jt: b[2], Jf: b[3], K: binary.NativeEndian.Uint32(b[4:])}
	}
	return s, nil
}

// checkFilter makes sure, before there is anything, that the kernel can load
// the filter. cfg may be nil.
func checkFilter(cfg *config.Config) error {
	if cfg == nil || cfg.Process == nil {
		return nil
	}
	return process.CheckFilter(cfg.Process.Seccomp)
}

// filter readies the filter of the container's first process, and keeps it for
// those that exec makes.
func (n *creation) filter() error {
	if n.cfg.Process == nil || n.cfg.Process.Seccomp == nil {
		return nil
	}
	s := n.cfg.Process.Seccomp
	n.program.Judge = judge(s)
	n.program.Pass = func(pid int, listener *os.File) error {
		st := hookState(n.st, specs.StateCreating)
		st.Pid = pid // that of the state may be about to change
		return passListener(s, pid, st, listener)
	}
	n.st.Filtered, n.st.Listener = true, s.ListenerPath
	return saveFilter(n.c.dir.Path(filterFile), s)
}

// filter gives a process that joins the container the container's filter.
func (p *Process) filter(c *Container, st *state.State) error {
	if !st.Filtered {
		return nil
	}
	s, err := loadFilter(c.dir.Path(filterFile))
	if err != nil {
		return fmt.Errorf("seccomp filter of the container: %w", err)
	}
	own := *p.last.Process
	own.Seccomp = s
	p.last.Process, p.last.Judge = &own, judge(s)
	p.last.Pass = func(pid int, listener *os.File) error {
		status := specs.StateRunning
		if c.status(st) == Created {
			status = specs.StateCreated
		}
		return passListener(s, pid, hookState(st, status), listener)
	}
	return nil
}

func judge(s *config.Seccomp) func(nr uintptr, args [6]uintptr) uint32 {
	return func(nr uintptr, args [6]uintptr) uint32 {
		call := seccomp.Call{Number: uint32(nr)}
		for i, arg := range args {
			call.Args[i] = uint64(arg)
		}
		return seccomp.Answer(s.Filter, call)
	}
}

// passListener gives the listener of a process's filter to the agent that is
// to answer for it (config-linux.md, "The Container Process State").
func passListener(s *config.Seccomp, pid int, st *specs.State, listener *os.File) error {
	message, err := json.Marshal(&specs.ContainerProcessState{
		Version: specs.Version, Fds: []string{specs.SeccompFdName},
		Pid: pid, Metadata: s.ListenerMetadata, State: *st,
	})
	if err != nil {
		return fmt.Errorf("encode the state for the seccomp agent: %w", err)
	}
	return console.Pass("seccomp agent", s.ListenerPath, string(message), int(listener.Fd()))
}

// explainFilter says in the words of config.json what a filter does not let
// the process do.
func explainFilter(err error) error {
	var e *inside.FilterError
	if !errors.As(err, &e) {
		return err
	}
	why := "which the process has to call before it is the program"
	if e.Answer&unix.SECCOMP_RET_ACTION_FULL == unix.SECCOMP_RET_USER_NOTIF {
		why = "which has to be called before an agent can be asked"
	}
	return fmt.Errorf("linux.seccomp: %s for %s, %s", seccomp.Describe(e.Answer), e.Call, why)
}

// errUnanswered says that a start took too long because of somebody else.
var errUnanswered = errors.New("the seccomp agent does not answer")

// hear reads what the process says before it executes its program. Where an
// agent may be asked about its calls, it is waited for no longer than patience.
func hear(started *os.File, st *state.State) ([]byte, error) {
	if st.Listener == "" {
		return io.ReadAll(io.LimitReader(started, maxSaid))
	}
	var said []byte
	buf := make([]byte, maxSaid)
	for end := time.Now().Add(patience); len(said) < maxSaid; {
		if !readable(started, end) {
			return nil, fmt.Errorf("%w: after %v the program has not been executed (linux.seccomp.listenerPath: %s)", errUnanswered, patience, st.Listener)
		}
		n, err := started.Read(buf)
		said = append(said, buf[:n]...)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	return said, nil
}

// readable waits until a FIFO has something to read or has been closed at its
// other end, and reports whether that was so before a time.
func readable(fifo *os.File, end time.Time) bool {
	is, _ := ready.Until(int(fifo.Fd()), unix.POLLIN, end)
	return is
}
