package devcg

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf/asm"
	_ "github.com/opencontainers/cgroups/devices" // what runc has for the same
	devices "github.com/opencontainers/cgroups/devices/config"
	"golang.org/x/sys/unix"
)

// The library keeps these for itself.
//
//go:linkname libraryFilter github.com/opencontainers/cgroups/devices.deviceFilter
func libraryFilter(rules []*devices.Rule) (asm.Instructions, string, error)

//go:linkname libraryFromRules github.com/opencontainers/cgroups/devices.buildEmulator
func libraryFromRules(rules []*devices.Rule) (unsafe.Pointer, error)

//go:linkname libraryFromList github.com/opencontainers/cgroups/devices.emulatorFromList
func libraryFromList(list io.Reader) (unsafe.Pointer, error)

//go:linkname libraryLines github.com/opencontainers/cgroups/devices.(*emulator).Transition
func libraryLines(have, want unsafe.Pointer) ([]*devices.Rule, error)

// request is struct bpf_cgroup_dev_ctx.
type request struct{ typ, access, major, minor uint32 }

// run is a machine for the few instructions that both programs consist of.
func run(t testing.TB, program []instruction, r request) bool {
	t.Helper()
	var reg [11]uint64
	memory := [...]uint32{r.access<<16 | r.typ, r.major, r.minor}
	for at := 0; ; at++ {
		i := program[at]
		to, from := i.registers&0xf, i.registers>>4
		operand := uint64(int64(i.value))
		if i.code&unix.BPF_X != 0 {
			operand = reg[from]
		}
		class, operation := i.code&7, i.code&0xf0
		left := reg[to]
		switch class {
		case unix.BPF_ALU, unix.BPF_JMP32:
			left, operand = uint64(uint32(left)), uint64(uint32(operand))
		}
		switch {
		case i.code == unix.BPF_JMP|unix.BPF_EXIT:
			return reg[0] != 0
		case i.code == unix.BPF_LDX|unix.BPF_MEM|unix.BPF_W && from == 1:
			reg[to] = uint64(memory[i.offset/4])
		case class == unix.BPF_ALU && operation == unix.BPF_MOV:
			reg[to] = operand
		case class == unix.BPF_ALU && operation == unix.BPF_AND:
			reg[to] = left & operand
		case class == unix.BPF_ALU && operation == unix.BPF_RSH:
			reg[to] = uint64(uint32(left) >> operand)
		case (class == unix.BPF_JMP || class == unix.BPF_JMP32) && (operation == unix.BPF_JNE || operation == unix.BPF_JEQ):
			if (left == operand) == (operation == unix.BPF_JEQ) {
				at += int(i.offset)
			}
		default:
			t.Fatalf("instruction %d: %+v", at, i)
		}
	}
}

func libraryProgram(t testing.TB, rules []*devices.Rule) ([]instruction, error) {
	t.Helper()
	list, _, err := libraryFilter(rules)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := list.Marshal(&text, binary.LittleEndian); err != nil {
		t.Fatal(err)
	}
	var program []instruction
	for b := range slices.Chunk(text.Bytes(), 8) {
		program = append(program, instruction{b[0], b[1], int16(binary.LittleEndian.Uint16(b[2:])), int32(binary.LittleEndian.Uint32(b[4:]))})
	}
	return program, nil
}

var letters = []struct {
	letter string
	bit    uint32
}{{"r", unix.BPF_DEVCG_ACC_READ}, {"w", unix.BPF_DEVCG_ACC_WRITE}, {"m", unix.BPF_DEVCG_ACC_MKNOD}}

// plainly is what the rules say in the plainest sense: each access is as the
// last rule for it says, and denied if there is none.
func plainly(rules []*devices.Rule, r request) bool {
	for _, l := range letters {
		if r.access&l.bit == 0 {
			continue
		}
		allowed := false
		for _, rule := range rules {
			typ := rule.Type == devices.WildcardDevice || (rule.Type == devices.BlockDevice) == (r.typ == unix.BPF_DEVCG_DEV_BLOCK)
			if typ && strings.Contains(string(rule.Permissions), l.letter) && fits(rule.Major, r.major) && fits(rule.Minor, r.minor) {
				allowed = rule.Allow
			}
		}
		if !allowed {
			return false
		}
	}
	return true
}

func fits(number int64, asked uint32) bool {
	return number == devices.Wildcard || number == int64(asked)
}

