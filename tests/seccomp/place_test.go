package seccomp

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/coverage"
	"github.com/mocker-runtime/mocker/tests/drive"
)

// capabilitySets are the capabilities that a process is tried with: loading a
// filter takes CAP_SYS_ADMIN, which most do not get.
var capabilitySets = map[string][]string{
	"none":  {},
	"chown": {"CAP_CHOWN"},
	"admin": {"CAP_SYS_ADMIN", "CAP_CHOWN"},
}

// TestPrivileges: with no_new_privs and without, as root and another user, with
// capabilities that allow to load a filter and without: the process is the same
// as without a filter, but for the filter. So is one that joins it.
func TestPrivileges(t *testing.T) {
	coverage.Shows(t, "linux.seccomp.architectures")
	const script = `grep -E '^(Uid|Gid|Groups|Cap|NoNew|Sig[PBIC])' /proc/self/status; umask; ls /proc/self/fd | wc -l`
	for caps, names := range capabilitySets {
		for _, uid := range []uint32{0, 1000} {
			for name, privileges := range map[string]edit{"no new privileges": func(*specs.Spec) {}, "new privileges": newPrivileges} {
				t.Run(fmt.Sprintf("%s, user %d, %s", caps, uid, name), func(t *testing.T) {
					as := all(user(uid), capabilities(names...), privileges)
					want := prints(t, script, as)
					for kind, filter := range map[string]edit{"engine's": enginesProfile(t, names...), "allow list": allowList(shell, []string{"chmod", "getdents64", "getxattr"})} {
						if kind == "allow list" && name == "new privileges" {
							filter = allowList(shell, []string{"chmod", "getdents64", "capset"})
						}
						if got := prints(t, script, as, filter); got != want {
							t.Errorf("%s profile: got\n%s\nwithout a filter\n%s", kind, got, want)
						}
						if got := prints(t, "grep Seccomp /proc/self/status", as, filter); got != "Seccomp:\t2\nSeccomp_filters:\t1\n" {
							t.Errorf("%s profile: %s", kind, got)
						}
					}
					joins(t, want, script, as, names)
				})
			}
		}
	}
}

// TestForeignArchitectures: a profile may list architectures whose calls nobody
// can make on this machine, as engines do.
func TestForeignArchitectures(t *testing.T) {
	var list []specs.Arch
	for name := range strings.FieldsSeq("MIPS MIPS64 MIPS64N32 MIPSEL MIPSEL64 MIPSEL64N32 PPC PPC64 PPC64LE S390 S390X PARISC PARISC64 RISCV64 LOONGARCH64 M68K SH SHEB") {
		list = append(list, specs.Arch("SCMP_ARCH_"+name))
	}
	if drive.Others() {
		list = list[:11] // libseccomp does not know them all
	}
	got := prints(t, "mkdir /d 2>/dev/null || echo denied", profile(&specs.LinuxSeccomp{
		DefaultAction: specs.ActAllow, Architectures: list, Syscalls: []specs.LinuxSyscall{rule(specs.ActErrno, mkdir...)},
	}))
	if got != "denied\n" {
		t.Errorf("got %q", got)
	}
}

// joins makes sure that a process which joins the container is the same.
func joins(t *testing.T, want, script string, as edit, caps []string) {
	t.Helper()
	id, bundle := box(t, "sleep 100", as, enginesProfile(t, caps...))
	drive.OK(t, "run", "--detach", "--bundle", bundle, id)
	if got := drive.OK(t, "exec", id, "sh", "-c", script); got != want {
		t.Errorf("exec: got\n%s\nwant\n%s", got, want)
	}
	if got := drive.OK(t, "exec", id, "grep", "Seccomp", "/proc/self/status"); got != "Seccomp:\t2\nSeccomp_filters:\t1\n" {
		t.Errorf("exec: %s", got)
	}
}

