package seccomp

import (
	"encoding/json"
	"errors"
	"math/bits"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/coverage"
)

// profileOf parses a section as it stands in a config.json.
func profileOf(t testing.TB, text string) *specs.LinuxSeccomp {
	t.Helper()
	var spec specs.LinuxSeccomp
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return &spec
}

func docker(t testing.TB) *specs.LinuxSeccomp {
	t.Helper()
	text, err := os.ReadFile("testdata/docker.json")
	if err != nil {
		t.Fatal(err)
	}
	return profileOf(t, string(text))
}

func compile(t testing.TB, spec *specs.LinuxSeccomp, goarch string) []unix.SockFilter {
	t.Helper()
	result, err := Compile(spec, goarch)
	if err != nil {
		t.Fatal(err)
	}
	if err := valid(result.Filter); err != nil {
		t.Fatal(err)
	}
	return result.Filter
}

// on is a call by name.
func on(t testing.TB, a abi, name string, args ...uint64) Call {
	t.Helper()
	known := callNamed(name)
	if known == nil || known.number[a] == none {
		t.Fatalf("no call %s on %d", name, a)
	}
	c := Call{Number: uint32(known.number[a]), Arch: a.audit()}
	if a == x32 {
		c.Number |= x32Bit
	}
	copy(c.Args[:], args)
	return c
}

func errno(e unix.Errno) uint32 { return retErrno | uint32(e) }

func TestActions(t *testing.T) {
	for _, test := range []struct {
		action string
		want   uint32
	}{
		{`"SCMP_ACT_KILL_PROCESS"`, 0x80000000},
		{`"SCMP_ACT_KILL_THREAD"`, 0},
		{`"SCMP_ACT_KILL"`, 0},
		{`"SCMP_ACT_TRAP"`, 0x00030000},
		{`"SCMP_ACT_ERRNO"`, 0x00050001},
		{`"SCMP_ACT_ERRNO","errnoRet":0`, 0x00050000},
		{`"SCMP_ACT_ERRNO","errnoRet":4095`, 0x00050fff},
		{`"SCMP_ACT_TRACE"`, 0x7ff00001},
		{`"SCMP_ACT_TRACE","errnoRet":65535`, 0x7ff0ffff},
		{`"SCMP_ACT_ALLOW"`, 0x7fff0000},
		{`"SCMP_ACT_LOG"`, 0x7ffc0000},
		{`"SCMP_ACT_NOTIFY"`, 0x7fc00000},
	} {
		// Another default than the action: a rule for the default is none.
		standard := `"SCMP_ACT_ERRNO","defaultErrnoRet":77`
		f := compile(t, profileOf(t, `{"listenerPath":"/x","defaultAction":`+standard+`,"syscalls":[{"names":["getpid"],"action":`+test.action+`}]}`), "amd64")
		if got := Answer(f, on(t, amd64, "getpid")); got != test.want {
			t.Errorf("%s: %#x, want %#x", test.action, got, test.want)
		}
		if got := Answer(f, on(t, amd64, "read")); got != errno(77) {
			t.Errorf("%s: the default is %#x", test.action, got)
		}
		if strings.Contains(test.action, "NOTIFY") {
			continue
		}
		f = compile(t, profileOf(t, `{"defaultAction":`+strings.Replace(test.action, "errno", "defaultErrno", 1)+`}`), "amd64")
		if got := Answer(f, on(t, amd64, "getpid")); got != test.want {
			t.Errorf("default %s: %#x, want %#x", test.action, got, test.want)
		}
	}
}

