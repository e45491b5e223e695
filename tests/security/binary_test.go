package security

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// writableMocker is a copy of the runtime where root may write.
func writableMocker(t *testing.T) string {
	t.Helper()
	from, err := exec.LookPath(drive.Runtime(t))
	must(t, err)
	data, err := os.ReadFile(from)
	must(t, err)
	path := filepath.Join(t.TempDir(), "mocker")
	must(t, os.WriteFile(path, data, 0o755))
	return path
}

// TestOwnBinaryIsNoProgram: CVE-2019-5736 begins with a container whose
// program is the runtime.
func TestOwnBinaryIsNoProgram(t *testing.T) {
	attack(t, "run", "CVE-2019-5736")
	bin := writableMocker(t)
	before := sum(t, bin)
	for _, c := range []struct {
		name string
		edit func(root string, s *specs.Spec)
		want string // of stderr; "": it may run, as the file is its own
	}{
		{"/proc/self/exe", func(_ string, s *specs.Spec) { s.Process.Args = []string{"/proc/self/exe", "--version"} }, "mocker's own binary"},
		{"/proc/1/exe", func(_ string, s *specs.Spec) { s.Process.Args = []string{"/proc/1/exe", "--version"} }, "mocker's own binary"},
		{"link", func(root string, s *specs.Spec) {
			must(t, os.Symlink("/proc/self/exe", root+"/bin/x"))
			s.Process.Args = []string{"x"}
		}, "mocker's own binary"},
		{"bound", func(_ string, s *specs.Spec) {
			s.Mounts = append(s.Mounts, bind(bin, "/bin/x"))
			s.Process.Args = []string{"x"}
		}, "mocker's own binary"},
		{"interpreter", func(root string, s *specs.Spec) {
			must(t, os.WriteFile(root+"/bin/x", []byte("#!/proc/self/exe\n"), 0o755))
			s.Process.Args = []string{"x"}
		}, ""},
		{"ELF interpreter", func(root string, s *specs.Spec) {
			must(t, os.WriteFile(root+"/bin/x", interpreted(t), 0o755))
			s.Process.Args = []string{"x", "--version"}
		}, ""},
		{"interpreter with a verb", func(root string, s *specs.Spec) {
			must(t, os.WriteFile(root+"/bin/x", []byte("#!/proc/self/exe run\n"), 0o755))
			s.Process.Args = []string{"x"}
		}, ""},
		{"a copy of its own", func(root string, s *specs.Spec) {
			data, err := os.ReadFile(bin)
			must(t, err)
			must(t, os.WriteFile(root+"/bin/x", data, 0o755))
			s.Process.Args = []string{"x", "--version"}
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			bundle := drive.Bundle(t, allCaps)
			spec := drive.ReadConfig(t, bundle)
			c.edit(filepath.Join(bundle, "rootfs"), spec)
			drive.WriteConfig(t, bundle, spec)
			r := drive.Exec(t, bin, "run", "--bundle", bundle, "security-binary")
			t.Logf("exit %d: %s", r.Code, strings.TrimSpace(r.Stderr))
			if c.want != "" && !drive.Others() && (r.Code != 1 || !strings.Contains(r.Stderr, c.want)) {
				t.Errorf("want a refusal: %v", r)
			}
			if now := sum(t, bin); now != before {
				harmed(t, "the binary has been changed")
			}
		})
	}
}