// TestExec: a process that joins is under the container's profile, whatever
// has become of config.json; also one that comes with a process.json.
func TestExec(t *testing.T) {
	for name, privileges := range map[string]edit{"no new privileges": func(*specs.Spec) {}, "new privileges": newPrivileges} {
		t.Run(name, func(t *testing.T) {
			id, bundle := box(t, "sleep 100", filter(specs.ActAllow, withErrno(rule(specs.ActErrno, mkdir...), 19)), privileges)
			drive.OK(t, "create", "--bundle", bundle, id)
			const want = "mkdir: can't create directory '/d': No such device"
			if r := drive.Run(t, "exec", id, "mkdir", "/d"); strings.TrimSpace(r.Stderr) != want || r.Code != 1 {
				t.Errorf("exec before start: %v", r)
			}
			drive.OK(t, "start", id)
			drive.Edit(t, bundle, func(s *specs.Spec) { s.Linux.Seccomp = nil })
			if r := drive.Run(t, "exec", id, "mkdir", "/d"); strings.TrimSpace(r.Stderr) != want || r.Code != 1 {
				t.Errorf("exec: %v", r)
			}
			file := filepath.Join(t.TempDir(), "process.json")
			text := fmt.Sprintf(`{"args": ["mkdir", "/d"], "cwd": "/", "env": ["PATH=/bin"], "noNewPrivileges": %v, "user": {"uid": 0, "gid": 0}}`, name == "no new privileges")
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			if r := drive.Run(t, "exec", "--process", file, id); strings.TrimSpace(r.Stderr) != want || r.Code != 1 {
				t.Errorf("exec --process: %v", r)
			}
		})
	}
}

// TestTerminal: a shell on a terminal under the engines' profile.
func TestTerminal(t *testing.T) {
	for name, privileges := range map[string]edit{"no new privileges": func(*specs.Spec) {}, "new privileges": newPrivileges} {
		t.Run(name, func(t *testing.T) {
			id, bundle := box(t, "exec sh", onTerminal, privileges, enginesProfile(t))
			term := drive.OnTerminal(t, drive.Runtime(t), "run", "--bundle", bundle, id)
			term.Expect("# ")
			term.Type("tty; grep Seccomp: /proc/self/status\r")
			term.Expect("/dev/pts/0")
			term.Expect("Seccomp:\t2")
			joined := drive.OnTerminal(t, drive.Runtime(t), "exec", "--tty", id, "sh")
			joined.Expect("# ")
			joined.Type("tty; grep Seccomp: /proc/self/status\r")
			joined.Expect("/dev/pts/1")
			joined.Expect("Seccomp:\t2")
			joined.Type("exit 4\r")
			if code := joined.Wait(); code != 4 {
				t.Errorf("exec: exit %d\n%s", code, joined.Shown())
			}
			term.Type("exit 3\r")
			if code := term.Wait(); code != 3 {
				t.Errorf("exit %d\n%s", code, term.Shown())
			}
		})
	}
}

// TestHooks: hooks are the host's, and under no profile, also those that run
// in the container.
func TestHooks(t *testing.T) {
	out := filepath.Join(t.TempDir(), "said")
	hook := func(point, shell string) []specs.Hook {
		return []specs.Hook{{Path: shell, Args: []string{"sh", "-c", "mkdir " + point + " && grep Seccomp: /proc/self/status >" + point + "/said"}, Env: []string{"PATH=/bin:/usr/bin"}}}
	}
	id, bundle := box(t, "mkdir /x; cat /start/said; sleep 100", filter(specs.ActAllow, rule(specs.ActErrno, mkdir...)), func(s *specs.Spec) {
		s.Hooks = &specs.Hooks{CreateRuntime: hook(out+"-runtime", "/bin/sh"), CreateContainer: hook(out+"-container", "/bin/sh"), Poststart: hook(out+"-poststart", "/bin/sh")}
		if !drive.Others() { // runc's startContainer hooks are children of the process, and under its profile
			s.Hooks.StartContainer = hook("/start", "/bin/sh")
		}
	})
	drive.OK(t, "create", "--bundle", bundle, id)
	drive.OK(t, "start", id)
	files := []string{out + "-runtime/said", out + "-container/said", out + "-poststart/said"}
	if !drive.Others() {
		files = append(files, filepath.Join(bundle, "rootfs/start/said"))
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil || string(data) != "Seccomp:\t0\n" {
			t.Errorf("%s: %q, %v", file, data, err)
		}
	}
	if _, err := os.Stat(filepath.Join(bundle, "rootfs/x")); err == nil {
		t.Error("the process is not under the profile")
	}
}