func TestOperators(t *testing.T) {
	const high = 0x5_0000_0007
	for _, test := range []struct {
		op, values  string
		match, miss []uint64
	}{
		{"NE", `21474836487`, []uint64{7, high - 1, high + 1, 0x6_0000_0007}, []uint64{high}},
		{"EQ", `21474836487`, []uint64{high}, []uint64{7, high - 1, high + 1, 0x6_0000_0007, 0x5_0000_0000}},
		{"LT", `21474836487`, []uint64{0, 8, high - 1, 0x4_ffff_ffff}, []uint64{high, high + 1, 0x6_0000_0000, ^uint64(0)}},
		{"LE", `21474836487`, []uint64{0, 8, high, 0x4_ffff_ffff}, []uint64{high + 1, 0x6_0000_0000, ^uint64(0)}},
		{"GE", `21474836487`, []uint64{high, high + 1, 0x6_0000_0000, ^uint64(0)}, []uint64{0, 8, high - 1, 0x4_ffff_ffff}},
		{"GT", `21474836487`, []uint64{high + 1, 0x6_0000_0000, ^uint64(0)}, []uint64{0, 8, high, 0x4_ffff_ffff}},
		{"MASKED_EQ", `64424509455,"valueTwo":21474836487`, []uint64{high, high | 0xf0_0000_00f0}, []uint64{7, high + 1, high | 8, high | 0xf_0000_0000}},
		{"MASKED_EQ", `3,"valueTwo":255`, []uint64{3, 7, 0xffff_ffff_0000_0003}, []uint64{0, 1, 2, 4}}, // only the masked bits of the second value count
		{"GE", `0`, []uint64{0, ^uint64(0)}, nil},
		{"LT", `0`, nil, []uint64{0, ^uint64(0)}},
		{"LE", `18446744073709551615`, []uint64{0, ^uint64(0)}, nil},
		{"GT", `18446744073709551615`, nil, []uint64{0, ^uint64(0)}},
		{"LE", `4294967295`, []uint64{0xffff_ffff}, []uint64{0x1_0000_0000}},
	} {
		// Alone it is a search, beside a comparison of another argument a chain.
		for _, second := range []string{"", `,{"index":5,"value":1,"op":"SCMP_CMP_EQ"}`} {
			f := compile(t, profileOf(t, `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["getpid"],"action":"SCMP_ACT_ERRNO",
				"args":[{"index":2,"op":"SCMP_CMP_`+test.op+`","value":`+test.values+`}`+second+`]}]}`), "amd64")
			for want, values := range map[uint32][]uint64{errno(unix.EPERM): test.match, unix.SECCOMP_RET_ALLOW: test.miss} {
				for _, v := range values {
					if got := Answer(f, on(t, amd64, "getpid", 0, 0, v, 0, 0, 1)); got != want {
						t.Errorf("%s %s of %#x: %#x, want %#x", test.op, test.values, v, got, want)
					}
					if got := Answer(f, on(t, amd64, "getpid", 0, 0, v, 0, 0, 2)); second != "" && got != unix.SECCOMP_RET_ALLOW {
						t.Errorf("%s %s of %#x: the second condition is ignored", test.op, test.values, v)
					}
				}
			}
		}
	}
}

const (
	allow = unix.SECCOMP_RET_ALLOW
	kill  = unix.SECCOMP_RET_KILL_PROCESS
)

