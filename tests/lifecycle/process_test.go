package lifecycle

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/coverage"
	"github.com/mocker-runtime/mocker/tests/drive"
)

// What the process of a container is.

// asUser makes the process another user's, with every thing set that a
// process has of its user.
func asUser(s *specs.Spec) {
	umask := uint32(0o027)
	s.Process.User = specs.User{UID: 1000, GID: 1001, AdditionalGids: []uint32{5, 70000}, Umask: &umask}
}

// TestStatus compares /proc/self/status with what config.json says.
func TestStatus(t *testing.T) {
	coverage.Shows(t, "process.user", "process.capabilities", "process.noNewPrivileges", "process.oomScoreAdj")
	chown, kill, bind := 1<<0, 1<<5, 1<<10
	adj := 123
	for _, test := range []struct {
		name string
		edit edit
		want map[string]string
	}{
		{"root", func(s *specs.Spec) {
			s.Process.Capabilities = &specs.LinuxCapabilities{
				Bounding:  []string{"CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE"},
				Permitted: []string{"CAP_CHOWN", "CAP_KILL"}, Effective: []string{"CAP_CHOWN"},
				Inheritable: []string{"CAP_KILL"},
			}
		}, map[string]string{
			"Uid": "0\t0\t0\t0", "Gid": "0\t0\t0\t0", "Groups": "", "Umask": "0022", "NoNewPrivs": "1",
			// execve(2) by root makes all permitted ones effective, and with
			// no_new_privs adds none of the bounding set: capabilities(7)
			"CapInh": hex(kill), "CapPrm": hex(chown | kill), "CapEff": hex(chown | kill), "CapBnd": hex(chown | kill | bind), "CapAmb": hex(0),
		}},
		{"user", all(asUser, func(s *specs.Spec) {
			s.Process.NoNewPrivileges = false
			s.Process.OOMScoreAdj = &adj
			s.Process.Capabilities = &specs.LinuxCapabilities{
				Bounding:  []string{"CAP_CHOWN", "CAP_KILL"},
				Permitted: []string{"CAP_CHOWN", "CAP_KILL"}, Effective: []string{"CAP_CHOWN", "CAP_KILL"},
				Inheritable: []string{"CAP_KILL"}, Ambient: []string{"CAP_KILL"},
			}
		}), map[string]string{
			"Uid": "1000\t1000\t1000\t1000", "Gid": "1001\t1001\t1001\t1001", "Groups": "5 70000", "Umask": "0027", "NoNewPrivs": "0",
			"CapInh": hex(kill), "CapPrm": hex(kill), "CapEff": hex(kill), "CapBnd": hex(chown | kill), "CapAmb": hex(kill),
		}},
		{"none", all(asUser, func(s *specs.Spec) { s.Process.Capabilities = &specs.LinuxCapabilities{} }), map[string]string{
			"CapInh": hex(0), "CapPrm": hex(0), "CapEff": hex(0), "CapBnd": hex(0), "CapAmb": hex(0), "NoNewPrivs": "1",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := inside(t, "cat /proc/self/status; echo oom: $(cat /proc/self/oom_score_adj)", test.edit)
			for name, want := range test.want {
				if value := field(got, name); value != want {
					t.Errorf("%s: %q, want %q", name, value, want)
				}
			}
			if test.name == "user" && field(got, "oom") != "123" {
				t.Errorf("oom_score_adj %s", field(got, "oom"))
			}
		})
	}
}

func hex(caps int) string { return fmt.Sprintf("%016x", caps) }

