package seccomp

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sort"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// maxArgs is how many arguments a system call has at most.
const maxArgs = 6

type operator int

const (
	ne operator = iota
	lt
	le
	eq
	ge
	gt
	maskedEq
)

// condition is one comparison of an argument, without a sign.
type condition struct {
	arg   int
	op    operator
	value uint64
	mask  uint64 // maskedEq only: the bits that are compared with value's
}

// rule is one way to match a call: all conditions hold. They are sorted by
// argument, of which none comes twice, and none is always true.
type rule struct {
	action uint32
	conds  []condition
	narrow *rule  // the same for an architecture of 32 bits
	at     string // its JSON path
	id     uint64 // no other rule has it
}

// add resolves one entry of syscalls, or finds all that is wrong with it.
func (p *profile) add(entry *specs.LinuxSyscall, index int) (bad []error) {
	at := item("syscalls", index)
	ret, err := action(at+".action", entry.Action, at+".errnoRet", entry.ErrnoRet)
	if err != nil {
		bad = append(bad, err)
	}
	p.notify = p.notify || ret == retNotify
	if len(entry.Names) == 0 {
		bad = append(bad, missing(at+".names"))
	}
	known := make([]*call, 0, len(entry.Names))
	for i, name := range entry.Names {
		switch c := callNamed(name); {
		case name == "":
			bad = append(bad, refuse(item(at+".names", i), name, "must not be empty"))
		case name == "write" && ret == retNotify:
			bad = append(bad, refuse(item(at+".names", i), name, "SCMP_ACT_NOTIFY cannot be used for the write syscall"))
		case c != nil:
			known = append(known, c)
		}
	}
	conds, more := conditions(at, entry.Args)
	if bad = append(bad, more...); len(bad) > 0 {
		return bad
	}
	for _, all := range alternatives(conds) {
		r := p.newRule(ret, all, at)
		r.narrow = p.newRule(ret, lowWords(all), at)
		p.rules = append(p.rules, named{known, r})
	}
	return nil
}

func conditions(at string, args []specs.LinuxSeccompArg) (conds []condition, bad []error) {
	conds = make([]condition, 0, len(args))
	for i, arg := range args {
		at := item(at+".args", i)
		op, ok := find(operators[:], string(arg.Op))
		if !ok {
			bad = append(bad, refuse(at+".op", string(arg.Op), "unknown operator"))
		}
		if arg.Index >= maxArgs {
			bad = append(bad, refuse(at+".index", arg.Index, "not between 0 and %d", maxArgs-1))
		}
		c := condition{arg: int(arg.Index), op: op, value: arg.Value}
		if op == maskedEq {
			c.mask, c.value = arg.Value, arg.Value&arg.ValueTwo
		}
		conds = append(conds, c)
	}
	return conds, bad
}

// alternatives are the rules that an entry stands for: one with all its
// conditions or, where an argument comes twice, one for each condition. That
// is how runc reads profiles that were written for its first versions.
func alternatives(conds []condition) [][]condition {
	var seen [maxArgs]bool
	for _, c := range conds {
		if !seen[c.arg] {
			seen[c.arg] = true
			continue
		}
		single := make([][]condition, len(conds))
		for i := range conds {
			single[i] = conds[i : i+1]
		}
		return single
	}
	return [][]condition{conds}
}

func (p *profile) newRule(action uint32, conds []condition, at string) *rule {
	p.ids++
	r := &rule{action: action, at: at, id: p.ids}
	for _, c := range conds {
		if c.op != maskedEq || c.mask != 0 {
			r.conds = append(r.conds, c)
		}
	}
	sort.SliceStable(r.conds, func(i, j int) bool { return r.conds[i].arg < r.conds[j].arg })
	return r
}

// lowWords are the conditions for an architecture of 32 bits, which looks at
// the low words alone.
func lowWords(conds []condition) []condition {
	low := slices.Clone(conds)
	for i := range low {
		low[i].value &= 0xffffffff
		low[i].mask &= 0xffffffff
	}
	return low
}

// winners are the rules for one call in the order in which they are tried;
// the first that matches counts. given is in the order of the profile, and all
// have conditions: one without beats them, and of several such the first.
//
// They are tried as libseccomp's tree has them, which is no business of the
// order in config.json: see precedence. Those that contradict each other are
// an error there and here.
func winners(given []*rule) ([]*rule, error) {
	var kept []*rule
	for _, r := range given {
		needless, err := against(kept, r)
		if err != nil {
			return nil, err
		}
		if !needless {
			kept = append(kept, r)
		}
		if len(kept) > maxProgram {
			return nil, tooLong()
		}
	}
	slices.SortStableFunc(kept, precedence)
	return kept, nil
}

// against compares a rule with those before it: needless means that one of
// them matches whenever this one does.
func against(earlier []*rule, r *rule) (needless bool, err error) {
	for _, e := range earlier {
		switch {
		case begins(r.conds, e.conds):
			needless = true
			if e.action != r.action && len(e.conds) == len(r.conds) {
				return false, contradiction(e, r)
			}
		case e.action != r.action && begins(e.conds, r.conds):
			return false, contradiction(e, r)
		}
	}
	return needless, nil
}

func contradiction(e, r *rule) error {
	return &PropertyError{Path: r.at, Cause: fmt.Errorf("contradicts %s: %w", e.at, errContradiction)}
}

var errContradiction = errors.New("another action for the same call and arguments")

func begins(conds, start []condition) bool {
	return len(start) <= len(conds) && slices.Equal(conds[:len(start)], start)
}

// precedence orders rules for one call, conditions one after the other: the
// higher argument; equality and its kin before "less" before "greater"; then
// the bound that fewer values reach.
func precedence(a, b *rule) int {
	for i := range min(len(a.conds), len(b.conds)) {
		x, y := a.conds[i], b.conds[i]
		if x.arg != y.arg {
			return cmp.Compare(y.arg, x.arg)
		}
		if kx, ky := kin(x.op), kin(y.op); kx != ky {
			return cmp.Compare(kx, ky)
		}
		if x.value != y.value {
			if kin(x.op) == less {
				return cmp.Compare(x.value, y.value)
			}
			return cmp.Compare(y.value, x.value)
		}
	}
	return 0
}

const (
	equality = iota
	less
	greater
)

func kin(op operator) int {
	switch op {
	case lt, le:
		return less
	case gt, ge:
		return greater
	}
	return equality
}
