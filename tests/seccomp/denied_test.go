package seccomp

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// TestDenied: a profile that does not allow what has to be called after it is
// loaded is refused, by the name of the call, and nothing stays.
func TestDenied(t *testing.T) {
	drive.MockersOwn(t, "runc finds out by itself, mostly when it is too late")
	before := drive.TakeSnapshot(t)
	silent := newAgent(t, nil)
	const must = ", which the process has to call before it is the program"
	for _, test := range []struct {
		name, want string
		edit       edit
	}{
		{"execve", "SCMP_ACT_ERRNO (EPERM) for execve" + must, filter(specs.ActAllow, rule(specs.ActErrno, "execve"))},
		{"execve, killed", "SCMP_ACT_KILL_PROCESS for execve" + must, filter(specs.ActAllow, rule(specs.ActKillProcess, "execve"))},
		{"execve, traced", "SCMP_ACT_TRACE (1) for execve" + must, filter(specs.ActAllow, rule(specs.ActTrace, "execve"))},
		{"everything", "SCMP_ACT_ERRNO (EPERM) for execve" + must, filter(specs.ActErrno)},
		{"exit_group", "SCMP_ACT_ERRNO (EPERM) for exit_group" + must, filter(specs.ActAllow, rule(specs.ActErrno, "exit_group"))},
		{"capset", "SCMP_ACT_ERRNO (EPERM) for capset" + must, all(newPrivileges, filter(specs.ActAllow, rule(specs.ActErrno, "capset")))},
		{"futex, with an agent", "SCMP_ACT_ERRNO (EPERM) for futex" + must, all(silent.profile(mkdir...), deny("futex"))},
		{"read, with an agent", "SCMP_ACT_ERRNO (EPERM) for read" + must, all(silent.profile(mkdir...), deny("read"))},
	} {
		t.Run(test.name, func(t *testing.T) {
			id, bundle := box(t, "true", test.edit)
			r := drive.Run(t, "create", "--bundle", bundle, id)
			if want := "mocker: prepare process: linux.seccomp: " + test.want + "\n"; r.Code != 1 || r.Stderr != want {
				t.Errorf("got %v\nwant %s", r, want)
			}
		})
	}
	silent.leave() // a listener is a file of the process's credentials, and so keeps its session keyring
	before.Unchanged(t)
}

func deny(call string) edit {
	return func(s *specs.Spec) {
		s.Linux.Seccomp.Syscalls = append(s.Linux.Seccomp.Syscalls, rule(specs.ActErrno, call))
	}
}

// TestJoinDenied: the same for exec, which has more to call where the filter is
// loaded early.
func TestJoinDenied(t *testing.T) {
	drive.MockersOwn(t, "runc finds out by itself, mostly when it is too late")
	a := newAgent(t, proceed)
	for _, test := range []struct {
		name, want string
		edit       edit
	}{
		{"setsid", "SCMP_ACT_ERRNO (EPERM) for setsid, which the process has to call before it is the program", all(newPrivileges, filter(specs.ActAllow, rule(specs.ActErrno, "setsid")))},
		{"clone, asked about", "SCMP_ACT_NOTIFY for clone, which has to be called before an agent can be asked", a.profile("clone")},
	} {
		t.Run(test.name, func(t *testing.T) {
			id, bundle := box(t, "exec sleep 100", test.edit)
			drive.OK(t, "run", "--detach", "--bundle", bundle, id)
			before := drive.TakeSnapshot(t)
			r := drive.Run(t, "exec", id, "true")
			if want := "mocker: linux.seccomp: " + test.want + "\n"; r.Code != 255 || r.Stderr != want {
				t.Errorf("got %v\nwant %s", r, want)
			}
			before.Unchanged(t)
		})
	}
}

// TestUnused: a profile may deny all that mocker's process need not call once
// it is loaded.
func TestUnused(t *testing.T) {
	drive.MockersOwn(t, "runc calls more")
	id, bundle := box(t, "", func(s *specs.Spec) { s.Process.Args = []string{"/true"} },
		filter(specs.ActErrno, rule(specs.ActAllow, "execve", "exit_group", "brk", "arch_prctl", "set_tid_address", "mmap", "mprotect")))
	build := drive.Exec(t, "cp", filepath.Join(bundle, "rootfs/bin/busybox"), filepath.Join(bundle, "rootfs/true"))
	if build.Code != 0 {
		t.Fatal(build)
	}
	if r := drive.Run(t, "run", "--bundle", bundle, id); r.Code != 0 || r.Stderr != "" {
		t.Errorf("%v", r)
	}
}

// TestLastFailure: a program that cannot be executed after all is an error of
// start under a filter as well; where write is denied, it is a process that
// ends.
func TestLastFailure(t *testing.T) {
	drive.MockersOwn(t, "the texts are mocker's")
	for name, test := range map[string]struct {
		edit   edit
		stderr string
		code   int
	}{
		"write allowed": {filter(specs.ActAllow, rule(specs.ActErrno, mkdir...)),
			"mocker: exec /script: no such file or directory (its interpreter or dynamic loader is missing)\n", 127},
		"write denied": {filter(specs.ActAllow, rule(specs.ActErrno, "write")), "", 255},
		"write killed": {filter(specs.ActAllow, rule(specs.ActKillProcess, "write")), "", 255},
	} {
		t.Run(name, func(t *testing.T) {
			id, bundle := box(t, "", func(s *specs.Spec) { s.Process.Args = []string{"/script"} }, test.edit)
			if err := os.WriteFile(filepath.Join(bundle, "rootfs/script"), []byte("#!/no/such\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			r := drive.Run(t, "run", "--bundle", bundle, id)
			if r.Code != test.code && !(r.Code == 1 && test.code == 127) || !strings.HasSuffix(r.Stderr, test.stderr) || test.stderr == "" && r.Stderr != "" {
				t.Errorf("%v\nwant exit %d, %s", r, test.code, test.stderr)
			}
		})
	}
}