// TestSeveralRules: which of several entries for one call wins. Each was seen
// with libseccomp 2.5.4 as well (TestLikeLibseccomp has thousands).
func TestSeveralRules(t *testing.T) {
	rule := func(action, args string) string {
		return `{"names":["getpid"],"action":"SCMP_ACT_` + action + `","args":[` + args + `]}`
	}
	arg := func(index, op, value string) string {
		return `{"index":` + index + `,"op":"SCMP_CMP_` + op + `","value":` + value + `}`
	}
	for _, test := range []struct {
		name  string
		rules []string
		args  []uint64
		want  uint32
	}{
		{"the first without conditions", []string{rule("ALLOW", ""), rule("KILL_PROCESS", "")}, nil, allow},
		{"the other way round", []string{rule("KILL_PROCESS", ""), rule("ALLOW", "")}, nil, kill},
		{"one without conditions beats an earlier one with", []string{rule("KILL_PROCESS", arg("0", "EQ", "1")), rule("ALLOW", "")}, []uint64{1}, allow},
		{"and a later one", []string{rule("ALLOW", ""), rule("KILL_PROCESS", arg("0", "EQ", "1"))}, []uint64{1}, allow},
		{"one of two", []string{rule("ALLOW", arg("0", "EQ", "1")), rule("ALLOW", arg("0", "EQ", "2"))}, []uint64{2}, allow},
		{"none of two", []string{rule("ALLOW", arg("0", "EQ", "1")), rule("ALLOW", arg("0", "EQ", "2"))}, []uint64{3}, errno(unix.EPERM)},
		{"all conditions of one", []string{rule("ALLOW", arg("0", "EQ", "1")+","+arg("1", "EQ", "2"))}, []uint64{1, 3}, errno(unix.EPERM)},
		{"one argument twice: any of them", []string{rule("ALLOW", arg("0", "EQ", "1")+","+arg("0", "EQ", "2"))}, []uint64{2}, allow},
		{"and any other condition there", []string{rule("ALLOW", arg("0", "EQ", "1")+","+arg("0", "EQ", "2")+","+arg("1", "EQ", "9"))}, []uint64{7, 9}, allow},
		{"a rule for the default is none", []string{rule("ERRNO", ""), rule("ALLOW", arg("0", "EQ", "1"))}, []uint64{1}, allow},
		{"the higher argument first", []string{rule("ALLOW", arg("0", "EQ", "1")), rule("KILL_PROCESS", arg("1", "GT", "0"))}, []uint64{1, 5}, kill},
		{"equal before less", []string{rule("ALLOW", arg("0", "LT", "9")), rule("KILL_PROCESS", arg("0", "EQ", "5"))}, []uint64{5}, kill},
		{"the tighter bound", []string{rule("ALLOW", arg("0", "GT", "5")), rule("KILL_PROCESS", arg("0", "GT", "7"))}, []uint64{8}, kill},
		{"not the tighter bound", []string{rule("ALLOW", arg("0", "GT", "5")), rule("KILL_PROCESS", arg("0", "GT", "7"))}, []uint64{7}, allow},
		{"fewer conditions, earlier", []string{rule("ALLOW", arg("0", "EQ", "1")), rule("KILL_PROCESS", arg("0", "EQ", "1")+","+arg("1", "EQ", "1"))}, []uint64{1, 1}, allow},
	} {
		f := compile(t, profileOf(t, `{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[`+strings.Join(test.rules, ",")+`]}`), "amd64")
		if got := Answer(f, on(t, amd64, "getpid", test.args...)); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, Describe(got), Describe(test.want))
		}
	}
}