// TestRlimits: those of config.json, and the number of files that mocker was
// started with, which a Go program raises for itself.
func TestRlimits(t *testing.T) {
	coverage.Shows(t, "process.rlimits")
	limit := func(text, name string) string {
		for line := range strings.Lines(text) {
			if rest, ok := strings.CutPrefix(line, name); ok {
				return strings.Join(strings.Fields(rest)[:2], " ")
			}
		}
		return ""
	}
	got := inside(t, "cat /proc/self/limits", func(s *specs.Spec) {
		s.Process.Rlimits = []specs.POSIXRlimit{
			{Type: "RLIMIT_NOFILE", Soft: 100, Hard: 200}, {Type: "RLIMIT_CORE", Soft: 0, Hard: 4096},
			{Type: "RLIMIT_AS", Soft: 1 << 30, Hard: ^uint64(0)},
		}
	})
	for name, want := range map[string]string{"Max open files": "100 200", "Max core file size": "0 4096", "Max address space": "1073741824 unlimited"} {
		if got := limit(got, name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	mockersOwnPart(t, "runc's own Go raises the soft limit for the container too", func() {
		b := newBox(t, func(s *specs.Spec) { s.Process.Args = []string{"cat", "/proc/self/limits"}; s.Process.Rlimits = nil })
		r := drive.Exec(t, "sh", "-c", `ulimit -Sn 321 && ulimit -Hn 654 && exec "$@"`, "sh", drive.Runtime(t), "run", "--bundle", b.bundle, b.id)
		if got := limit(r.Stdout, "Max open files"); got != "321 654" {
			t.Errorf("open files: %q, want 321 654: %v", got, r)
		}
	})
}

// mockersOwnPart does a part of a test that only mocker passes.
func mockersOwnPart(t *testing.T, why string, do func()) {
	t.Helper()
	if drive.Others() {
		t.Logf("left out for %s: %s", os.Getenv("RUNTIME"), why)
		return
	}
	do()
}

// TestWorkingDirectory: made where it is missing, as engines expect.
func TestWorkingDirectory(t *testing.T) {
	coverage.Shows(t, "process.cwd")
	got := inside(t, "pwd; stat -c '%u %g %a' .; echo $HOME", func(s *specs.Spec) { s.Process.Cwd = "/new/dir" })
	if want := "/new/dir\n0 0 755\n/root\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestEnvironment: config.json's and nothing else, but for HOME.
func TestEnvironment(t *testing.T) {
	coverage.Shows(t, "process.env")
	for _, test := range []struct {
		name, want string
		edit       edit
	}{
		{"given", "A=1\nHOME=/given\n", func(s *specs.Spec) { s.Process.Env = []string{"A=1", "HOME=/given"} }},
		{"of passwd", "A=1\nHOME=/home/jo\n", func(s *specs.Spec) { s.Process.Env, s.Process.User.UID = []string{"A=1"}, 1000 }},
		{"of nobody", "A=1\nHOME=/\n", func(s *specs.Spec) { s.Process.Env, s.Process.User.UID = []string{"A=1"}, 4711 }},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBox(t, test.edit, func(s *specs.Spec) { s.Process.Args = []string{"/bin/busybox", "env"} })
			passwd := "root:x:0:0:root:/root:/bin/sh\njo:x:1000:1000::/home/jo:/bin/sh\n"
			if err := os.WriteFile(filepath.Join(b.bundle, "rootfs/etc/passwd"), []byte(passwd), 0o644); err != nil {
				t.Fatal(err)
			}
			if r := b.run(); r.Stdout != test.want {
				t.Errorf("%v, want %q", r, test.want)
			}
		})
	}
}

// TestSignals: nothing blocked, ignored or handled, whatever the caller does.
func TestSignals(t *testing.T) {
	b := newBox(t, func(s *specs.Spec) { s.Process.Args = []string{"cat", "/proc/self/status"} })
	script := `trap '' HUP PIPE USR1; exec "$@"`
	if drive.Others() {
		script = `exec "$@"` // runc passes on what its caller ignores
	}
	r := drive.Exec(t, "sh", "-c", script, "sh", drive.Runtime(t), "run", "--bundle", b.bundle, b.id)
	for _, name := range []string{"SigBlk", "SigIgn", "SigCgt", "SigPnd", "ShdPnd"} {
		if got := field(r.Stdout, name); got != "0000000000000000" {
			t.Errorf("%s %s: %v", name, got, r)
		}
	}
}

// TestProgramIsItself: seen from outside and inside, process 1 is the
// program, and none of what the runtime was.
func TestProgramIsItself(t *testing.T) {
	b := newBox(t, asUser, func(s *specs.Spec) {
		s.Process.Args = []string{"sleep", "100"}
		s.Process.Env = []string{"PATH=/bin", "A=1", "HOME=/"}
	}).create().start()
	if drive.Others() {
		time.Sleep(200 * time.Millisecond) // runc's start does not wait for the execve
	}
	pid := b.state().Pid
	if got := strings.TrimRight(proc(t, pid, "cmdline"), "\x00"); got != "sleep\x00100" {
		t.Errorf("command line %q", got)
	}
	if got := strings.TrimRight(proc(t, pid, "environ"), "\x00"); got != "PATH=/bin\x00A=1\x00HOME=/" {
		t.Errorf("environment %q", got)
	}
	if got, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err != nil || filepath.Base(got) != "busybox" {
		t.Errorf("exe %q, %v", got, err)
	}
	if got := proc(t, pid, "comm"); got != "sleep" {
		t.Errorf("comm %q", got)
	}
	// Of a process that is not dumpable they are root's: proc_pid(5).
	var st unix.Stat_t
	if err := unix.Stat(fmt.Sprintf("/proc/%d/environ", pid), &st); err != nil || st.Uid != 1000 {
		t.Errorf("owner of its files %d, %v: it is not dumpable", st.Uid, err)
	}
	maps := proc(t, pid, "maps")
	if strings.Contains(maps, "mocker") || strings.Contains(maps, "zero (deleted)") {
		t.Errorf("something of the runtime is mapped:\n%s", maps)
	}
}

// TestSurvivesCreate: neither the end of create nor that of its session or
// thread ends the container, waiting or running.
func TestSurvivesCreate(t *testing.T) {
	b := newBox(t, forever)
	cmd := exec.Command(drive.Runtime(t), "create", "--bundle", b.bundle, b.id)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	if got := b.state().Status; got != "created" {
		t.Fatalf("status %s", got)
	}
	b.start()
	time.Sleep(100 * time.Millisecond)
	if got := b.state().Status; got != "running" {
		t.Errorf("status %s", got)
	}
}

// TestKeyring: a session keyring of its own, unless told otherwise.
func TestKeyring(t *testing.T) {
	for flag, want := range map[string]bool{"": true, "--no-new-keyring": false} {
		b := newBox(t, drive.Sh("cat /proc/keys"), func(s *specs.Spec) { s.Linux.MaskedPaths = nil })
		var flags []string
		if flag != "" {
			flags = []string{flag}
		}
		if got := b.run(flags...).Stdout; strings.Contains(got, "_ses."+b.id) != want {
			t.Errorf("with flag %q:\n%s", flag, got)
		}
	}
}

// TestWaitingMemory: a created container costs little until it starts.
func TestWaitingMemory(t *testing.T) {
	drive.MockersOwn(t, "a waiting runc is a whole Go program")
	b := newBox(t).create()
	text := proc(t, b.state().Pid, "smaps_rollup")
	// The rest is the binary, which all of them share.
	total := 0
	for _, name := range []string{"Pss_Anon", "Pss_Shmem"} {
		n, err := strconv.Atoi(strings.TrimSuffix(field(text, name), " kB"))
		if err != nil {
			t.Fatalf("%v:\n%s", err, text)
		}
		total += n
	}
	if total > 128 {
		t.Errorf("%d KiB of private memory:\n%s", total, text)
	}
}

// TestPidOne: the process is the first of its pid namespace, the leader of
// its session, and what it sees in /proc is its own.
func TestPidOne(t *testing.T) {
	got := inside(t, `echo $$ $PPID; cut -d' ' -f5,6 /proc/1/stat; ls /proc | grep -c '^[0-9]'`)
	if f := strings.Fields(got); len(f) != 5 || f[0] != "1" || f[1] != "0" || f[2] != "1" || f[3] != "1" {
		t.Errorf("got %q", got)
	}
}

// TestLookUp: the program is looked for in the process's own PATH, as its
// user, below its working directory.
func TestLookUp(t *testing.T) {
	coverage.Shows(t, "process.args")
	for _, test := range []struct {
		name string
		edit edit
	}{
		{"the process's PATH", func(s *specs.Spec) { s.Process.Env = []string{"PATH=/opt"}; s.Process.Args = []string{"mine"} }},
		{"relative", func(s *specs.Spec) { s.Process.Cwd = "/opt"; s.Process.Args = []string{"./mine"} }},
		{"an empty element", func(s *specs.Spec) {
			s.Process.Cwd = "/opt"
			s.Process.Env = []string{"PATH=/none:"}
			s.Process.Args = []string{"mine"}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.name == "an empty element" {
				drive.MockersOwn(t, "runc refuses a program in the working directory, unlike execvp(3)")
			}
			b := newBox(t, test.edit)
			opt := filepath.Join(b.bundle, "rootfs/opt")
			script := "#!/bin/sh\necho $0\n"
			if err := os.Mkdir(opt, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(opt, "mine"), []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
			if r := b.run(); r.Code != 0 || filepath.Base(strings.TrimSpace(r.Stdout)) != "mine" {
				t.Error(r)
			}
		})
	}
}
