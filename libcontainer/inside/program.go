package inside

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/ready"
)

// Result stands for the result of an earlier call of the same program.
type Result int

// Program is a list of system calls that the child executes in order,
// without its parent in between. It ends at the first call that fails.
type Program struct {
	in    *Child
	calls []call
	text  int // arena in use
	err   error

	epilogue int // index of the first call of the epilogue; 0: none

	followed bool  // somebody waits for its end although it is not answered: see Become
	began    int64 // when it was posted, if the child is traced

	filter   *Filter // loaded by the program; nil: none
	filtered int     // index of the first call that runs under it
	passed   bool    // the filter has been found to let the program through
	listened int     // index from which somebody has the listener of the filter; 0: see Child.Listened
}

type call struct {
	name, object string
}

// NewProgram starts an empty program. One is built at a time.
func (in *Child) NewProgram() *Program { return &Program{in: in} }

// Add appends a system call. name and object are for errors; the object is
// what the call is about ("/proc", "PR_SET_NAME"), or "".
//
// An argument is an int, a uintptr, a uint64, a string (passed as the
// address of a NUL-terminated copy), a []byte (the address of a copy), a
// []string (the address of a NULL-terminated array of such), nil (a null
// pointer), an unsafe.Pointer into the region, or the Result of an earlier
// call (of the first five arguments).
func (p *Program) Add(name, object string, nr uintptr, args ...any) Result {
	i := len(p.calls)
	p.calls = append(p.calls, call{name, object})
	if i >= maxSlots {
		p.fail(fmt.Errorf("a program of more than %d system calls", maxSlots))
		return 0
	}
	if p.in.dead != nil {
		p.fail(p.in.dead)
		return 0
	}
	s := &p.in.region.slots[i]
	*s = slot{nr: nr}
	for k, arg := range args {
		if res, ok := arg.(Result); ok {
			s.refs |= uint64(res+1) << (k * refBits)
			continue
		}
		s.args[k] = p.value(arg)
	}
	return Result(i)
}

// Accept makes an errno of the call added last count as success.
func (p *Program) Accept(errno unix.Errno) {
	if n := len(p.calls); n > 0 && n <= maxSlots && p.in.dead == nil {
		p.in.region.slots[n-1].accept = uintptr(errno)
	}
}

// Epilogue says that the calls added from here on are executed only after
// one of those before has failed.
func (p *Program) Epilogue() { p.epilogue = len(p.calls) }

// Names lists the calls, "name object", in order: what the index of a
// failure stands for.
func (p *Program) Names() []string {
	names := make([]string, len(p.calls))
	for i, c := range p.calls {
		names[i] = c.String()
	}
	return names
}

func (c call) String() string {
	if c.object == "" {
		return c.name
	}
	return c.name + " " + c.object
}

func (p *Program) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}

func (p *Program) value(arg any) uintptr {
	switch v := arg.(type) {
	case nil:
		return 0
	case int:
		return uintptr(v)
	case uintptr:
		return v
	case uint64:
		return uintptr(v)
	case unsafe.Pointer:
		return uintptr(v)
	case string:
		return p.str(v)
	case []byte:
		return p.copy(v, 8)
	case []string:
		return p.strv(v)
	}
	panic(fmt.Sprintf("inside: an argument of type %T", arg))
}

func (p *Program) str(s string) uintptr {
	addr := p.room(len(s)+1, 1)
	if addr != 0 {
		r := p.in.region
		n := copy(r.arena[p.text-len(s)-1:], s)
		r.arena[p.text-len(s)-1+n] = 0
	}
	return addr
}

func (p *Program) copy(b []byte, align int) uintptr {
	addr := p.room(len(b), align)
	if addr != 0 {
		copy(p.in.region.arena[p.text-len(b):], b)
	}
	return addr
}

func (p *Program) strv(list []string) uintptr {
	ptrs := make([]uintptr, len(list)+1)
	for i, s := range list {
		ptrs[i] = p.str(s)
	}
	return p.copy(unsafe.Slice((*byte)(unsafe.Pointer(&ptrs[0])), len(ptrs)*int(unsafe.Sizeof(ptrs[0]))), 8)
}

