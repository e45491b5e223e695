package security

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// TestIsolation asks the process in the container what it has and sees.
func TestIsolation(t *testing.T) {
	t.Setenv("SECRET_OF_THE_CALLER", "canary")
	for _, c := range []struct {
		name   string
		script string
		edit   func(*specs.Spec)
		want   string // regular expression of the whole output
	}{
		{"inheritable and ambient capabilities", "grep -E 'CapInh|CapAmb' /proc/1/status", func(s *specs.Spec) { s.Process.Capabilities.Ambient = nil },
			`CapInh:\s0{16}\nCapAmb:\s0{16}\n`},
		{"capabilities are those asked for", "grep -E 'CapPrm|CapEff|CapBnd' /proc/1/status", nil,
			`CapPrm:\s0{8}20000420\nCapEff:\s0{8}20000420\nCapBnd:\s0{8}20000420\n`},
		{"no capabilities for another user", "grep -E 'CapPrm|CapEff' /proc/1/status", func(s *specs.Spec) {
			s.Process.User = specs.User{UID: 1000, GID: 1000}
			s.Process.Capabilities.Ambient = nil
			s.Process.Capabilities.Effective = nil
			s.Process.Capabilities.Permitted = nil
		}, `CapPrm:\s0{16}\nCapEff:\s0{16}\n`},
		{"no new privileges, no groups of the caller", "grep -E 'NoNewPrivs|^Groups' /proc/1/status", nil, `Groups:\s*\nNoNewPrivs:\s1\n`},
		{"signals", "grep -E 'SigBlk|SigIgn|SigPnd|ShdPnd' /proc/self/status", nil, `SigPnd:\s0+\nShdPnd:\s0+\nSigBlk:\s0+\nSigIgn:\s0+\n`},
		{"environment", "tr '\\0' '\\n' </proc/1/environ", nil, `PATH=\S+\nTERM=xterm\nHOME=/root\n`},
		{"command line", "tr '\\0' ' ' </proc/1/cmdline | cut -c-6", nil, "sh -c \n"},
		{"binary, directory, root", "for l in exe cwd root; do readlink /proc/1/$l; done", nil, "/bin/busybox\n/\n/\n"},
		{"processes", "ls /proc | grep -E '^[0-9]+$' | wc -l; ls /proc | grep -cE '^1$'; grep -c . /proc/1/task/1/children", nil, `[34]\n1\n[01]\n`},
		{"threads", "grep Threads /proc/1/status", nil, `Threads:\s1\n`},
		{"memory is not mocker's", "grep -cE 'mocker|memfd' /proc/1/maps", nil, "0\n"},
		{"mounts of the host", "awk '$5==\"/\"' /proc/self/mountinfo | wc -l; awk '{print $5}' /proc/self/mountinfo | grep -vE '^/(proc|dev|sys)?(/|$)' | wc -l", nil,
			"1\n0\n"},
		{"no way up", "cd /; cd ../../../..; pwd; ls -d ../../canary", nil, "/\n"},
		{"cgroups", "for d in /sys/fs/cgroup /sys/fs/cgroup/*/; do mkdir $d/x 2>&1 | grep -v 'Read-only file system'; echo 1 2>&1 >$d/cgroup.procs; done 2>&1" +
			" | grep -vE 'Read-only file system|nonexistent directory|can.t create'", nil, ""},
		{"sysctls", "echo 1 >/proc/sys/net/ipv4/ip_forward || echo no; echo 1 >/proc/sysrq-trigger || echo no", nil, "no\nno\n"},
		{"masks", "cat /proc/kcore /proc/keys /proc/timer_list | wc -c; ls /sys/firmware /proc/acpi | grep -v :", nil, `0\n\n?`},
		{"masks do not lead to the host's null", "chmod 666 /proc/keys 2>&1; chown 0 /proc/keys 2>&1; echo end", allCaps, `(?s)chmod.*Read-only.*chown.*Read-only.*end\n`},
		{"devices", "mknod /tmp/disk b 254 0 && head -c 1 /tmp/disk", allCaps, ""},
		{"out of memory score", "cat /proc/1/oom_score_adj", func(s *specs.Spec) { n := 5; s.Process.OOMScoreAdj = &n }, "5\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bundle, _, canary := box(t, func(s *specs.Spec) {
				s.Process.Args = []string{"sh", "-c", c.script + "; true"}
				if c.edit != nil {
					c.edit(s)
				}
			})
			r := run(t, bundle)
			if r.Code != 0 || !regexp.MustCompile("^(?:"+c.want+")$").MatchString(r.Stdout) {
				t.Errorf("want %q: %v", c.want, r)
			}
			canary.unharmed(t)
		})
	}
}

