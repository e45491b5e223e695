package security

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// TestHostileToExec: a process of the container, with CAP_SYS_PTRACE and no
// other capability, stops every newcomer in its pid namespace and looks at its
// descriptors, directories, capabilities and memory, for a word from the
// environment and the files of mocker (CVE-2016-9962). With a seccomp filter
// that is no different, although loading it takes CAP_SYS_ADMIN.
func TestHostileToExec(t *testing.T) {
	for name, filter := range map[string]*specs.LinuxSeccomp{
		"plain":    nil,
		"filtered": {DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{"swapon"}, Action: specs.ActErrno}}},
	} {
		t.Run(name, func(t *testing.T) { hostileToExec(t, filter) })
	}
}

func hostileToExec(t *testing.T, filter *specs.LinuxSeccomp) {
	if other := os.Getenv("RUNTIME"); other != "" {
		t.Skipf("not for %s: its exec hangs when its process is held, and the spy with it", other)
	}
	const word = "canary-of-the-host"
	ptrace := []string{"CAP_SYS_PTRACE"}
	bundle, root, c := box(t, func(s *specs.Spec) {
		s.Process.Args = []string{"/spy", word}
		s.Linux.Seccomp = filter
		s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: ptrace, Permitted: ptrace, Effective: ptrace}
	})
	for _, name := range []string{"spy", "true"} {
		program, err := build("../../libcontainer/inside/testdata/" + name)
		must(t, err)
		must(t, os.WriteFile(filepath.Join(root, name), program, 0o755))
	}
	// The spy leaves process 1 and itself alone, which are the same.
	id := fmt.Sprintf("security-exec-%d-%t", os.Getpid(), filter != nil)
	t.Cleanup(func() { drive.Run(t, "delete", "--force", id) })
	drive.OK(t, "run", "--detach", "--bundle", bundle, id)
	drive.Eventually(t, "the spy looks", func() bool { _, err := os.Stat(filepath.Join(root, "report")); return err == nil })
	t.Setenv("SECRET", word)
	// What is started has no capabilities, as the spy takes any for mocker's.
	process := filepath.Join(t.TempDir(), "process.json")
	must(t, os.WriteFile(process, []byte(`{"args": ["/true"], "cwd": "/", "env": ["A=b"], "ignored": "`+word+`", "user": {"uid": 0, "gid": 0}}`), 0o644))
	const times = 150
	for i := range times {
		if r := drive.Run(t, "exec", "--process", process, id); r.Code != 0 || r.Stdout+r.Stderr != "" {
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
	looks, seen := 0, map[string]int{}
	for line := range strings.Lines(strings.TrimSuffix(report, "end\n")) {
		if line = strings.TrimSpace(line); line == "looked" {
			looks++
		} else {
			seen[line]++
		}
	}
	t.Logf("%d times exec, the spy looked at %d of them before their execve", times, looks)
	if looks < times/10 {
		t.Errorf("the spy caught %d processes of %d: it proves nothing", looks, times)
	}
	for what, n := range seen {
		t.Errorf("the container saw, %d times: %s", n, what)
	}
	c.unharmed(t)
}