// room takes n bytes of the arena; p.text is their end afterwards.
func (p *Program) room(n, align int) uintptr {
	start := (p.text + align - 1) &^ (align - 1)
	if p.err != nil || p.in.dead != nil || start+n > arenaSize {
		p.fail(fmt.Errorf("arguments, environment and paths of more than %d bytes: %w", arenaSize, unix.E2BIG))
		return 0
	}
	p.text = start + n
	return uintptr(unsafe.Pointer(&p.in.region.arena)) + uintptr(start)
}

// Run has the child execute the program and waits for its end. The error
// names the call that failed and its object, and wraps its errno.
func (p *Program) Run() error {
	if err := p.post(true); err != nil {
		return err
	}
	in := p.in
	if err := in.await(); err != nil {
		in.dead = p.died(err)
		p.note(in.PID, err)
		return in.dead
	}
	p.note(in.PID, nil)
	if p.filter != nil {
		in.filter = p.filter
	}
	return p.failure()
}

// failure is the error of the call that ended the program, if one did.
func (p *Program) failure() error {
	f := p.in.region.failed
	if f.slot == 0 {
		return nil
	}
	return callError(p.calls[(f.slot-1)&slotMask], unix.Errno(f.errno))
}

// Check finds what would keep Post from handing over the program.
func (p *Program) Check() error { return p.check(false) }

func (p *Program) check(answered bool) error {
	if p.in.dead != nil {
		return p.in.dead
	}
	if p.err != nil {
		return p.err
	}
	return p.checkFilter(answered)
}

// Post hands the program over and does not wait: for a last program, which
// never ends.
func (p *Program) Post() error { return p.post(false) }

// post hands the program over. answered says that the child is to tell of its
// end, and to go on.
func (p *Program) post(answered bool) error {
	in := p.in
	if err := p.check(answered); err != nil {
		return err
	}
	r := in.region
	r.failed = failure{}
	r.count, r.epilogue = uint32(len(p.calls)), uint32(p.epilogue)
	if p.epilogue == 0 {
		p.epilogue = len(p.calls)
	}
	r.stamped = 0
	if in.trace != nil && (answered || p.followed) {
		p.askStamps()
	}
	atomic.AddUint32(&r.posted, 1)
	if atomic.LoadUint32(&r.childSleeps) == 0 {
		return nil
	}
	_, _, _ = unix.Syscall6(sysFutex, uintptr(unsafe.Pointer(&r.posted)), futexWake, 1, 0, 0, 0)
	return nil
}

// Value is the result of a call of a program that has run.
func (p *Program) Value(res Result) int { return int(p.in.region.slots[res&slotMask].ret) }

func callError(c call, err error) error { return fmt.Errorf("%s: %w", c, err) }

// died explains the end of the child in the middle of the program.
func (p *Program) died(cause error) error {
	return fmt.Errorf("the container's process %w during %q", cause, p.calls[0].String())
}

// await waits until the child has ended the program that was posted last.
func (in *Child) await() error {
	r := in.region
	for range r.spins {
		if atomic.LoadUint32(&r.finished) == r.posted {
			return nil
		}
	}
	begin := in.clock()
	for {
		done := atomic.LoadUint32(&r.finished)
		if done == r.posted {
			return nil
		}
		if tooLong(begin) {
			return errUnanswered
		}
		if in.sleep(done) && in.ended(0) {
			if atomic.LoadUint32(&r.finished) == r.posted {
				return nil
			}
			return in.ending()
		}
	}
}

// ended reports whether the child, or the program it has become, has ended,
// waiting for it at most as long as given.
func (in *Child) ended(wait time.Duration) bool {
	if in.reaped {
		return true
	}
	return ready.Within(in.Pidfd, unix.POLLIN, wait)
}

// ending reaps the child and says how it ended.
func (in *Child) ending() error {
	status, err := in.Wait()
	if err != nil {
		return err
	}
	return howEnded(status)
}

func howEnded(status unix.WaitStatus) error {
	switch {
	case status.Signaled():
		return fmt.Errorf("was killed by signal %d (%s)", status.Signal(), unix.SignalName(status.Signal()))
	case status.ExitStatus() == exitOrphan:
		return errors.New("lost sight of its parent")
	}
	return fmt.Errorf("exited with status %d", status.ExitStatus())
}