func TestArchitectures(t *testing.T) {
	for _, name := range []string{"X86", "X86_64", "X32", "ARM", "AARCH64"} { // programs are judged by their answers
		coverage.ShowsWrites(t, "linux.seccomp.architectures=SCMP_ARCH_"+name)
	}
	const rules = `"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read","mkdir","openat2"],"action":"SCMP_ACT_ALLOW"}]`
	both := Call{Arch: unix.AUDIT_ARCH_X86_64}
	numbered := func(n uint32) Call { c := both; c.Number = n; return c }
	for _, test := range []struct {
		archs, goarch string
		call          Call
		want          uint32
	}{
		{``, "amd64", on(t, amd64, "read"), allow},
		{``, "amd64", on(t, i386, "read"), retKill},
		{``, "amd64", on(t, x32, "read"), retKill},
		{``, "amd64", on(t, arm64, "read"), retKill},
		{``, "amd64", numbered(0xffffffff), errno(unix.EPERM)},
		{``, "amd64", numbered(x32Bit), retKill},
		{`"SCMP_ARCH_X86"`, "amd64", on(t, amd64, "read"), allow}, // the machine's own is always there
		{`"SCMP_ARCH_X86"`, "amd64", on(t, i386, "read"), allow},
		{`"SCMP_ARCH_X86"`, "amd64", on(t, i386, "mkdir"), allow},
		{`"SCMP_ARCH_X86"`, "amd64", on(t, i386, "write"), errno(unix.EPERM)},
		{`"SCMP_ARCH_X86"`, "amd64", on(t, x32, "read"), retKill},
		{`"SCMP_ARCH_X86_64","SCMP_ARCH_X32","SCMP_ARCH_X32"`, "amd64", on(t, x32, "read"), allow},
		{`"SCMP_ARCH_X86_64","SCMP_ARCH_X32"`, "amd64", on(t, x32, "write"), errno(unix.EPERM)},
		{`"SCMP_ARCH_X86_64","SCMP_ARCH_X32"`, "amd64", on(t, amd64, "read"), allow},
		{`"SCMP_ARCH_X86_64","SCMP_ARCH_X32"`, "amd64", numbered(x32Bit - 1), errno(unix.ENOSYS)},
		{`"SCMP_ARCH_X86_64","SCMP_ARCH_X32"`, "amd64", numbered(0xffffffff), errno(unix.ENOSYS)},
		{`"SCMP_ARCH_S390X","SCMP_ARCH_ARM"`, "amd64", on(t, amd64, "read"), allow}, // no such call can be made there
		{`"SCMP_ARCH_S390X","SCMP_ARCH_ARM"`, "amd64", on(t, arm, "read"), retKill},
		{``, "arm64", on(t, arm64, "read"), allow},
		{``, "arm64", on(t, arm64, "write"), errno(unix.EPERM)},
		{``, "arm64", on(t, arm, "read"), retKill},
		{`"SCMP_ARCH_ARM"`, "arm64", on(t, arm, "mkdir"), allow},
		{`"SCMP_ARCH_ARM"`, "arm64", on(t, arm, "write"), errno(unix.EPERM)},
		{`"SCMP_ARCH_ARM"`, "arm64", on(t, arm, "cacheflush"), errno(unix.ENOSYS)},
		{`"SCMP_ARCH_X86_64"`, "arm64", on(t, amd64, "read"), retKill},
	} {
		f := compile(t, profileOf(t, `{"architectures":[`+test.archs+`],`+rules+`}`), test.goarch)
		if got := Answer(f, test.call); got != test.want {
			t.Errorf("%s on %s: call %#x of %#x: %s, want %s", test.archs, test.goarch, test.call.Number, test.call.Arch, Describe(got), Describe(test.want))
		}
	}
}

// TestMultiplexed: 386 makes socket calls through socketcall too, System V IPC
// through ipc.
func TestMultiplexed(t *testing.T) {
	f := compile(t, profileOf(t, `{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86"],"syscalls":[
		{"names":["connect","shmat","semop","recv"],"action":"SCMP_ACT_ALLOW"},
		{"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"op":"SCMP_CMP_EQ","value":1}]}]}`), "amd64")
	for _, test := range []struct {
		name string
		args []uint64
		want uint32
	}{
		{"socketcall", []uint64{3}, allow},
		{"socketcall", []uint64{10}, allow},
		{"socketcall", []uint64{2}, errno(unix.EPERM)},
		{"socketcall", []uint64{1}, allow}, // a family that is not 1 cannot be seen there
		{"connect", nil, allow},
		{"bind", nil, errno(unix.EPERM)},
		{"socket", []uint64{1}, allow},
		{"socket", []uint64{2}, errno(unix.EPERM)},
		{"ipc", []uint64{21}, allow},
		{"ipc", []uint64{1}, allow},
		{"ipc", []uint64{2}, errno(unix.EPERM)},
		{"shmat", nil, allow},
		{"shmctl", nil, errno(unix.EPERM)},
	} {
		if got := Answer(f, on(t, i386, test.name, test.args...)); got != test.want {
			t.Errorf("%s%v: %s, want %s", test.name, test.args, Describe(got), Describe(test.want))
		}
	}
}

