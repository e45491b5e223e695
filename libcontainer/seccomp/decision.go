package seccomp

import (
	"encoding/binary"
	"slices"
)

// Offsets into struct seccomp_data (linux/seccomp.h): int nr, u32 arch, u64
// instruction_pointer, u64 args[6]. Both kinds of machines are little-endian.
const (
	offNumber = 0
	offArch   = 4
	offArgs   = 16
)

func offLow(arg int) uint32  { return uint32(offArgs + 8*arg) }
func offHigh(arg int) uint32 { return offLow(arg) + 4 }

// decision is what to do at one point of the program. One of these:
//   - nothing but an answer: ranges and chain are empty;
//   - a search for the range in which a word lies;
//   - a chain of rules, with an answer for calls that none of them matches.
//
// Equal decisions about numbers are the same pointer, so that ranges next to
// each other can be merged and instructions are written once.
type decision struct {
	answer uint32

	word   uint32 // offset into seccomp_data
	ranges []span

	chain []*rule
	wide  bool // the chain compares 64 bits

	written bool
	label   int // where the program has it; see program.go
}

// plain reports whether nothing but an answer is left.
func (d *decision) plain() bool { return len(d.ranges) == 0 && len(d.chain) == 0 }

// span is a range of a word's values: from here to the next span, or to the
// end.
type span struct {
	from uint32
	then *decision
}

// root is a decision for each architecture, by seccomp_data.arch; the
// machine's own first.
type root []branch

type branch struct {
	audit uint32
	then  *decision
}

func (p *profile) decide(native abi, others []abi) (root, error) {
	d := &decider{profile: p, plain: map[uint32]*decision{}, given: map[string]*decision{}, ruled: map[string]*decision{}}
	spans, err := d.spans(native)
	if err != nil {
		return nil, err
	}
	result := root{{native.audit(), nil}}
	for _, other := range others {
		more, err := d.spans(other)
		if err != nil {
			return nil, err
		}
		if other == x32 {
			spans = append(spans, more...)
			continue
		}
		result = append(result, branch{other.audit(), d.ranges(offNumber, more)})
	}
	if native == amd64 && !slices.Contains(others, x32) {
		// As libseccomp does it: -1 is no call of x32 but what a tracer writes
		// to skip one.
		spans = append(spans, span{x32Bit, d.answer(retKill)}, span{0xffffffff, d.answer(p.standard)})
	}
	result[0].then = d.ranges(offNumber, merge(spans))
	return result, nil
}

// decider keeps what was decided, for equal decisions to be one.
type decider struct {
	*profile
	plain map[uint32]*decision // by answer
	given map[string]*decision // by the identity of the rules
	ruled map[string]*decision // by what the rules say, and whether they compare 64 bits
	rules int                  // in all of ruled

	placed []*rule // see list
}

func (d *decider) answer(ret uint32) *decision {
	if d.plain[ret] == nil {
		d.plain[ret] = &decision{answer: ret}
	}
	return d.plain[ret]
}

// spans are what is decided about all numbers of one ABI.
func (d *decider) spans(a abi) ([]span, error) {
	var base uint32
	if a == x32 {
		base = x32Bit
	}
	standard := d.answer(d.standard)
	spans := append(make([]span, 0, 128), span{base, standard})
	list := d.list(a)
	if len(list) == 0 {
		return spans, nil
	}
	next := base
	var rules []*rule
	for at := 0; at < len(list); {
		number := uint32(list[at] >> 32)
		rules = rules[:0]
		for ; at < len(list) && uint32(list[at]>>32) == number; at++ {
			// A rule for the default is none, even beside others. It still
			// makes its call a known one.
			if r := d.placed[uint32(list[at])]; r.action != d.standard {
				rules = append(rules, r)
			}
		}
		then, err := d.rulesFor(rules, a.wide())
		if err != nil {
			return nil, err
		}
		if base+number > next {
			spans = append(spans, span{next, standard})
		}
		spans = append(spans, span{base + number, then})
		next = base + number + 1
	}
	return merge(append(spans, span{next, d.answer(d.newer)})), nil
}

