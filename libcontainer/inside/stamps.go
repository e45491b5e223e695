package inside

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/trace"
)

// Of a child that is traced, the parent cannot tell how long each call of a
// program takes: it is told of the end of the whole. So the child looks at the
// clock after each call. It is CLOCK_REALTIME, the only one that is the same in
// all time namespaces (time_namespaces(7)).

// askStamps tells the child, which is traced, how many of the times to take:
// none once there is a filter, which need not allow it.
func (p *Program) askStamps() {
	r := p.in.region
	p.began = time.Now().UnixNano()
	count := len(p.calls) + 1
	if f, from := p.underFilter(); f != nil {
		count = from // the one after the loading would be under it
	}
	clear(r.stamps[:])
	r.stamped = uint32(min(count, maxSlots))
}

// stamp is the i'th time that the child has taken, 0 if it has taken none. The
// region may be a stranger's to write: a time that cannot be is none.
func (p *Program) stamp(i int, now int64) int64 {
	if i >= int(p.in.region.stamped) {
		return 0
	}
	t := p.in.region.stamps[i&slotMask]
	if at := t.Nano(); at >= p.began && at <= now {
		return at
	}
	return 0
}

// note tells the recorder what has become of a program that was posted to the
// process pid. died says that the child did not come to its end.
func (p *Program) note(pid int, died error) {
	if p.in.trace == nil {
		return
	}
	now, r := time.Now().UnixNano(), p.in.region
	at := max(p.began, p.stamp(0, now))
	list := p.executed()
	for k, i := range list {
		s := &r.slots[i]
		c := trace.Call{
			PID: pid, Name: p.calls[i].name, Object: p.calls[i].object, Number: s.nr,
			Begin: at, End: at, Result: s.ret, Errno: unix.Errno(s.errno),
		}
		c.Accepted = s.errno != 0 && s.errno == s.accept
		if end := p.stamp(i+1, now); end >= at && end != 0 {
			c.End, c.Timed = end, true
		} else if died != nil {
			c.End, c.Died = now, died
		} else if k == len(list)-1 {
			c.End = now
		}
		p.in.trace.Call(c)
		if c.Died != nil {
			return
		}
		at = c.End
		if s.nr == sysClone3 || s.nr == unix.SYS_CLONE {
			if copied := int(atomic.LoadInt32(&r.tid)); copied > 0 {
				pid = copied
			}
		}
	}
}

// executed lists the calls of a program that has ended.
func (p *Program) executed() []int {
	var list []int
	end, failed := min(p.epilogue, maxSlots), int(p.in.region.failed.slot)
	for i := range end {
		list = append(list, i)
		if failed == i+1 {
			for k := end; k < min(len(p.calls), maxSlots); k++ {
				list = append(list, k)
			}
			break
		}
	}
	return list
}
