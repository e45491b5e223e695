package security

import (
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
			if c.want != "" && (r.Code != 1 || !strings.Contains(r.Stderr, c.want)) {
				t.Errorf("want a refusal: %v", r)
			}
			if now := sum(t, bin); now != before {
				t.Fatal("the binary has been changed")
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
	bin := writableMocker(t)
	weak := filepath.Join(filepath.Dir(bin), "weak")
	hostile(t, weak)
	beforeBin, beforeWeak := sum(t, bin), sum(t, weak)

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
		t.Errorf("the attacker has written to something else than the weak binary: %v", r)
	}
	if sum(t, bin) != beforeBin {
		t.Error("mocker's binary has been changed")
	}
}