// TestNewer: calls younger than the youngest in the profile.
func TestNewer(t *testing.T) {
	const rules = `,"syscalls":[{"names":["read","clone3","no_such_call"],"action":"SCMP_ACT_LOG"}]}`
	for standard, want := range map[string]uint32{
		`"SCMP_ACT_ERRNO"`:                      errno(unix.ENOSYS),
		`"SCMP_ACT_ERRNO","defaultErrnoRet":38`: errno(unix.ENOSYS),
		`"SCMP_ACT_KILL_PROCESS"`:               errno(unix.ENOSYS),
		`"SCMP_ACT_TRAP"`:                       errno(unix.ENOSYS),
		`"SCMP_ACT_ALLOW"`:                      allow,
		`"SCMP_ACT_LOG"`:                        unix.SECCOMP_RET_LOG,
		`"SCMP_ACT_TRACE"`:                      unix.SECCOMP_RET_TRACE | 1,
		`"SCMP_ACT_ERRNO","defaultErrnoRet":0`:  errno(unix.ENOSYS),
	} {
		f := compile(t, profileOf(t, `{"defaultAction":`+standard+rules), "amd64")
		if got := Answer(f, on(t, amd64, "close_range")); got != want {
			t.Errorf("default %s: %s, want %s", standard, Describe(got), Describe(want))
		}
		if got := Answer(f, on(t, amd64, "clone3")); got != unix.SECCOMP_RET_LOG {
			t.Errorf("default %s: the youngest call in the profile: %s", standard, Describe(got))
		}
	}
	f := compile(t, profileOf(t, `{"defaultAction":"SCMP_ACT_ERRNO"}`), "amd64")
	if got := Answer(f, on(t, amd64, "clone3")); got != errno(unix.EPERM) {
		t.Errorf("a profile without calls: %s", Describe(got))
	}
}