// TestUserNamespace: the capability to load a filter is that of the user
// namespace.
func TestUserNamespace(t *testing.T) {
	for name, privileges := range map[string]edit{"no new privileges": func(*specs.Spec) {}, "new privileges": newPrivileges} {
		for _, uid := range []uint32{0, 1000} {
			t.Run(fmt.Sprintf("%s, user %d", name, uid), func(t *testing.T) {
				as := all(inUserNamespace, user(uid), capabilities(), privileges)
				if got := prints(t, "id -u; grep -E 'Seccomp:|CapPrm' /proc/self/status", as, enginesProfile(t)); got != fmt.Sprintf("%d\nCapPrm:\t%016x\nSeccomp:\t2\n", uid, 0) {
					t.Errorf("got %s", got)
				}
				id, bundle := box(t, "sleep 100", as, enginesProfile(t))
				drive.OK(t, "run", "--detach", "--bundle", bundle, id)
				if got := drive.OK(t, "exec", id, "grep", "Seccomp:", "/proc/self/status"); got != "Seccomp:\t2\n" {
					t.Errorf("exec: %s", got)
				}
			})
		}
	}
}

// TestSharedPID: a container that joins the pid namespace of another one, whose
// processes see it from its beginning.
func TestSharedPID(t *testing.T) {
	first, bundle := box(t, "sleep 100")
	drive.OK(t, "run", "--detach", "--bundle", bundle, first)
	join := sharePID(state(t, first).Pid)
	for caps, names := range capabilitySets {
		for name, privileges := range map[string]edit{"no new privileges": func(*specs.Spec) {}, "new privileges": newPrivileges} {
			t.Run(caps+", "+name, func(t *testing.T) {
				as := all(join, user(1000), capabilities(names...), privileges)
				const script = "grep -E '^(Cap|NoNew|Uid|Gid)' /proc/self/status"
				want := prints(t, script, as)
				if got := prints(t, script, as, enginesProfile(t, names...)); got != want {
					t.Errorf("got\n%s\nwithout a filter\n%s", got, want)
				}
				if got := prints(t, "grep Seccomp: /proc/self/status", as, enginesProfile(t, names...)); got != "Seccomp:\t2\n" {
					t.Errorf("got %s", got)
				}
			})
		}
	}
}

// TestOldProfile: a profile from before close_range(2), with which mocker
// closes what is not the container's, does for a container in another one's
// pid namespace too, and for exec.
func TestOldProfile(t *testing.T) {
	first, bundle := box(t, "sleep 100")
	drive.OK(t, "run", "--detach", "--bundle", bundle, first)
	id, bundle := box(t, "sleep 100", sharePID(state(t, first).Pid), newPrivileges, filter(specs.ActAllow, rule(specs.ActErrno, "close_range")))
	drive.OK(t, "run", "--detach", "--bundle", bundle, id)
	got := drive.OK(t, "exec", id, "sh", "-c", "ls /proc/self/fd | wc -l; grep Seccomp: /proc/self/status")
	if got != "4\nSeccomp:\t2\n" {
		t.Errorf("got %s", got)
	}
	pid := state(t, id).Pid
	drive.OK(t, "delete", "--force", id)
	// As the machine's init would: until then the pid namespace cannot end.
	_, _ = unix.Wait4(pid, nil, 0, nil)
	drive.OK(t, "delete", "--force", first)
}

// sharePID puts a container into the pid namespace of a process.
func sharePID(pid int) edit {
	return func(s *specs.Spec) {
		for i := range s.Linux.Namespaces {
			if s.Linux.Namespaces[i].Type == specs.PIDNamespace {
				s.Linux.Namespaces[i].Path = fmt.Sprintf("/proc/%d/ns/pid", pid)
			}
		}
	}
}
