package seccomp

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// libseccomp is a helper process that compiles with Debian's libseccomp.
type libseccomp struct {
	in  io.Writer
	out *bufio.Reader
}

func startLibseccomp(t testing.TB) *libseccomp {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("the helper speaks of amd64")
	}
	for _, need := range []string{"/usr/bin/gcc", "/usr/include/seccomp.h", "/usr/include/stdlib.h"} {
		if _, err := os.Stat(need); err != nil {
			t.Skipf("%s is not on this machine", need)
		}
	}
	binary := filepath.Join(t.TempDir(), "libseccomp")
	if out, err := exec.Command("gcc", "-Wall", "-o", binary, "testdata/libseccomp.c", "-lseccomp").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := exec.Command(binary)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the helper: %v", err)
		}
	})
	return &libseccomp{in, bufio.NewReader(out)}
}

// operators are enum scmp_compare of seccomp.h.
var scmpOperators = map[specs.LinuxSeccompOperator]int{
	specs.OpNotEqual: 1, specs.OpLessThan: 2, specs.OpLessEqual: 3, specs.OpEqualTo: 4,
	specs.OpGreaterEqual: 5, specs.OpGreaterThan: 6, specs.OpMaskedEqual: 7,
}

// compile does with a profile what runc does (libcontainer/seccomp of runc
// 1.5, matchCall), but for its stub that answers ENOSYS for newer calls.
func (l *libseccomp) compile(t testing.TB, spec *specs.LinuxSeccomp) ([]unix.SockFilter, error) {
	t.Helper()
	standard, _ := action("", spec.DefaultAction, "", spec.DefaultErrnoRet)
	var text strings.Builder
	fmt.Fprintf(&text, "new %x\n", standard)
	for _, arch := range spec.Architectures {
		if token, ok := map[specs.Arch]uint32{specs.ArchX86: unix.AUDIT_ARCH_I386, specs.ArchX32: 0x4000003e}[arch]; ok {
			fmt.Fprintf(&text, "arch %x\n", token)
		}
	}
	for _, entry := range spec.Syscalls {
		ret, _ := action("", entry.Action, "", entry.ErrnoRet)
		if ret == standard {
			continue
		}
		for _, name := range entry.Names {
			if unknownToLibseccomp(name) {
				continue
			}
			args, twice := "", false
			for i, a := range entry.Args {
				arg := fmt.Sprintf(" %x %x %x %x", a.Index, scmpOperators[a.Op], a.Value, a.ValueTwo)
				twice = twice || slices.ContainsFunc(entry.Args[:i], func(b specs.LinuxSeccompArg) bool { return a.Index == b.Index })
				args += arg
			}
			if !twice {
				fmt.Fprintf(&text, "rule %x %s %x%s\n", ret, name, len(entry.Args), args)
				continue
			}
			for _, a := range entry.Args {
				fmt.Fprintf(&text, "rule %x %s 1 %x %x %x %x\n", ret, name, a.Index, scmpOperators[a.Op], a.Value, a.ValueTwo)
			}
		}
	}
	if _, err := io.WriteString(l.in, text.String()+"end\n"); err != nil {
		t.Fatal(err)
	}
	var head struct {
		Failed int32
		Count  uint32
	}
	if err := binary.Read(l.out, binary.LittleEndian, &head); err != nil {
		t.Fatal(err)
	}
	filter := make([]unix.SockFilter, head.Count)
	if err := binary.Read(l.out, binary.LittleEndian, filter); err != nil {
		t.Fatal(err)
	}
	if head.Failed != 0 {
		return nil, unix.Errno(-head.Failed)
	}
	return filter, nil
}

// TestLikeLibseccomp: what libseccomp makes of random profiles gives the same
// answers. Left out are calls that are newer than the profile, which runc
// answers before libseccomp's program is asked, and what tame says.
func TestLikeLibseccomp(t *testing.T) {
	l := startLibseccomp(t)
	r := newRandom(3)
	r.names = slices.DeleteFunc(r.names, unknownToLibseccomp)
	compared, contradictions := 0, 0
	for i := range 1200 {
		spec := r.profile()
		tame(spec)
		theirs, theirErr := l.compile(t, spec)
		result, err := Compile(spec, "amd64")
		if errors.Is(err, errContradiction) && errors.Is(theirErr, unix.EEXIST) {
			contradictions++
			continue
		}
		if err != nil || theirErr != nil {
			t.Fatalf("profile %d: %v, libseccomp says %v\n%+v", i, err, theirErr, spec)
		}
		for range 40 {
			c := r.call(spec)
			if newer(spec, c) {
				continue
			}
			compared++
			if got, want := Answer(result.Filter, c), Answer(theirs, c); got != want {
				t.Fatalf("profile %d: %+v\ncall %+v: %s, libseccomp %s", i, spec, c, Describe(got), Describe(want))
			}
		}
	}
	t.Logf("%d calls compared, %d contradictions refused by both", compared, contradictions)
	if compared < 20000 || contradictions == 0 {
		t.Error("too few")
	}
}