// requests are all that can be told apart by rules of numbers up to 3.
func requests(yield func(request) bool) {
	for _, typ := range []uint32{unix.BPF_DEVCG_DEV_BLOCK, unix.BPF_DEVCG_DEV_CHAR} {
		for access := uint32(1); access < 8; access++ {
			for number := range uint32(25) {
				if !yield(request{typ, access, number / 5, number % 5}) {
					return
				}
			}
		}
	}
}

// randomRules takes rules from random bytes, so that fuzzing can.
func randomRules(data []byte) []*devices.Rule {
	var list []*devices.Rule
	for ; len(data) >= 2 && len(list) < 12; data = data[2:] {
		rule := &devices.Rule{Allow: data[0]&1 != 0, Type: devices.CharDevice, Major: int64(data[0]>>2&3) - 1, Minor: int64(data[0]>>4&3) - 1}
		if data[0]&2 != 0 {
			rule.Type = devices.BlockDevice
		}
		for i, l := range letters {
			if data[1]>>i&1 != 0 {
				rule.Permissions += devices.Permissions(l.letter)
			}
		}
		if data[1]>>3 < 3 || rule.Permissions == "" {
			*rule = devices.Rule{Allow: rule.Allow, Type: devices.WildcardDevice, Major: devices.Wildcard, Minor: devices.Wildcard, Permissions: "rwm"}
		}
		list = append(list, rule)
	}
	return list
}

func show(rules []*devices.Rule) string {
	var text strings.Builder
	for _, rule := range rules {
		fmt.Fprintf(&text, "%c %s; ", map[bool]rune{true: '+', false: '-'}[rule.Allow], rule.CgroupString())
	}
	return text.String()
}

// mayBeStricter reports whether mocker may deny what the library allows. The
// library denies an access, where all else is allowed, only if all of it is
// denied; and of what had been allowed in particular nothing ends by a rule
// that denies more.
func mayBeStricter(rules []*devices.Rule, p policy, r request) bool {
	if p.allow {
		return r.access&(r.access-1) != 0
	}
	return !plainly(rules, r)
}

// checkPrograms holds mocker's program against the library's and the rules
// themselves.
func checkPrograms(t testing.TB, rules []*devices.Rule) (compared, stricter int) {
	t.Helper()
	theirs, theirErr := libraryProgram(t, rules)
	p, err := compile(rules)
	if err != nil {
		// Then the library has the same error, or ignores a rule.
		if !strings.Contains(err.Error(), "no exceptions from exceptions") {
			t.Fatalf("%s: %v", show(rules), err)
		}
		if theirErr == nil && !ignores(t, rules) {
			t.Fatalf("%s: %v, which the library can express", show(rules), err)
		}
		return 0, 0
	}
	if theirErr != nil && !strings.Contains(theirErr.Error(), "cannot punch hole") {
		t.Fatalf("%s: the library: %v", show(rules), theirErr)
	}
	ours := p.program()
	for r := range requests {
		got := run(t, ours, r)
		if got && !plainly(rules, r) {
			t.Fatalf("%s: %+v is allowed", show(rules), r)
		}
		if got != model(p, r) {
			t.Fatalf("%s: %+v: %t, and not so on v1", show(rules), r, got)
		}
		if theirErr != nil {
			continue
		}
		compared++
		if want := run(t, theirs, r); got != want {
			stricter++
			if got || !mayBeStricter(rules, p, r) {
				t.Fatalf("%s: %+v: %t, by the library %t", show(rules), r, got, want)
			}
		}
	}
	return compared, stricter
}

// ignores reports whether the library, with the rules up to one of them,
// allows what they deny.
func ignores(t testing.TB, rules []*devices.Rule) bool {
	for n := range rules {
		program, err := libraryProgram(t, rules[:n+1])
		if err != nil {
			return false
		}
		for r := range requests {
			if run(t, program, r) && !plainly(rules[:n+1], r) {
				return true
			}
		}
	}
	return false
}

// model is __devcgroup_check_permission of the kernel's
// security/device_cgroup.c: a whole access has to be in an exception that
// allows, and some of it in one that denies.
func model(p policy, r request) bool {
	for _, x := range p.exceptions {
		if (x.typ == devices.BlockDevice) != (r.typ == unix.BPF_DEVCG_DEV_BLOCK) || !fits(x.major, r.major) || !fits(x.minor, r.minor) {
			continue
		}
		var access uint32
		for _, l := range letters {
			if strings.Contains(string(x.access), l.letter) {
				access |= l.bit
			}
		}
		if !p.allow && r.access&^access == 0 || p.allow && r.access&access != 0 {
			return !p.allow
		}
	}
	return p.allow
}

