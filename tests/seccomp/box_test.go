package seccomp

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/drive"
)

func TestMain(m *testing.M) { drive.Main(m) }

type edit = func(*specs.Spec)

func all(edits ...edit) edit {
	return func(s *specs.Spec) {
		for _, e := range edits {
			e(s)
		}
	}
}

var boxes atomic.Int32

// box is a bundle and the id of its container, which goes with the test.
func box(t testing.TB, script string, edits ...edit) (id, bundle string) {
	t.Helper()
	id = fmt.Sprintf("seccomp-%d-%d", os.Getpid(), boxes.Add(1))
	bundle = drive.Bundle(t, func(s *specs.Spec) {
		drive.Sh(script)(s)
		all(edits...)(s)
	})
	// For the root of a user namespace.
	if err := os.Chmod(filepath.Dir(bundle), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { drive.Run(t, "delete", "--force", id) })
	return id, bundle
}

// run runs a script in a container of its own.
func run(t testing.TB, script string, edits ...edit) drive.Result {
	t.Helper()
	id, bundle := box(t, script, edits...)
	return drive.Run(t, "run", "--bundle", bundle, id)
}

// prints is what a script prints that ends well.
func prints(t testing.TB, script string, edits ...edit) string {
	t.Helper()
	r := run(t, script, edits...)
	if r.Code != 0 || r.Stderr != "" {
		t.Fatal(r)
	}
	return r.Stdout
}

// filter is a profile for the machine's own architecture alone.
func filter(standard specs.LinuxSeccompAction, rules ...specs.LinuxSyscall) edit {
	return profile(&specs.LinuxSeccomp{DefaultAction: standard, Syscalls: rules})
}

func profile(p *specs.LinuxSeccomp) edit {
	return func(s *specs.Spec) { s.Linux.Seccomp = p }
}

func rule(action specs.LinuxSeccompAction, calls ...string) specs.LinuxSyscall {
	return specs.LinuxSyscall{Names: calls, Action: action}
}

func withErrno(r specs.LinuxSyscall, errno uint) specs.LinuxSyscall {
	r.ErrnoRet = &errno
	return r
}

// mkdir are the calls that make a directory.
var mkdir = []string{"mkdir", "mkdirat"}

// shell is what busybox needs to be a shell and run cat, grep, mkdir, id and
// true.
var shell = []string{
	"arch_prctl", "brk", "clone", "close", "dup2", "dup3", "execve", "exit", "exit_group", "fcntl", "fork", "fstat", "futex",
	"getcwd", "getegid", "geteuid", "getgid", "getgroups", "getpgrp", "getpid", "getppid", "getrandom", "getuid", "ioctl", "kill", "lseek",
	"lstat", "mmap", "mprotect", "munmap", "newfstatat", "open", "openat", "pipe", "pipe2", "poll", "prctl", "prlimit64", "read", "readlink",
	"readlinkat", "rseq", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigsuspend", "sendfile", "set_robust_list", "set_tid_address",
	"setpgid", "stat", "umask", "uname", "vfork", "wait4", "waitid", "write", "writev", "sigaltstack", "statx", "rt_sigtimedwait",
}

// whatRuncNeeds is what runc's own code calls between the loading of a filter
// and the program, and mocker's does not.
var whatRuncNeeds = []string{
	"accept4", "capget", "capset", "chdir", "clock_gettime", "close_range", "connect", "epoll_create1", "epoll_ctl", "epoll_pwait", "eventfd2",
	"fchdir", "fchown", "fstatfs", "getdents64", "gettid", "madvise", "mincore", "nanosleep", "pread64", "recvmsg", "sched_getaffinity",
	"sched_yield", "sendmsg", "setgid", "setgroups", "setuid", "socket", "tgkill", "timer_create", "timer_delete", "timer_settime", "faccessat",
	"faccessat2", "setresuid", "setresgid", "keyctl", "setsid", "pidfd_open", "pidfd_send_signal", "dup",
}

func allowList(calls ...[]string) edit {
	list := slices.Concat(calls...)
	if drive.Others() {
		list = append(list, whatRuncNeeds...)
	}
	return filter(specs.ActErrno, rule(specs.ActAllow, list...))
}

func capabilities(names ...string) edit {
	return func(s *specs.Spec) {
		s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: names, Permitted: names, Effective: names, Inheritable: names, Ambient: names}
	}
}

func user(id uint32) edit {
	return func(s *specs.Spec) { s.Process.User = specs.User{UID: id, GID: id} }
}

func newPrivileges(s *specs.Spec) { s.Process.NoNewPrivileges = false }

func onTerminal(s *specs.Spec) { s.Process.Terminal = true }

// inUserNamespace gives the container a user namespace of its own.
func inUserNamespace(s *specs.Spec) {
	s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	s.Linux.UIDMappings = []specs.LinuxIDMapping{{HostID: 200000, Size: 65536}}
	s.Linux.GIDMappings = s.Linux.UIDMappings
	// What was made for the host's root is not that of the container's.
	s.Mounts = slices.DeleteFunc(s.Mounts, func(m specs.Mount) bool { return m.Type == "cgroup" })
}

// enginesProfile is podman's default profile, of containers-common, which is
// docker's with small changes, as an engine writes it into a config.json for a
// container with these capabilities.
func enginesProfile(t testing.TB, caps ...string) edit {
	t.Helper()
	const file = "/usr/share/containers/seccomp.json"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err, "apt-get install golang-github-containers-common")
	}
	type condition struct{ Caps, Arches []string }
	var given struct {
		specs.LinuxSeccomp
		Syscalls []struct {
			specs.LinuxSyscall
			Includes, Excludes condition
		} `json:"syscalls"`
		ArchMap []struct {
			Architecture     specs.Arch
			SubArchitectures []specs.Arch
		}
	}
	if err := json.Unmarshal(data, &given); err != nil {
		t.Fatal(err)
	}
	p := &specs.LinuxSeccomp{DefaultAction: given.DefaultAction, DefaultErrnoRet: given.DefaultErrnoRet}
	native := map[string]specs.Arch{"amd64": specs.ArchX86_64, "arm64": specs.ArchAARCH64}[runtime.GOARCH]
	for _, a := range given.ArchMap {
		if a.Architecture == native {
			p.Architectures = append([]specs.Arch{native}, a.SubArchitectures...)
		}
	}
	has := func(name string) bool { return slices.Contains(caps, name) }
	for _, r := range given.Syscalls {
		if len(r.Includes.Arches) > 0 && !slices.Contains(r.Includes.Arches, runtime.GOARCH) ||
			len(r.Includes.Caps) > 0 && !slices.ContainsFunc(r.Includes.Caps, has) || slices.ContainsFunc(r.Excludes.Caps, has) {
			continue
		}
		p.Syscalls = append(p.Syscalls, r.LinuxSyscall)
	}
	return profile(p)
}