// TestDockerLikeLibseccomp: each number up to 700, and a few arguments, under
// docker's profile.
func TestDockerLikeLibseccomp(t *testing.T) {
	l := startLibseccomp(t)
	spec := docker(t)
	// What libseccomp does not know it ignores, as runc has it, and answers
	// with the default.
	for i := range spec.Syscalls {
		spec.Syscalls[i].Names = slices.DeleteFunc(spec.Syscalls[i].Names, unknownToLibseccomp)
	}
	theirs, err := l.compile(t, spec)
	if err != nil {
		t.Fatal(err)
	}
	filter := compile(t, spec, "amd64")
	most, mostTheirs := 0, 0
	for _, a := range []abi{amd64, x32, i386} {
		for number := range uint32(700) {
			c := Call{Number: number, Arch: a.audit()}
			if a == x32 {
				c.Number |= x32Bit
			}
			young := newer(spec, c)
			for _, arg := range []uint64{0, 1, 8, 37, 38, 39, 40, 45, 46, 0x20000, 0x20008, 0x10000000, 0x7e020000, 0xffffffff, 0x1_0000_0000, 0x1_0000_0001} {
				c.Args[0] = arg
				if !a.wide() {
					c.Args[0] &= 0xffffffff
				}
				if got, want := Answer(filter, c), Answer(theirs, c); got != want && !young {
					t.Fatalf("call %#x of %#x, %#x: %s, libseccomp %s", c.Number, c.Arch, arg, Describe(got), Describe(want))
				}
				_, ours := run(filter, c)
				_, their := run(theirs, c)
				if got := Answer(filter, c); ours > their && (got != allow || looksAtArgs(filter, c)) {
					t.Errorf("call %#x of %#x, %#x: %d instructions, of libseccomp %d", c.Number, c.Arch, arg, ours, their)
				}
				most, mostTheirs = max(most, ours), max(mostTheirs, their)
			}
		}
	}
	t.Logf("%d instructions, of which %d run at most; of libseccomp %d and %d", len(filter), most, len(theirs), mostTheirs)
}

// tame takes out of a profile what libseccomp 2.5.4 compiles wrongly, seen in
// its programs:
//   - where a rule misses at the low word of an argument, or at its second
//     argument, the next rule for the call compares what is in the accumulator
//     with what it expects to be another word: so there is one rule with
//     conditions for a call, or several that compare one argument for equality
//     (which all that go through socketcall or ipc do), or each another one;
//   - a program may look for the number in the architecture, before it has
//     loaded it, if the profile begins with a call that only some have;
//   - on 386, "less or equal" behind another condition is inverted.
func tame(spec *specs.LinuxSeccomp) {
	spec.Architectures = slices.DeleteFunc(spec.Architectures, func(a specs.Arch) bool { return a == specs.ArchARM || a == specs.ArchAARCH64 })
	withX32 := slices.Contains(spec.Architectures, specs.ArchX32)
	with386 := slices.Contains(spec.Architectures, specs.ArchX86)
	seen := map[string][]specs.LinuxSeccompArg{} // the conditions for each call so far
	for i := range spec.Syscalls {
		entry := &spec.Syscalls[i]
		if len(entry.Args) > 1 {
			entry.Args = slices.DeleteFunc(entry.Args, func(a specs.LinuxSeccompArg) bool { return a.Op == specs.OpLessEqual })
		}
		entry.Names = slices.DeleteFunc(entry.Names, func(name string) bool {
			known := callNamed(name)
			if known == nil || known.number[amd64] == none || withX32 && known.number[x32] == none || with386 && known.number[i386] == none {
				return true
			}
			if len(entry.Args) == 0 {
				return false
			}
			if _, _, ok := multiplexed(name); with386 && (ok || name == "socketcall" || name == "ipc") {
				return true
			}
			before := seen[name]
			seen[name] = append(before, entry.Args...)
			equal := func(a specs.LinuxSeccompArg) bool {
				return a.Index == entry.Args[0].Index && a.Op == specs.OpEqualTo
			}
			another := func(a specs.LinuxSeccompArg) bool { return a.Index != entry.Args[0].Index }
			if len(before) == 0 || len(entry.Args) == 1 && (all(seen[name], equal) || all(before, another)) {
				return false
			}
			seen[name] = before
			return true
		})
		if len(entry.Names) == 0 {
			entry.Names = []string{"getpid"}
			entry.Args = nil
		}
	}
}

func all[T any](list []T, fits func(T) bool) bool {
	return !slices.ContainsFunc(list, func(x T) bool { return !fits(x) })
}

// newer reports whether a call is above all of its ABI that the profile names.
func newer(spec *specs.LinuxSeccomp, c Call) bool {
	a := amd64
	number := c.Number
	switch {
	case c.Arch == unix.AUDIT_ARCH_I386:
		a = i386
	case number >= x32Bit:
		a, number = x32, number-x32Bit
	}
	_, newest := matches(spec, a, number, c.Args)
	return int64(number) > newest
}

func unknownToLibseccomp(name string) bool {
	return name == "riscv_hwprobe" || slices.Contains([]string{
		"file_getattr", "file_setattr", "getxattrat", "listmount", "listns", "listxattrat", "lsm_get_self_attr",
		"lsm_list_modules", "lsm_set_self_attr", "mseal", "open_tree_attr", "removexattrat", "rseq_slice_yield",
		"setxattrat", "statmount", "uprobe", "uretprobe",
	}, name)
}
