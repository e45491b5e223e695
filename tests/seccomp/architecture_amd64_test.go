package seccomp

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/coverage"
	"github.com/mocker-runtime/mocker/tests/drive"
)

// Programs that make the directory /made and exit with the errno, 0 if there is
// none. The address of the name is at the offset that name gives.
var (
	calls32 = struct {
		code []byte
		name int
	}{[]byte("\xb8\x27\x00\x00\x00" + // mov eax, 39
		"\xbb\x00\x00\x00\x00" + // mov ebx, name
		"\xb9\xc0\x01\x00\x00" + // mov ecx, 0700
		"\xcd\x80" + // int 0x80
		"\xf7\xd8\x89\xc3" + // ebx = -eax
		"\xb8\x01\x00\x00\x00\xcd\x80"), 6} // exit
	callsX32 = struct {
		code []byte
		name int
	}{[]byte("\xb8\x53\x00\x00\x40" + // mov eax, 0x40000053
		"\xbf\x00\x00\x00\x00" + // mov edi, name
		"\xbe\xc0\x01\x00\x00" + // mov esi, 0700
		"\x0f\x05" + // syscall
		"\xf7\xd8\x89\xc7" + // edi = -eax
		"\xb8\x3c\x00\x00\x00\x0f\x05"), 6} // exit, as amd64 has it
)

const origin = 0x400000 // where the programs are loaded

// elf32 and elf64 are the smallest files that the kernel executes (elf(5)).
func elf32() []byte {
	const head = 52 + 32
	text := programOf(calls32.code, calls32.name, head)
	var b bytes.Buffer
	b.WriteString("\x7fELF\x01\x01\x01" + string(make([]byte, 9)))
	write(&b, uint16(2), uint16(3), uint32(1), uint32(origin+head), uint32(52), uint32(0), uint32(0), uint16(52), uint16(32), uint16(1), [6]byte{})
	size := uint32(head + len(text))
	write(&b, uint32(1), uint32(0), uint32(origin), uint32(origin), size, size, uint32(5), uint32(4096))
	return append(b.Bytes(), text...)
}

func elf64() []byte {
	const head = 64 + 56
	text := programOf(callsX32.code, callsX32.name, head)
	var b bytes.Buffer
	b.WriteString("\x7fELF\x02\x01\x01" + string(make([]byte, 9)))
	write(&b, uint16(2), uint16(62), uint32(1), uint64(origin+head), uint64(64), uint64(0), uint32(0), uint16(64), uint16(56), uint16(1), [6]byte{})
	size := uint64(head + len(text))
	write(&b, uint32(1), uint32(5), uint64(0), uint64(origin), uint64(origin), size, size, uint64(4096))
	return append(b.Bytes(), text...)
}

func write(b *bytes.Buffer, fields ...any) {
	for _, f := range fields {
		_ = binary.Write(b, binary.LittleEndian, f)
	}
}

// programOf puts the name behind the code, and its address into it.
func programOf(code []byte, at, head int) []byte {
	text := append(bytes.Clone(code), "/made\x00"...)
	binary.LittleEndian.PutUint32(text[at:], uint32(origin+head+len(code)))
	return text
}

// TestArchitectures: calls of another architecture are judged by the same rules
// where the profile lists it, and kill the process where it does not.
func TestArchitectures(t *testing.T) {
	for _, row := range []struct {
		arch    specs.Arch
		program []byte
	}{
		{specs.ArchX86, elf32()},
		{specs.ArchX32, elf64()},
	} {
		t.Run(string(row.arch), func(t *testing.T) {
			call := func(p *specs.LinuxSeccomp) int {
				id, bundle := box(t, "/program", profile(p))
				if err := os.WriteFile(filepath.Join(bundle, "rootfs", "program"), row.program, 0o755); err != nil {
					t.Fatal(err)
				}
				return drive.Run(t, "run", "--bundle", bundle, id).Code
			}
			filter := func(archs ...specs.Arch) *specs.LinuxSeccomp {
				return &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: archs,
					Syscalls: []specs.LinuxSyscall{withErrno(rule(specs.ActErrno, mkdir...), 19)}}
			}
			switch free := call(nil); {
			case row.arch == specs.ArchX86 && free == 126, row.arch == specs.ArchX86 && free == 127:
				t.Skip("needs CONFIG_IA32_EMULATION: this kernel runs no 32-bit programs")
			case free != 0 && free != 38: // ENOSYS, where the kernel has no x32; the filter comes before
				t.Fatalf("without a filter: exit %d", free)
			}
			coverage.Shows(t, "linux.seccomp.architectures", "linux.seccomp.architectures=SCMP_ARCH_X86_64", "linux.seccomp.architectures="+string(row.arch))
			if got := call(filter(specs.ArchX86_64, row.arch)); got != 19 {
				t.Errorf("listed: exit %d", got)
			}
			if got := call(filter(specs.ArchX86_64)); got != 128+31 {
				t.Errorf("not listed: exit %d", got)
			}
			if got := prints(t, "mkdir /made 2>/dev/null || echo denied", profile(filter(specs.ArchX86_64, row.arch))); got != "denied\n" {
				t.Errorf("the machine's own: %q", got)
			}
		})
	}
}