// TestBinaryCannotBeWritten: an attacker with every capability and without a
// mask holds /proc/PID/exe of what a container begins as, and of the mockers
// that make it, start it and join it, and writes to them when it can: CVE-2019-5736 with all the
// time in the world. The same attacker succeeds with another binary.
//
// It sees the host's processes, as the containers that mocker makes so far see
// nobody but themselves; it is told who to attack, for it could as well write
// to every file of the host.
func TestBinaryCannotBeWritten(t *testing.T) {
	attack(t, "run", "CVE-2019-5736")
	bin := writableMocker(t)
	weak := filepath.Join(filepath.Dir(bin), "weak")
	hostile(t, weak)
	beforeBin, beforeWeak := sum(t, bin), sum(t, weak)
	defer func() {
		if sum(t, bin) != beforeBin {
			harmed(t, "the binary has been changed")
		}
	}()

	attackerBundle := drive.Bundle(t, func(s *specs.Spec) {
		allCaps(s)
		s.Process.Args = []string{"hostile", "overwrite"}
		s.Linux.Namespaces = slices.DeleteFunc(s.Linux.Namespaces, func(ns specs.LinuxNamespace) bool { return ns.Type == specs.PIDNamespace })
		s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = nil, nil
	})
	root := filepath.Join(attackerBundle, "rootfs")
	hostile(t, root+"/bin/hostile")
	attacker := drive.Start(t, drive.Runtime(t), "run", "--bundle", attackerBundle, "security-attacker")
	defer drive.Run(t, "delete", "--force", "security-attacker")
	says := func(what string) {
		t.Helper()
		drive.Eventually(t, "the attacker says "+what, func() bool { return strings.Contains(attacker.Output(), what+"\n") })
	}

	victim := drive.Start(t, weak, "sleep")
	defer func() { _ = victim.Process.Kill() }() // of a test that failed
	must(t, os.WriteFile(root+"/victims", fmt.Appendf(nil, "%d weak\n", victim.Process.Pid), 0o644))
	says("held weak")
	must(t, victim.Process.Kill())
	victim.Wait()
	says("wrote weak")
	if sum(t, weak) == beforeWeak {
		t.Error("the attack does not work on a weak binary: this test shows nothing")
	}

	// A hook tells who is there, and keeps them until the attacker has both.
	hook := fmt.Sprintf(`
		init=$(sed 's/.*"pid":\([0-9]*\).*/\1/')
		printf '%%s init\n%%s mocker\n' $init $PPID >>%[1]s/victims
		until test -e %[1]s/continue; do sleep 0.02; done`, root)
	bundle := drive.Bundle(t, func(s *specs.Spec) {
		env := []string{"PATH=/bin:/usr/bin"}
		s.Hooks = &specs.Hooks{
			CreateRuntime:  []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", hook}, Env: env}},
			StartContainer: []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "touch /in; until test -e /continue; do sleep 0.02; done"}, Env: env}},
		}
		s.Process.Args = []string{"sleep", "1000"}
	})
	create := drive.Start(t, bin, "create", "--bundle", bundle, "security-victim")
	defer drive.Run(t, "delete", "--force", "security-victim")
	says("held mocker")
	says("held init")
	must(t, os.WriteFile(root+"/continue", nil, 0o644))
	if r := create.Wait(); r.Code != 0 {
		t.Fatal(r)
	}
	// start, as long as its hook runs in the container; then exec, which waits
	// for the container to be resumed.
	victims := func(cmd *drive.Cmd, name string) {
		t.Helper()
		f, err := os.OpenFile(root+"/victims", os.O_APPEND|os.O_WRONLY, 0)
		must(t, err)
		_, err = fmt.Fprintf(f, "%d %s\n", cmd.Process.Pid, name)
		must(t, errors.Join(err, f.Close()))
		says("held " + name)
	}
	start := drive.Start(t, bin, "start", "security-victim")
	drive.Eventually(t, "the startContainer hook runs", func() bool { _, err := os.Stat(bundle + "/rootfs/in"); return err == nil })
	victims(start, "start")
	must(t, os.WriteFile(bundle+"/rootfs/continue", nil, 0o644))
	if r := start.Wait(); r.Code != 0 {
		t.Fatal(r)
	}
	drive.OK(t, "pause", "security-victim")
	joiner := drive.Start(t, bin, "exec", "--ignore-paused", "security-victim", "true")
	drive.Eventually(t, "exec has a child", func() bool { return len(drive.Children(t, joiner.Process.Pid)) > 0 })
	victims(joiner, "exec")
	drive.OK(t, "resume", "security-victim")
	if r := joiner.Wait(); r.Code != 0 {
		t.Fatal(r)
	}
	// None runs from the binary any more: now or never.
	time.Sleep(50 * time.Millisecond)
	must(t, os.WriteFile(root+"/stop", nil, 0o644))
	if r := attacker.Wait(); r.Code != 0 || strings.Count(r.Stdout, "wrote") != 1 {
		harmed(t, "the attacker has written to something else than the weak binary: %v", r)
	}
}

// interpreted is a program whose ELF interpreter is the binary that executes
// it: /proc/self/exe is still that one when the kernel looks for it.
func interpreted(t *testing.T) []byte {
	t.Helper()
	const base, path = 0x10000000, "/proc/self/exe\x00"
	var b bytes.Buffer
	head := elf.Header64{
		Type: uint16(elf.ET_EXEC), Machine: uint16(machine(t)), Version: 1, Entry: base,
		Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 2,
	}
	copy(head.Ident[:], elf.ELFMAG)
	head.Ident[elf.EI_CLASS], head.Ident[elf.EI_DATA], head.Ident[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), 1
	size := uint64(64 + 2*56 + len(path))
	for _, part := range []any{
		head,
		elf.Prog64{Type: uint32(elf.PT_INTERP), Flags: uint32(elf.PF_R), Off: 64 + 2*56, Vaddr: base + 64 + 2*56, Filesz: uint64(len(path)), Memsz: uint64(len(path))},
		elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R), Vaddr: base, Filesz: size, Memsz: size, Align: 0x10000},
		[]byte(path),
	} {
		must(t, binary.Write(&b, binary.LittleEndian, part))
	}
	return b.Bytes()
}