// TestKeyring: the session keyring of the caller, with what it holds, is none
// of the container's business; it is there with --no-new-keyring.
func TestKeyring(t *testing.T) {
	bundle := drive.Bundle(t, func(s *specs.Spec) { s.Process.Args = []string{"hostile", "key"} })
	hostile(t, filepath.Join(bundle, "rootfs/bin/hostile"))
	out := make(chan string)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread goes with its keyring
		defer close(out)
		ring, err := unix.KeyctlJoinSessionKeyring("security-caller")
		if err == nil {
			_, err = unix.AddKey("user", "security-canary", []byte("the secret"), ring)
		}
		if err != nil {
			t.Errorf("make a key: %v", err)
			return
		}
		for _, flags := range [][]string{nil, {"--no-new-keyring"}} {
			args := append([]string{"run", "--bundle", bundle}, flags...)
			text, err := exec.Command(drive.Runtime(t), append(args, "security-keys")...).CombinedOutput()
			if err != nil {
				t.Errorf("run: %v: %s", err, text)
			}
			out <- string(text)
		}
	}()
	if got := <-out; !regexp.MustCompile(`^keyring;0;0;[0-9a-f]+;_ses.security-keys: required key not available\n$`).MatchString(got) {
		t.Errorf("session keyring and key of the container: %q", got)
	}
	if got := <-out; !strings.Contains(got, "the secret") {
		t.Errorf("with --no-new-keyring the key cannot be read: this test shows nothing: %q", got)
	}
}

// TestTerminal: a container cannot type into the terminal that mocker was
// called from (TIOCSTI), for that is not its own; not even one that got it as
// standard input.
func TestTerminal(t *testing.T) {
	for _, c := range []struct {
		name     string
		terminal bool
		want     string
	}{
		{"inherited", false, "no /dev/tty, refused"},
		{"own", true, "/dev/tty"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bundle := drive.Bundle(t, func(s *specs.Spec) {
				s.Process.Args = []string{"hostile", "type"}
				s.Process.Terminal = c.terminal
			})
			hostile(t, filepath.Join(bundle, "rootfs/bin/hostile"))
			said, typed := onTerminal(t, drive.Runtime(t), "run", "--bundle", bundle, "security-tty")
			if !strings.Contains(said, c.want) {
				t.Errorf("the container says %q, want %q", said, c.want)
			}
			if typed {
				t.Error("it has typed into the caller's terminal")
			}
		})
	}
	weak := filepath.Join(t.TempDir(), "weak")
	hostile(t, weak)
	if said, typed := onTerminal(t, weak, "type"); !typed {
		t.Errorf("without a container the attack does not work either: %q", said)
	}
}

// onTerminal runs a program on a terminal of its own, and reports whether
// anybody has typed something there.
func onTerminal(t *testing.T, path string, args ...string) (said string, typed bool) {
	t.Helper()
	master, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(master)
	must(t, unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(master, unix.TIOCGPTN)
	must(t, err)
	name := "/dev/pts/" + strconv.Itoa(number)
	slave, err := os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	defer slave.Close()
	cmd := exec.Command(path, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true, Setctty: true}
	must(t, cmd.Start())
	_ = cmd.Wait() // what it says shows how it went
	buf := make([]byte, 4096)
	time.Sleep(20 * time.Millisecond)
	n, _ := unix.Read(master, buf)
	said = string(buf[:max(n, 0)])
	// What has been typed can be read as a line.
	input, err := unix.Open(name, unix.O_RDONLY|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(input)
	n, _ = unix.Read(input, buf)
	return said, n > 0
}

// TestOneProcess: while a container waits, and when it runs, its cgroup holds
// its process and nothing of mocker's; and so does its pid namespace.
func TestOneProcess(t *testing.T) {
	bundle := drive.Bundle(t, func(s *specs.Spec) {
		s.Process.Args = []string{"sleep", "1000"}
		s.Linux.CgroupsPath = "/security-one"
	})
	drive.OK(t, "create", "--bundle", bundle, "security-one")
	defer drive.Run(t, "delete", "--force", "security-one")
	for _, verb := range []string{"create", "start"} {
		if verb == "start" {
			drive.OK(t, "start", "security-one")
		}
		data, err := os.ReadFile("/sys/fs/cgroup/pids/security-one/tasks")
		if os.IsNotExist(err) {
			data, err = os.ReadFile("/sys/fs/cgroup/security-one/cgroup.threads")
		}
		must(t, err)
		tasks := strings.Fields(string(data))
		if len(tasks) != 1 {
			t.Fatalf("after %s: tasks %v", verb, tasks)
		}
		ns, err := os.Readlink("/proc/" + tasks[0] + "/ns/pid")
		must(t, err)
		all, _ := filepath.Glob("/proc/[0-9]*/ns/pid")
		n := 0
		for _, f := range all {
			if other, err := os.Readlink(f); err == nil && other == ns {
				n++
			}
		}
		if n != 1 {
			t.Errorf("after %s: %d processes in the pid namespace of the container", verb, n)
		}
	}
}
