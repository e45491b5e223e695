package seccomp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// random makes profiles and calls that have a good chance to meet.
type random struct {
	*rand.Rand
	names  []string // calls to choose from
	values []uint64
}

func newRandom(seed uint64) *random {
	r := &random{Rand: rand.New(rand.NewPCG(seed, 1))}
	for _, c := range calls {
		r.names = append(r.names, c.name)
	}
	r.values = []uint64{0, 1, 2, 5, 0x7fffffff, 0x80000000, 0xffffffff, 0x1_0000_0000, 0x1_0000_0005, 0x5_0000_0000, 0xffffffff_00000000, ^uint64(0)}
	return r
}

func pick[T any](r *random, list []T) T { return list[r.IntN(len(list))] }

func (r *random) value() uint64 {
	v := pick(r, r.values)
	switch r.IntN(4) {
	case 0:
		return v + uint64(r.IntN(3)) - 1
	case 1:
		return uint64(r.IntN(8))
	}
	return v
}

func (r *random) action() (specs.LinuxSeccompAction, *uint) {
	name := specs.LinuxSeccompAction(pick(r, Actions()))
	if (name == specs.ActErrno || name == specs.ActTrace) && r.IntN(2) == 0 {
		n := uint(r.IntN(4096))
		return name, &n
	}
	return name, nil
}

func (r *random) profile() *specs.LinuxSeccomp {
	spec := &specs.LinuxSeccomp{ListenerPath: "/x"}
	for spec.DefaultAction == "" || spec.DefaultAction == specs.ActNotify {
		spec.DefaultAction, spec.DefaultErrnoRet = r.action()
	}
	for _, arch := range []specs.Arch{specs.ArchX86_64, specs.ArchX86, specs.ArchX32, specs.ArchAARCH64, specs.ArchARM} {
		if r.IntN(2) == 0 {
			spec.Architectures = append(spec.Architectures, arch)
		}
	}
	// Few calls, so that several rules meet, or many.
	names := make([]string, 1+r.IntN(5))
	if r.IntN(4) == 0 {
		names = make([]string, 200)
	}
	for i := range names {
		names[i] = pick(r, r.names)
		if r.IntN(4) == 0 {
			names[i] = pick(r, socketcalls[:]).name
		}
	}
	for range 1 + r.IntN(12) {
		spec.Syscalls = append(spec.Syscalls, r.entry(names))
	}
	return spec
}

func (r *random) entry(names []string) specs.LinuxSyscall {
	var entry specs.LinuxSyscall
	entry.Action, entry.ErrnoRet = r.action()
	for range 1 + r.IntN(len(names)) {
		if name := pick(r, names); name != "write" {
			entry.Names = append(entry.Names, name)
		}
	}
	if len(entry.Names) == 0 {
		entry.Names = []string{"no_such_call"}
	}
	for _, arg := range r.Perm(maxArgs)[:max(0, r.IntN(6)-2)] {
		entry.Args = append(entry.Args, specs.LinuxSeccompArg{
			Index: uint(arg), Op: specs.LinuxSeccompOperator(pick(r, Operators())), Value: r.value(), ValueTwo: r.value(),
		})
	}
	if len(entry.Args) > 0 && r.IntN(10) == 0 {
		entry.Args = append(entry.Args, entry.Args[0])
	}
	return entry
}

// call is one that a profile has an opinion about, or any other.
func (r *random) call(spec *specs.LinuxSeccomp) Call {
	var c Call
	a := abi(r.IntN(int(abis)))
	c.Arch = a.audit()
	switch r.IntN(8) {
	case 0:
		c.Number = r.Uint32()
	case 1:
		c.Number = uint32(r.IntN(600))
	default:
		name := pick(r, pick(r, spec.Syscalls).Names)
		if known := callNamed(name); known != nil && known.number[a] != none {
			c.Number = uint32(known.number[a])
		} else if number, first, ok := multiplexed(name); ok && a == i386 {
			c.Number, c.Args[0] = number, first
		}
		if a == x32 {
			c.Number |= x32Bit
		}
	}
	for i := range c.Args {
		c.Args[i] = r.value()
		if a != amd64 && a != arm64 {
			c.Args[i] &= 0xffffffff
		}
	}
	if number, first, ok := multiplexed(pick(r, pick(r, spec.Syscalls).Names)); ok && a == i386 && r.IntN(2) == 0 {
		c.Number, c.Args[0] = number, first
	}
	return c
}

// TestRandomProfiles: two other readings of a profile agree with Answer: a
// plain evaluation that goes through the rules, and the program in the virtual
// machine of golang.org/x/net.
func TestRandomProfiles(t *testing.T) {
	r := newRandom(1)
	compiled, answers := 0, map[uint32]int{}
	for i := range 4000 {
		spec := r.profile()
		goarch := pick(r, []string{"amd64", "arm64"})
		result, err := Compile(spec, goarch)
		if errors.Is(err, errContradiction) || err != nil && err.Error() == tooLong().Error() {
			continue
		}
		if err != nil {
			t.Fatalf("profile %d: %v", i, err)
		}
		if err := valid(result.Filter); err != nil {
			t.Fatalf("profile %d: %v", i, err)
		}
		compiled++
		vm := machine(t, result.Filter)
		for range 40 {
			c := r.call(spec)
			got := Answer(result.Filter, c)
			if want := evaluate(spec, goarch, c); got != want {
				t.Fatalf("profile %d on %s: %+v\ncall %+v: %s, want %s", i, goarch, spec, c, Describe(got), Describe(want))
			}
			if ran := runVM(t, vm, c); ran != got {
				t.Fatalf("profile %d: call %+v: %s, run by x/net/bpf %s", i, c, Describe(got), Describe(ran))
			}
			answers[got&unix.SECCOMP_RET_ACTION_FULL]++
		}
	}
	t.Logf("%d profiles; answers by action %x", compiled, answers)
	if compiled < 3000 || len(answers) != 8 {
		t.Errorf("%d profiles only, answers of %d kinds", compiled, len(answers))
	}
}

