package security

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// TestHostileToExec: a process of the container, with CAP_SYS_PTRACE and no
// other capability, stops every newcomer in its pid namespace and looks at its
// descriptors, directories, capabilities and memory, for a word from the
// environment and the files of mocker (CVE-2016-9962). With a seccomp filter
// that is no different, although loading it takes CAP_SYS_ADMIN. In a user
// namespace the kernel does not even let it look, as the memory is not that of
// the namespace before execve.
func TestHostileToExec(t *testing.T) {
	filter := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{"swapon"}, Action: specs.ActErrno}}}
	for _, c := range []struct {
		name   string
		way    way
		filter *specs.LinuxSeccomp
	}{{"plain", byRun, nil}, {"filtered", byRun, filter}, {"userns", inUserns, nil}, {"rootless", asUser, nil}} {
		t.Run(c.name, func(t *testing.T) { hostileToExec(t, c.way, c.filter) })
	}
}

func hostileToExec(t *testing.T, w way, filter *specs.LinuxSeccomp) {
	attack(t, execColumn(w), "CVE-2016-9962")
	if other := os.Getenv("RUNTIME"); other != "" {
		t.Skipf("not for %s: its exec hangs when its process is held, and the spy with it", other)
	}
	const word = "canary-of-the-host"
	ptrace := []string{"CAP_SYS_PTRACE"}
	bundle, root, c := w.box(t, func(s *specs.Spec) {
		s.Process.Args = []string{"/spy", word, "denied"}
		s.Linux.Seccomp = filter
		s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: ptrace, Permitted: ptrace, Effective: ptrace}
	})
	for _, name := range []string{"spy", "true"} {
		program, err := build("../../libcontainer/inside/testdata/" + name)
		must(t, err)
		must(t, os.WriteFile(filepath.Join(root, name), program, 0o755))
	}
	w.own(t, bundle)
	c.before = c.look(t)
	// The spy leaves process 1 and itself alone, which are the same.
	id := w.id(t)
	if r := w.drive(t, "run", "--detach", "--bundle", bundle, id); r.Code != 0 {
		t.Fatal(r)
	}
	drive.Eventually(t, "the spy looks", func() bool { _, err := os.Stat(filepath.Join(root, "report")); return err == nil })
	t.Setenv("SECRET", word)
	line := w.command(t, "exec", "--process")
	if w.rootless {
		line = slices.Insert(line, slices.Index(line, "-C")+2, "SECRET="+word)
	}
	// What is started has no capabilities, as the spy takes any for mocker's.
	process := filepath.Join(bundle, "process.json")
	must(t, os.WriteFile(process, []byte(`{"args": ["/true"], "cwd": "/", "env": ["A=b"], "ignored": "`+word+`", "user": {"uid": 0, "gid": 0}}`), 0o644))
	times := times(10000, 40, 10)
	line = append(line, process, id)
	for i := range times {
		if r := drive.Exec(t, line[0], line[1:]...); r.Code != 0 || r.Stdout+r.Stderr != "" {
			t.Fatalf("exec %d: %v", i, r)
		}
	}
	must(t, os.WriteFile(filepath.Join(root, "stop"), nil, 0o600))
	var report string
	drive.Eventually(t, "the spy has ended", func() bool {
		data, err := os.ReadFile(filepath.Join(root, "report"))
		report = string(data)
		return err == nil && strings.HasSuffix(report, "end\n")
	})
	looks, denied, seen := 0, 0, map[string]int{}
	for line := range strings.Lines(strings.TrimSuffix(report, "end\n")) {
		switch line = strings.TrimSpace(line); line {
		case "looked":
			looks++
		case "denied":
			denied++
		default:
			seen[line]++
		}
	}
	t.Logf("%d times exec, the spy looked at %d of them before their execve, and was not let to look at %d", times, looks, denied)
	if got := map[bool]int{true: looks, false: denied}[w == byRun]; got < times/10 {
		t.Errorf("the spy caught %d processes of %d: it proves nothing", got, times)
	}
	for what, n := range seen {
		harmed(t, "the container saw, %d times: %s", n, what)
	}
	c.unharmed(t)
}
