package seccomp

import "slices"

// search decides by one argument: the values at which the answer changes are
// found here, so that the program has as few ranges as there are answers,
// however many rules there were.
func (d *decider) search(rules []*rule, arg int, wide bool) *decision {
	bounds := []uint64{0}
	for _, r := range rules {
		c := r.conds[0]
		bounds = append(bounds, c.value)
		if c.value != ^uint64(0) {
			bounds = append(bounds, c.value+1)
		}
	}
	slices.Sort(bounds)
	bounds = slices.Compact(bounds)
	if !wide {
		low := narrowSpans(d, rules, bounds)
		return d.ranges(offLow(arg), low)
	}
	// First by the high word, and where that is not enough by the low one.
	var spans []span
	for at := 0; at < len(bounds); {
		high := uint32(bounds[at] >> 32)
		end := at
		for end < len(bounds) && uint32(bounds[end]>>32) == high {
			end++
		}
		spans = d.highWord(spans, rules, bounds[at:end], offLow(arg))
		at = end
	}
	return d.ranges(offHigh(arg), merge(spans))
}

// highWord appends what is decided about the high word of bounds, which they
// share, and about the ones above it up to the next bound.
func (d *decider) highWord(spans []span, rules []*rule, bounds []uint64, low uint32) []span {
	high := uint32(bounds[0] >> 32)
	inside := bounds
	if uint32(bounds[0]) != 0 {
		// The range before begins in an earlier high word and ends in this one.
		inside = append([]uint64{uint64(high) << 32}, bounds...)
	}
	var words []span
	for _, b := range inside {
		words = append(words, span{uint32(b), d.answer(d.first(rules, b))})
	}
	spans = append(spans, span{high, d.ranges(low, merge(words))})
	if high != 0xffffffff {
		last := inside[len(inside)-1]
		spans = append(spans, span{high + 1, d.answer(d.first(rules, last))})
	}
	return spans
}

func narrowSpans(d *decider, rules []*rule, bounds []uint64) []span {
	var spans []span
	for _, b := range bounds {
		if b <= 0xffffffff {
			spans = append(spans, span{uint32(b), d.answer(d.first(rules, b))})
		}
	}
	return merge(spans)
}

// ranges is a search, or the decision itself where there is only one.
func (d *decider) ranges(word uint32, spans []span) *decision {
	if len(spans) == 1 {
		return spans[0].then
	}
	return &decision{word: word, ranges: spans}
}

// first is the answer of the first rule that matches a value.
func (d *decider) first(rules []*rule, value uint64) uint32 {
	for _, r := range rules {
		if r.conds[0].matches(value) {
			return r.action
		}
	}
	return d.standard
}

func (c condition) matches(value uint64) bool {
	switch c.op {
	case ne:
		return value != c.value
	case lt:
		return value < c.value
	case le:
		return value <= c.value
	case eq:
		return value == c.value
	case ge:
		return value >= c.value
	case gt:
		return value > c.value
	default:
		return value&c.mask == c.value
	}
}