func TestResult(t *testing.T) {
	const notify = `"syscalls":[{"names":["mkdir"],"action":"SCMP_ACT_NOTIFY"}]`
	for _, test := range []struct {
		name, text string
		flags      uint
		notify     bool
		path, data string
	}{
		{"no flags at all", `{"defaultAction":"SCMP_ACT_ALLOW"}`, 4, false, "", ""},
		{"no flags", `{"defaultAction":"SCMP_ACT_ALLOW","flags":[]}`, 0, false, "", ""},
		{"flags", `{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_TSYNC","SECCOMP_FILTER_FLAG_LOG","SECCOMP_FILTER_FLAG_SPEC_ALLOW"]}`, 6, false, "", ""},
		{"no rule that notifies", `{"defaultAction":"SCMP_ACT_ALLOW","flags":[],"listenerPath":"/x","listenerMetadata":"y"}`, 0, false, "", ""},
		{"one that does", `{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],"listenerPath":"/x","listenerMetadata":"y",` + notify + `}`, 32, true, "/x", "y"},
	} {
		got, err := Compile(profileOf(t, test.text), "amd64")
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if got.Flags != test.flags || got.Notify != test.notify || got.ListenerPath != test.path || got.ListenerMetadata != test.data {
			t.Errorf("%s: %+v", test.name, *got)
		}
	}
	for _, text := range []string{`{}`, `{"flags":[],"listenerPath":"/x"}`} {
		if got, err := Compile(profileOf(t, text), "amd64"); got != nil || err != nil {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	if got, err := Compile(nil, "amd64"); got != nil || err != nil {
		t.Errorf("no section: %v, %v", got, err)
	}
}

func TestRefused(t *testing.T) {
	entry := func(text string) string {
		return `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_ERRNO"},{` + text + `}]}`
	}
	arg := func(text string) string {
		return entry(`"names":["getpid"],"action":"SCMP_ACT_ERRNO","args":[{` + text + `}]`)
	}
	for _, test := range []struct{ text, want string }{
		{`{"defaultAction":"SCMP_ACT_NO"}`, "defaultAction: \"SCMP_ACT_NO\": unknown action"},
		{`{"syscalls":[{}]}`, "defaultAction: \"\": unknown action"},
		{`{"defaultAction":"SCMP_ACT_NOTIFY"}`, "defaultAction: \"SCMP_ACT_NOTIFY\": SCMP_ACT_NOTIFY cannot be used as default action"},
		{`{"defaultAction":"SCMP_ACT_ALLOW","defaultErrnoRet":1}`, "defaultErrnoRet: 1: SCMP_ACT_ALLOW has no errno"},
		{`{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":4096}`, "defaultErrnoRet: 4096: above 4095"},
		{`{"defaultAction":"SCMP_ACT_TRACE","defaultErrnoRet":65536}`, "defaultErrnoRet: 65536: above 65535"},
		{`{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86","SCMP_ARCH_Z80"]}`, "architectures[1]: \"SCMP_ARCH_Z80\": unknown architecture"},
		{`{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_LOG","X"]}`, "flags[1]: \"X\": unknown flag"},
		{`{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]}`, "flags[0]: \"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV\": needs a rule with SCMP_ACT_NOTIFY"},
		{entry(`"names":["read"]`), "syscalls[1].action: \"\": unknown action"},
		{entry(`"action":"SCMP_ACT_ERRNO"`), "syscalls[1].names: missing"},
		{entry(`"names":["read",""],"action":"SCMP_ACT_ERRNO"`), `syscalls[1].names[1]: "": must not be empty`},
		{entry(`"names":["read"],"action":"SCMP_ACT_KILL","errnoRet":5`), "syscalls[1].errnoRet: 5: SCMP_ACT_KILL has no errno"},
		{entry(`"names":["read"],"action":"SCMP_ACT_NOTIFY"`), "listenerPath: missing"},
		{entry(`"names":["write"],"action":"SCMP_ACT_NOTIFY"`), "syscalls[1].names[0]: \"write\": SCMP_ACT_NOTIFY cannot be used for the write syscall"},
		{arg(`"index":6,"op":"SCMP_CMP_EQ"`), "syscalls[1].args[0].index: 6: not between 0 and 5"},
		{arg(`"index":0,"op":"SCMP_CMP_IS"`), "syscalls[1].args[0].op: \"SCMP_CMP_IS\": unknown operator"},
		{`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
			{"names":["getpid"],"action":"SCMP_ACT_ERRNO","args":[{"index":0,"op":"SCMP_CMP_EQ","value":1}]},
			{"names":["getuid","getpid"],"action":"SCMP_ACT_LOG","args":[{"index":0,"op":"SCMP_CMP_EQ","value":1}]}]}`,
			"syscalls[1]: contradicts syscalls[0]: another action for the same call and arguments"},
	} {
		_, err := Compile(profileOf(t, test.text), "amd64")
		if err == nil {
			t.Errorf("%s: accepted", test.text)
			continue
		}
		// Other errors may follow from the one that is meant.
		if first, _, _ := strings.Cut(err.Error(), "\n"); first != test.want {
			t.Errorf("%s:\n got %v\nwant %s", test.text, err, test.want)
		}
		if bad := (*PropertyError)(nil); !errors.As(err, &bad) {
			t.Errorf("%s: %T", test.text, err)
		}
	}
	if _, err := Compile(profileOf(t, `{"defaultAction":"SCMP_ACT_ALLOW"}`), "mips"); err == nil {
		t.Error("mips was accepted")
	}
}

// TestTooLong: what does not fit into the kernel's 4096 instructions.
func TestTooLong(t *testing.T) {
	spec := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow}
	for i := range 2000 {
		spec.Syscalls = append(spec.Syscalls, specs.LinuxSyscall{Names: []string{"getpid"}, Action: specs.ActErrno, Args: []specs.LinuxSeccompArg{
			{Index: 0, Op: specs.OpEqualTo, Value: uint64(i)}, {Index: 1, Op: specs.OpEqualTo, Value: uint64(i) << 33},
		}})
	}
	if _, err := Compile(spec, "amd64"); err == nil || err.Error() != tooLong().Error() {
		t.Errorf("2000 rules for a call: %v", err)
	}
	spec.Syscalls = spec.Syscalls[:400] // 3200 instructions and long jumps
	f := compile(t, spec, "amd64")
	for i := range uint64(400) {
		if got := Answer(f, on(t, amd64, "getpid", i, i<<33)); got != errno(unix.EPERM) {
			t.Fatalf("rule %d of 400: %s", i, Describe(got))
		}
		if got := Answer(f, on(t, amd64, "getpid", i, i<<33+1)); got != allow {
			t.Fatalf("beside rule %d of 400: %s", i, Describe(got))
		}
	}
}

// TestManyRules: what takes long to think about is refused soon, or done.
func TestManyRules(t *testing.T) {
	var names []string
	for _, c := range calls {
		names = append(names, c.name)
	}
	entry := func(i int) specs.LinuxSyscall {
		return specs.LinuxSyscall{Names: names, Action: specs.ActErrno, Args: []specs.LinuxSeccompArg{
			{Index: 0, Op: specs.OpEqualTo, Value: uint64(2 * i)}, {Index: 1, Op: specs.OpEqualTo, Value: uint64(i)},
		}}
	}
	for _, test := range []struct {
		name    string
		rules   int
		change  func(i int, e *specs.LinuxSyscall)
		refused bool
	}{
		{"a thousand for each call", 1000, func(int, *specs.LinuxSyscall) {}, true},
		{"others for each call", 2000, func(i int, e *specs.LinuxSyscall) { e.Names = names[i%len(names):] }, true},
		{"the same many times", 300, func(_ int, e *specs.LinuxSyscall) { e.Args = e.Args[:1]; e.Args[0].Value = 1 }, false},
		{"without conditions", 300, func(_ int, e *specs.LinuxSyscall) { e.Args = nil }, false},
	} {
		spec := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: []specs.Arch{specs.ArchX86, specs.ArchX32}}
		for i := range test.rules {
			e := entry(i)
			test.change(i, &e)
			spec.Syscalls = append(spec.Syscalls, e)
		}
		start := time.Now()
		_, err := Compile(spec, "amd64")
		if (err != nil) != test.refused {
			t.Errorf("%s: %v", test.name, err)
		}
		d := time.Since(start)
		t.Logf("%s: %v", test.name, d)
		if d > 10*time.Second {
			t.Errorf("%s: took %v", test.name, d)
		}
	}
}