func machine(t *testing.T) elf.Machine {
	t.Helper()
	f, err := elf.Open("/proc/self/exe")
	must(t, err)
	defer f.Close()
	return f.Machine
}

// TestBinaryAsInterpreter: CVE-2019-5736 by PT_INTERP. The binary becomes the
// loader of a hostile program, where nothing keeps it from being written to
// while it runs: the container's first process writes to whatever that program
// maps.
func TestBinaryAsInterpreter(t *testing.T) {
	attack(t, "exec", "CVE-2019-5736")
	const program = "interpreted-canary"
	bin := writableMocker(t)
	before := sum(t, bin)
	bundle := drive.Bundle(t, func(s *specs.Spec) {
		allCaps(s)
		s.Process.Args = []string{"hostile", "mapped", program}
	})
	root := filepath.Join(bundle, "rootfs")
	hostile(t, root+"/bin/hostile")
	hostile(t, root+"/bin/weak")
	must(t, os.WriteFile(filepath.Join(root, "bin", program), interpreted(t), 0o755))
	id := byRun.id(t)
	attacker := drive.Start(t, bin, "run", "--bundle", bundle, id)
	drive.Eventually(t, "the container runs", func() bool { return strings.Contains(attacker.Output(), "ready\n") })

	beforeWeak := sum(t, root+"/bin/weak")
	weak := drive.Start(t, bin, "exec", id, "weak", "become", "/bin/"+program, "sleep")
	drive.Eventually(t, "the attack works on something weak", func() bool { return strings.Contains(attacker.Output(), "wrote /bin/weak\n") })
	if sum(t, root+"/bin/weak") == beforeWeak {
		t.Error("the attack does not work on a weak binary: this test shows nothing")
	}
	mapped := func() int { return strings.Count(attacker.Output(), "mapped ") }
	seen := mapped()
	// The hook reads its standard input, and so stays until it has been seen.
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	defer w.Close()
	cmd := exec.Command(bin, "exec", id, program, "hook", "network")
	cmd.Stdin = r
	must(t, cmd.Start())
	defer func() { _ = cmd.Process.Kill() }() // of a test that failed
	if !drive.Others() {
		drive.Eventually(t, "the attacker has seen the binary mapped", func() bool { return mapped() > seen })
	}
	must(t, w.Close())
	_ = cmd.Wait() // whatever it says to that
	for range times(1000, 10, 3) {
		drive.Exec(t, bin, "exec", id, program, "--version")
	}
	must(t, os.WriteFile(root+"/stop", nil, 0o644))
	if r := attacker.Wait(); strings.Count(r.Stdout, "wrote ") != 1 {
		harmed(t, "the attacker has written to something else than the weak binary: %v", r)
	}
	weak.Wait()
	if sum(t, bin) != before {
		harmed(t, "the binary has been changed")
	}
}

// TestExecOfOwnBinary: CVE-2019-5736 by exec, also by an ordinary user, whose
// own binary it is.
func TestExecOfOwnBinary(t *testing.T) {
	for _, w := range []way{byRun, inUserns, asUser} {
		t.Run(w.name, func(t *testing.T) {
			attack(t, execColumn(w), "CVE-2019-5736")
			bundle, root, _ := w.box(t, func(s *specs.Spec) { s.Process.Args = []string{"sleep", "1000"} })
			must(t, os.Symlink("/proc/self/exe", root+"/bin/x"))
			must(t, os.WriteFile(root+"/bin/script", []byte("#!/proc/self/exe\n"), 0o755))
			must(t, os.WriteFile(root+"/bin/loaded", interpreted(t), 0o755))
			w.own(t, bundle)
			bin := lookPath(t, drive.Runtime(t))
			if w.rootless {
				bin = filepath.Join(userHome(t), "runtime")
			}
			before := sum(t, bin)
			id := w.id(t)
			if r := w.drive(t, "run", "--detach", "--bundle", bundle, id); r.Code != 0 {
				t.Fatal(r)
			}
			for _, c := range []struct {
				program string
				own     bool // it is refused: a process of another pid namespace has no /proc/self
			}{{"/proc/self/exe", true}, {"x", true}, {"/proc/self/fd/../exe", true}, {"/proc/thread-self/exe", true}, {"script", false}, {"loaded", false}} {
				r := w.drive(t, "exec", id, c.program, "--version")
				if !drive.Others() && c.own && r.Code == 0 {
					t.Errorf("%s: want a refusal: %v", c.program, r)
				}
				if sum(t, bin) != before {
					harmed(t, "%s: the binary has been changed", c.program)
				}
			}
		})
	}
}
