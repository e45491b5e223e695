package seccomp

import (
	"slices"

	"golang.org/x/sys/unix"
)

// The instructions that a filter consists of (linux/bpf_common.h).
const (
	opLoad    = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	opAnd     = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
	opJump    = unix.BPF_JMP | unix.BPF_JA
	opEqual   = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	opAbove   = unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K
	opAtLeast = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
	opReturn  = unix.BPF_RET | unix.BPF_K
)

// program is written from its end to its start: a jump only ever goes forward,
// so that what it jumps to is there when it is written. code[i] is followed by
// code[i-1]; the index of an instruction is its label.
type program struct {
	code []unix.SockFilter
}

// reach is how far a conditional jump goes, less the two instructions that
// near may write in between.
const reach = 255 - 2

func assemble(r root) ([]unix.SockFilter, error) {
	p := &program{code: make([]unix.SockFilter, 0, 512)}
	other := -1
	for _, b := range slices.Backward(r) {
		then, err := p.write(b.then)
		if err != nil {
			return nil, err
		}
		if other < 0 { // an architecture that is in none of them
			other = p.ret(retKill)
		}
		other = p.branch(opEqual, b.audit, then, other)
	}
	p.load(offArch)
	if len(p.code) > maxProgram {
		return nil, tooLong()
	}
	slices.Reverse(p.code)
	return p.code, nil
}

func tooLong() error {
	return refuse("syscalls", nil, "too many rules: they take more than the %d instructions that the kernel allows", maxProgram)
}

func (p *program) put(ins unix.SockFilter) int {
	p.code = append(p.code, ins)
	return len(p.code) - 1
}

func (p *program) ret(answer uint32) int {
	return p.put(unix.SockFilter{Code: opReturn, K: answer})
}

// load puts a word of seccomp_data in front of the instruction written last.
func (p *program) load(offset uint32) int {
	return p.put(unix.SockFilter{Code: opLoad, K: offset})
}

// near is a label that a conditional jump reaches and that does the same.
func (p *program) near(label int) int {
	if len(p.code)-label-1 <= reach {
		return label
	}
	if p.code[label].Code == opReturn {
		return p.ret(p.code[label].K)
	}
	return p.put(unix.SockFilter{Code: opJump, K: uint32(len(p.code) - label - 1)})
}

func (p *program) branch(op uint16, k uint32, yes, no int) int {
	yes, no = p.near(yes), p.near(no)
	skip := func(label int) uint8 { return uint8(len(p.code) - label - 1) }
	return p.put(unix.SockFilter{Code: op, Jt: skip(yes), Jf: skip(no), K: k})
}

// write writes a decision, or finds it where it has been written already. The
// word that its caller has loaded is gone at its end.
func (p *program) write(d *decision) (int, error) {
	if len(p.code) > 2*maxProgram {
		return 0, tooLong()
	}
	switch {
	case d.plain():
		if !d.written || len(p.code)-d.label > reach {
			d.label = p.ret(d.answer)
		}
	case d.written:
	case len(d.chain) != 0:
		d.label = p.chain(d)
	default:
		if _, err := p.search(d.ranges); err != nil {
			return 0, err
		}
		d.label = p.load(d.word)
	}
	d.written = true
	return d.label, nil
}

// search finds the span of the loaded word: a balanced tree of comparisons.
func (p *program) search(spans []span) (int, error) {
	if len(spans) == 1 {
		return p.write(spans[0].then)
	}
	if one, rest, ok := single(spans); ok {
		return p.either(opEqual, one[0].from, one, rest)
	}
	middle := len(spans) / 2
	return p.either(opAtLeast, spans[middle].from, spans[middle:], spans[:middle])
}

// either writes what follows both ways out of a comparison, and then it. A
// lone answer is written last, to be within its reach.
func (p *program) either(op uint16, k uint32, yes, no []span) (int, error) {
	first, second := yes, no
	last := len(yes) == 1 && yes[0].then.plain()
	if last {
		first, second = no, yes
	}
	x, err := p.search(first)
	if err != nil {
		return 0, err
	}
	y, err := p.search(second)
	if last {
		x, y = y, x
	}
	return p.branch(op, k, x, y), err
}

// single is the case of one value among others that are all alike.
func single(spans []span) (one, rest []span, ok bool) {
	if len(spans) != 3 || spans[0].then != spans[2].then || spans[2].from != spans[1].from+1 {
		return nil, nil, false
	}
	return spans[1:2], spans[:1], true
}

// chain tries rules in turn.
func (p *program) chain(d *decision) int {
	next := p.ret(d.answer)
	for _, r := range slices.Backward(d.chain) {
		match := p.ret(r.action)
		for _, c := range slices.Backward(r.conds) {
			match = p.compare(c, d.wide, match, next)
		}
		next = match
	}
	return next
}

// compare goes to yes or no by one condition: for 64 bits the high word first,
// since there are no comparisons of more than 32.
func (p *program) compare(c condition, wide bool, yes, no int) int {
	switch c.op {
	case ne:
		c.op = eq
		return p.compare(c, wide, no, yes)
	case lt:
		c.op = ge
		return p.compare(c, wide, no, yes)
	case le:
		c.op = gt
		return p.compare(c, wide, no, yes)
	case maskedEq:
		return p.compareMasked(c, yes, no)
	}
	jump := uint16(opEqual)
	switch c.op {
	case ge:
		jump = opAtLeast
	case gt:
		jump = opAbove
	}
	p.branch(jump, uint32(c.value), yes, no)
	at := p.load(offLow(c.arg))
	if !wide {
		return at
	}
	high := uint32(c.value >> 32)
	at = p.branch(opEqual, high, at, no)
	if c.op != eq {
		p.branch(opAbove, high, yes, at)
	}
	return p.load(offHigh(c.arg))
}

// compareMasked needs no width: on an architecture of 32 bits the high word of
// the mask is 0.
func (p *program) compareMasked(c condition, yes, no int) int {
	at := yes
	for _, word := range []struct {
		offset      uint32
		value, mask uint64
	}{
		{offLow(c.arg), c.value & 0xffffffff, c.mask & 0xffffffff},
		{offHigh(c.arg), c.value >> 32, c.mask >> 32},
	} {
		if word.mask == 0 {
			continue
		}
		p.branch(opEqual, uint32(word.value), at, no)
		if word.mask != 0xffffffff {
			p.put(unix.SockFilter{Code: opAnd, K: uint32(word.mask)})
		}
		at = p.load(word.offset)
	}
	return at
}