// evaluate is a reading of a profile that has no numbers, ranges or program in
// it: the names of the call are looked for in every entry.
func evaluate(spec *specs.LinuxSeccomp, goarch string, c Call) uint32 {
	standard, _ := action("", spec.DefaultAction, "", spec.DefaultErrnoRet)
	listed := func(arch specs.Arch) bool { return slices.Contains(spec.Architectures, arch) }
	var a abi
	number := c.Number
	switch c.Arch {
	case unix.AUDIT_ARCH_X86_64:
		if goarch != "amd64" {
			return retKill
		}
		if number >= x32Bit {
			if !listed(specs.ArchX32) && number == 0xffffffff {
				return standard
			}
			if !listed(specs.ArchX32) {
				return retKill
			}
			a, number = x32, number-x32Bit
		}
	case unix.AUDIT_ARCH_I386:
		a = i386
		if goarch != "amd64" || !listed(specs.ArchX86) {
			return retKill
		}
	case unix.AUDIT_ARCH_AARCH64:
		a = arm64
		if goarch != "arm64" {
			return retKill
		}
	case unix.AUDIT_ARCH_ARM:
		a = arm
		if goarch != "arm64" || !listed(specs.ArchARM) {
			return retKill
		}
	}
	matching, newest := matches(spec, a, number, c.Args)
	if newest >= 0 && int64(number) > newest && !permits(standard) {
		return errno(unix.ENOSYS)
	}
	var best *rule
	for _, m := range matching {
		switch {
		case m.action == standard:
		case best == nil,
			len(m.conds) == 0 && len(best.conds) != 0,
			len(m.conds) != 0 && len(best.conds) != 0 && !begins(m.conds, best.conds) && precedence(m, best) < 0:
			best = m
		}
	}
	if best != nil {
		return best.action
	}
	return standard
}

// matches are the rules of a profile that match, in its order, and the highest
// number that it names.
func matches(spec *specs.LinuxSeccomp, a abi, number uint32, args [maxArgs]uint64) (list []*rule, newest int64) {
	newest = -1
	for i := range spec.Syscalls {
		entry := &spec.Syscalls[i]
		var p profile
		if bad := p.add(entry, i); bad != nil {
			panic(bad)
		}
		for _, name := range entry.Names {
			for _, n := range p.rules {
				r := n.rule
				if !a.wide() {
					r = r.narrow
				}
				if known := callNamed(name); known != nil && known.number[a] != none {
					newest = max(newest, int64(known.number[a]))
					if uint32(known.number[a]) == number && holds(r, args, a.wide()) {
						list = append(list, r)
					}
				}
				if through, first, ok := multiplexed(name); ok && a == i386 {
					newest = max(newest, int64(through))
					if r := p.through(r, first); through == number && holds(r, args, false) {
						list = append(list, r)
					}
				}
			}
		}
	}
	return list, newest
}

func holds(r *rule, args [maxArgs]uint64, wide bool) bool {
	for _, c := range r.conds {
		v := args[c.arg]
		if !wide {
			v &= 0xffffffff
		}
		if !c.matches(v) {
			return false
		}
	}
	return true
}

func machine(t *testing.T, filter []unix.SockFilter) *bpf.VM {
	t.Helper()
	program := make([]bpf.Instruction, len(filter))
	for i, ins := range filter {
		program[i] = bpf.RawInstruction{Op: ins.Code, Jt: ins.Jt, Jf: ins.Jf, K: ins.K}.Disassemble()
	}
	vm, err := bpf.NewVM(program)
	if err != nil {
		t.Fatal(err)
	}
	return vm
}

// runVM gives the machine, which loads words in network order, the call's data
// word by word in that order.
func runVM(t *testing.T, vm *bpf.VM, c Call) uint32 {
	t.Helper()
	var data []byte
	for offset := uint32(0); offset < offArgs+8*maxArgs; offset += 4 {
		data = binary.BigEndian.AppendUint32(data, c.word(offset))
	}
	ret, err := vm.Run(data)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(ret)
}

// valid is what the kernel checks before it takes a filter (seccomp_check_filter
// and bpf_check_classic), and that no instruction is out of reach.
func valid(f []unix.SockFilter) error {
	if len(f) == 0 || len(f) > maxProgram {
		return fmt.Errorf("%d instructions", len(f))
	}
	reached := make([]bool, len(f))
	reached[0] = true
	for i, ins := range f {
		if !reached[i] {
			return fmt.Errorf("instruction %d is never reached", i)
		}
		var next []int
		switch ins.Code {
		case opLoad:
			if ins.K%4 != 0 || ins.K >= offArgs+8*maxArgs {
				return fmt.Errorf("instruction %d loads from %d", i, ins.K)
			}
			next = []int{i + 1}
		case opAnd:
			next = []int{i + 1}
		case opJump:
			next = []int{i + 1 + int(ins.K)}
		case opEqual, opAbove, opAtLeast:
			next = []int{i + 1 + int(ins.Jt), i + 1 + int(ins.Jf)}
		case opReturn:
		default:
			return fmt.Errorf("instruction %d is %#x", i, ins.Code)
		}
		for _, n := range next {
			if n >= len(f) {
				return fmt.Errorf("instruction %d goes to %d of %d", i, n, len(f))
			}
			reached[n] = true
		}
	}
	return nil
}
