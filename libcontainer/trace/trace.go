// Package trace notes what a command of mocker does and how long it takes: its
// steps, its hooks, and the system calls that a child executes inside for its
// parent. What it writes is the trace event format that chrome://tracing and
// Perfetto open.
//
// It runs on the host, in mocker's own process, and knows nothing of what it
// notes. A recorder that is nil notes nothing: what is traced can be written
// as if there always were one, and costs a comparison where there is none.
//
// Built with the tag killpoints, for tests, mocker can be told to kill itself
// wherever something that is noted begins or ends: see kill.go.
package trace

import (
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// The categories of what is noted.
const (
	Verb = "verb" // the whole command
	Step = "step"
	Hook = "hook"
	call = "call" // executed inside
	last = "last program"
)

// Recorder notes what one command does. It may be nil.
type Recorder struct {
	mu     sync.Mutex
	pid    int
	begin  int64 // as all times: nanoseconds of CLOCK_REALTIME
	events []event
	inside []int // the pids of children, in the order of their first call
}

// event is one line of a trace.
type event struct {
	category, name string
	pid            int
	begin, end     int64 // end is 0 while it lasts
	instant        bool
	args           map[string]any
}

// New makes a recorder for a command that began at a time.
func New(began time.Time) *Recorder {
	return &Recorder{pid: os.Getpid(), begin: began.UnixNano()}
}

// Span is something that has begun.
type Span struct {
	point point // first: at the end even nothing would take space
	r     *Recorder
	index int
}

// Begin notes the beginning of something.
func (r *Recorder) Begin(category, name string) Span {
	p := begun(category, name)
	if r == nil {
		return Span{point: p}
	}
	return r.add(p, event{category: category, name: name, begin: time.Now().UnixNano()})
}

// Whole notes the beginning of the command itself, which was before there was
// a recorder.
func (r *Recorder) Whole(name string) Span {
	p := begun(Verb, name)
	if r == nil {
		return Span{point: p}
	}
	return r.add(p, event{category: Verb, name: name, begin: r.begin})
}

func (r *Recorder) add(p point, e event) Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.pid = r.pid
	r.events = append(r.events, e)
	return Span{p, r, len(r.events) - 1}
}

// End notes the end of it, and the error that came of it, if one did.
func (s Span) End(err error) {
	if s.r != nil {
		s.r.end(s.index, err)
	}
	s.point.ended()
}

func (r *Recorder) end(index int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := &r.events[index]
	e.end = time.Now().UnixNano()
	if err != nil {
		e.set("error", err.Error())
	}
}

// Step does something and notes it.
func (r *Recorder) Step(name string, do func() error) error {
	span := r.Begin(Step, name)
	err := do()
	span.End(err)
	return err
}

func (e *event) set(key string, value any) {
	if e.args == nil {
		e.args = map[string]any{}
	}
	e.args[key] = value
}

// Call is a system call that a child has executed.
type Call struct {
	PID          int
	Name, Object string
	Number       uintptr
	Begin, End   int64
	Timed        bool // Begin and End are the child's own; else they are guesses
	Result       uintptr
	Errno        unix.Errno
	Accepted     bool  // the errno counts as success
	Died         error // the child did not come back from it
}

// Call notes a system call.
func (r *Recorder) Call(c Call) {
	if r == nil {
		return
	}
	e := event{category: call, name: c.Name, pid: c.PID, begin: c.Begin, end: max(c.Begin, c.End)}
	e.set("call", c.Number)
	if c.Object != "" {
		e.set("object", c.Object)
	}
	if !c.Timed {
		e.set("untimed", true)
	}
	switch {
	case c.Died != nil:
		e.set("error", c.Died.Error())
	case c.Errno == 0:
		e.set("result", int(c.Result))
	default:
		e.set("errno", errnoName(c.Errno))
		if c.Accepted {
			e.set("accepted", true)
		} else {
			e.set("error", c.Errno.Error())
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lane(c.PID)
	r.events = append(r.events, e)
}

func errnoName(errno unix.Errno) any {
	if name := unix.ErrnoName(errno); name != "" {
		return name
	}
	return int(errno)
}

// Program notes the calls that a child is going to execute on its own, when
// nobody looks at it any more.
func (r *Recorder) Program(pid int, calls []string) {
	if r == nil {
		return
	}
	now := time.Now().UnixNano()
	e := event{category: last, name: last, pid: pid, begin: now, end: now, instant: true}
	e.set("calls", calls)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lane(pid)
	r.events = append(r.events, e)
}

// lane makes a pid one that has a name in the trace.
func (r *Recorder) lane(pid int) {
	for _, known := range r.inside {
		if known == pid {
			return
		}
	}
	r.inside = append(r.inside, pid)
}