// list is what the profile says about an ABI, by number, and for one number in
// the profile's order: the number in the high half, in the low one where the
// rule is in placed.
func (d *decider) list(a abi) []uint64 {
	list := make([]uint64, 0, 512)
	d.placed = d.placed[:0]
	put := func(number uint32, r *rule) {
		list = append(list, uint64(number)<<32|uint64(len(d.placed)))
		d.placed = append(d.placed, r)
	}
	for _, entry := range d.profile.rules {
		r := entry.rule
		if !a.wide() {
			r = r.narrow
		}
		for _, c := range entry.calls {
			if a == i386 {
				if number, first, ok := multiplexed(c.name); ok {
					put(number, d.through(r, first))
				}
			}
			if c.number[a] != none {
				put(uint32(c.number[a]), r)
			}
		}
	}
	slices.Sort(list)
	return list
}

// through is the rule for a call that is made through socketcall or ipc. The
// first argument is not the call's but says which call it is; the others are
// compared all the same, as libseccomp does it, for what it is worth.
func (p *profile) through(r *rule, first uint64) *rule {
	which := condition{arg: 0, op: eq, value: first}
	conds := []condition{which}
	for _, c := range r.conds {
		if c.arg != 0 {
			conds = append(conds, c)
		}
	}
	return p.newRule(r.action, conds, r.at)
}

// rulesFor decides about one number.
func (d *decider) rulesFor(given []*rule, wide bool) (*decision, error) {
	if len(given) == 0 {
		return d.answer(d.standard), nil
	}
	for _, r := range given {
		if len(r.conds) == 0 {
			return d.answer(r.action), nil
		}
	}
	same := identity(given)
	if d.given[same] != nil {
		return d.given[same], nil
	}
	rules, err := winners(given)
	if err != nil {
		return nil, err
	}
	equal := key(rules, wide)
	if d.ruled[equal] == nil {
		if d.rules += len(rules); d.rules > maxProgram {
			return nil, tooLong()
		}
		d.ruled[equal] = d.decideRules(rules, wide)
	}
	d.given[same] = d.ruled[equal]
	return d.ruled[equal], nil
}

// identity is the same for the same rules, which are not the same for another
// width.
func identity(rules []*rule) string {
	text := make([]byte, 0, 8*len(rules))
	for _, r := range rules {
		text = binary.LittleEndian.AppendUint64(text, r.id)
	}
	return string(text)
}

func key(rules []*rule, wide bool) string {
	var text []byte
	if wide {
		text = append(text, 'w')
	}
	for _, r := range rules {
		text = binary.LittleEndian.AppendUint32(text, r.action)
		text = append(text, byte(len(r.conds)))
		for _, c := range r.conds {
			text = append(text, byte(c.arg), byte(c.op))
			text = binary.LittleEndian.AppendUint64(text, c.value)
			text = binary.LittleEndian.AppendUint64(text, c.mask)
		}
	}
	return string(text)
}

// decideRules makes a search of rules that compare one argument, and a chain
// of others.
func (d *decider) decideRules(rules []*rule, wide bool) *decision {
	arg := rules[0].conds[0].arg
	for _, r := range rules {
		if len(r.conds) != 1 || r.conds[0].arg != arg || r.conds[0].op == maskedEq {
			return &decision{answer: d.standard, chain: rules, wide: wide}
		}
	}
	return d.search(rules, arg, wide)
}

// merge joins spans next to each other that decide the same, and drops those
// of no length.
func merge(spans []span) []span {
	merged := spans[:0]
	for i, s := range spans {
		if i+1 < len(spans) && spans[i+1].from == s.from {
			continue
		}
		if n := len(merged); n > 0 && merged[n-1].then == s.then {
			continue
		}
		merged = append(merged, s)
	}
	return merged
}