// fake is a cgroup of v1 (devcgroup_update_access in device_cgroup.c) whose
// parent may do all.
type fake struct {
	allow      bool
	exceptions []exception
}

func (f *fake) write(t testing.TB, file, text string) {
	t.Helper()
	allow := file == allowFile
	if text == all {
		*f = fake{allow: allow}
		return
	}
	e, err := parseLine(text)
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(f.exceptions, func(x exception) bool { return x.nodes == e.nodes })
	switch {
	case allow != f.allow && at < 0:
		f.exceptions = append(f.exceptions, e)
	case allow != f.allow:
		f.exceptions[at].access = f.exceptions[at].access.Union(e.access)
	case at >= 0:
		f.exceptions[at].access = f.exceptions[at].access.Difference(e.access)
		f.exceptions = slices.DeleteFunc(f.exceptions, func(x exception) bool { return x.access == "" })
	}
}

func (f *fake) list() string {
	if f.allow {
		return all + "\n"
	}
	var text strings.Builder
	for _, x := range f.exceptions {
		fmt.Fprintln(&text, x)
	}
	return text.String()
}

// checkLists turns one set of rules into another, as mocker does and as the
// library does, and wants the same of both in devices.list.
func checkLists(t testing.TB, before, after []*devices.Rule) (compared int) {
	t.Helper()
	var ours, theirs fake
	for _, rules := range [][]*devices.Rule{before, after} {
		want, err := compile(rules)
		theirWant, theirErr := libraryFromRules(rules)
		if err != nil || theirErr != nil {
			return 0 // checkPrograms knows whether that is right
		}
		have, err := parse(ours.list())
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range have.lines(want) {
			ours.write(t, l.file, l.text)
		}
		theirHave, err := libraryFromList(strings.NewReader(theirs.list()))
		if err != nil {
			t.Fatal(err)
		}
		lines, err := libraryLines(theirHave, theirWant)
		if err != nil {
			t.Fatal(err)
		}
		for _, rule := range lines {
			theirs.write(t, map[bool]string{true: allowFile, false: denyFile}[rule.Allow], rule.CgroupString())
		}
		// What is denied is not in devices.list, and has to be the same as well.
		if ours.allow != want.allow || !slices.Equal(sorted(ours.exceptions), sorted(want.exceptions)) {
			t.Fatalf("%sthen %s: %s", show(before), show(after), ours.list())
		}
		same := ours.allow == theirs.allow && slices.Equal(sorted(ours.exceptions), sorted(theirs.exceptions))
		if !same && !widelyDenied(rules) {
			t.Fatalf("%sthen %s:\n%sby the library\n%s", show(before), show(after), ours.list(), theirs.list())
		}
		if same {
			compared++
		}
	}
	return compared
}

func sorted(list []exception) []string {
	var texts []string
	for _, x := range list {
		texts = append(texts, x.String())
	}
	slices.Sort(texts)
	return texts
}

// widelyDenied reports whether rules deny at once more than one device, what
// the library gets wrong: it leaves those of them allowed that had been
// allowed by rules of their own.
func widelyDenied(rules []*devices.Rule) bool {
	return slices.ContainsFunc(rules, func(rule *devices.Rule) bool {
		return !rule.Allow && rule.Type != devices.WildcardDevice && (rule.Major == devices.Wildcard || rule.Minor == devices.Wildcard)
	})
}

func FuzzRules(f *testing.F) {
	f.Add([]byte{0, 0, 0x35, 0xff}, []byte{1, 0, 0x36, 0xff})
	f.Fuzz(func(t *testing.T, before, after []byte) {
		checkPrograms(t, randomRules(before))
		checkLists(t, randomRules(before), randomRules(after))
	})
}

// TestAsTheLibrary has many lists of rules, always the same.
func TestAsTheLibrary(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	list := func() []*devices.Rule {
		data := make([]byte, 2*random.IntN(9))
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		return randomRules(data)
	}
	var requests, stricter, lists int
	for range 1500 {
		before, after := list(), list()
		all, some := checkPrograms(t, before)
		requests += all
		stricter += some
		lists += checkLists(t, before, after)
	}
	t.Logf("%d answers compared, %d of which are stricter; %d lists", requests, stricter, lists)
	if requests < 300_000 || stricter > requests/10 || lists < 2000 {
		t.Error("that compares too little")
	}
}