func TestLists(t *testing.T) {
	for name, list := range map[string][]string{"actions": Actions(), "operators": Operators(), "architectures": Architectures(), "flags": Flags()} {
		if !slices.IsSorted(list) || len(list) < 4 {
			t.Errorf("%s: %v", name, list)
		}
	}
	if !slices.IsSortedFunc(calls[:], func(a, b call) int { return strings.Compare(a.name, b.name) }) {
		t.Error("calls are not sorted")
	}
}

// TestDockerBound holds what docs/seccomp.md says about docker's profile.
func TestDockerBound(t *testing.T) {
	for goarch, want := range map[string]struct{ size, path int }{"amd64": {318, 12}, "arm64": {249, 13}} {
		spec := docker(t)
		if goarch == "arm64" {
			spec.Architectures = []specs.Arch{specs.ArchAARCH64, specs.ArchARM}
		}
		f := compile(t, spec, goarch)
		path := longestPath(f)
		t.Logf("%s: %d instructions, at most %d on a path without arguments", goarch, len(f), path)
		if len(f) > want.size || path > want.path {
			t.Errorf("%s: %d instructions, %d on a path; want %d and %d at most", goarch, len(f), path, want.size, want.path)
		}
	}
}

// looksAtArgs reports whether a call's answer depends on its arguments. Calls
// that are always allowed are none of a program's cost: the kernel remembers
// them (seccomp_is_const_allow).
func looksAtArgs(filter []unix.SockFilter, c Call) bool {
	blind := slices.Clone(filter)
	for i, ins := range blind {
		if ins.Code == opLoad && ins.K >= offArgs {
			blind[i] = unix.SockFilter{Code: opReturn, K: 1}
		}
	}
	return Answer(blind, c) == 1
}

// TestAllowedAtOnce: calls that docker's profile allows in any case are
// answered by architecture and number alone, so that the kernel need not ask
// about them again.
func TestAllowedAtOnce(t *testing.T) {
	spec := docker(t)
	f := compile(t, spec, "amd64")
	for _, a := range []abi{amd64, i386, x32} {
		for _, name := range spec.Syscalls[0].Names {
			if known := callNamed(name); known == nil || known.number[a] == none {
				continue
			}
			if c := on(t, a, name); Answer(f, c) != allow || looksAtArgs(f, c) {
				t.Errorf("%s on %d: %s", name, a, Describe(Answer(f, c)))
			}
		}
	}
}

// TestBound holds the bound of docs/seccomp.md for any profile: two loads, two
// architectures, the answer, and for each level of a balanced search among the
// ranges a comparison and at worst a long jump.
func TestBound(t *testing.T) {
	random, compiled := newRandom(7), 0
	for range 300 {
		spec := random.profile()
		result, err := Compile(spec, "amd64")
		if err != nil {
			continue
		}
		p, _ := parseProfile(spec)
		native, others, bad := architectures(spec.Architectures, "amd64")
		if len(bad) > 0 {
			t.Fatal(bad)
		}
		root, err := p.decide(native, others)
		if err != nil {
			t.Fatal(err)
		}
		ranges := 1
		for _, b := range root {
			ranges = max(ranges, len(b.then.ranges))
		}
		limit := 5 + 2*bits.Len(uint(ranges-1)) // the logarithm, rounded up
		if path := longestPath(result.Filter); path > limit {
			t.Errorf("%d instructions on a path of %d ranges, want %d at most", path, ranges, limit)
		}
		compiled++
	}
	if compiled < 100 {
		t.Errorf("%d profiles only", compiled)
	}
}

// longestPath is the most instructions that run for a call whose arguments are
// never looked at.
func longestPath(f []unix.SockFilter) int {
	length := make([]int, len(f)) // from here to an answer; -1: an argument is loaded
	for i := len(f) - 1; i >= 0; i-- {
		switch ins := f[i]; ins.Code {
		case opReturn:
			length[i] = 1
		case opLoad:
			length[i] = length[i+1]
			if ins.K >= offArgs {
				length[i] = -1
			}
		case opJump:
			length[i] = length[i+1+int(ins.K)]
		case opAnd:
			length[i] = length[i+1]
		default:
			length[i] = max(length[i+1+int(ins.Jt)], length[i+1+int(ins.Jf)])
		}
		if f[i].Code != opReturn && length[i] >= 0 {
			length[i]++
		}
	}
	return length[0]
}

func BenchmarkCompileDocker(b *testing.B) {
	spec := docker(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Compile(spec, runtime.GOARCH); err != nil {
			b.Fatal(err)
		}
	}
}

func TestDescribe(t *testing.T) {
	for answer, want := range map[uint32]string{
		allow: "SCMP_ACT_ALLOW", kill: "SCMP_ACT_KILL_PROCESS", retKill: "SCMP_ACT_KILL",
		errno(unix.EPERM): "SCMP_ACT_ERRNO (EPERM)", errno(4000): "SCMP_ACT_ERRNO (4000)",
		unix.SECCOMP_RET_TRACE | 7: "SCMP_ACT_TRACE (7)", unix.SECCOMP_RET_LOG: "SCMP_ACT_LOG",
		retNotify: "SCMP_ACT_NOTIFY", unix.SECCOMP_RET_TRAP: "SCMP_ACT_TRAP", 0x12340000: "0x12340000",
	} {
		if got := Describe(answer); got != want {
			t.Errorf("%#x: %s, want %s", answer, got, want)
		}
		if want := answer == allow || answer == unix.SECCOMP_RET_LOG; Permits(answer) != want {
			t.Errorf("%s: permitted: %v", Describe(answer), !want)
		}
	}
	if got := Answer([]unix.SockFilter{{Code: unix.BPF_MISC}}, Call{}); got != kill {
		t.Errorf("a program of another kind: %s", Describe(got))
	}
}
