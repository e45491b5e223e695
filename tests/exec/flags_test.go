package exec

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// TestStatus: the program's status is that of exec, and 255 is mocker's own.
func TestStatus(t *testing.T) {
	b := running(t)
	for script, want := range map[string]int{
		"true": 0, "exit 1": 1, "exit 42": 42, "exit 255": 255,
		"kill -TERM $$": 128 + 15, "kill -KILL $$": 128 + 9, "kill -ABRT $$": 128 + 6,
	} {
		if r := b.exec(script); r.Code != want || r.Stdout+r.Stderr != "" {
			t.Errorf("%s: %v, want exit %d", script, r, want)
		}
	}
	if r := drive.Run(t, "exec", b.id, "/no/such"); r.Code != 255 || !strings.Contains(r.Stderr, "no such file or directory") {
		t.Errorf("a program that is not there: %v", r)
	}
	if r := drive.Run(t, "exec", b.id+"x", "true"); r.Code != 255 || !strings.Contains(r.Stderr, "container does not exist") {
		t.Errorf("a container that is not there: %v", r)
	}
}

// TestFlags: what each flag that is about the process makes of it.
func TestFlags(t *testing.T) {
	b := running(t, func(s *specs.Spec) {
		s.Process.Env = []string{"PATH=/bin", "A=config", "B=config"}
		s.Process.NoNewPrivileges = false
		s.Process.User.AdditionalGids = []uint32{9}
		s.Process.Capabilities = &specs.LinuxCapabilities{
			Bounding: []string{"CAP_KILL", "CAP_CHOWN"}, Permitted: []string{"CAP_KILL"}, Effective: []string{"CAP_KILL"},
		}
	})
	const status = "for f in Uid Gid Groups NoNewPrivs CapInh CapPrm CapEff CapBnd CapAmb; do grep ^$f: /proc/self/status; done | tr -s '\\t ' ' ' | tr '\\n' ';'"
	const caps = "CapInh: 0000000000000000;CapPrm: %s;CapEff: %s;CapBnd: %s;CapAmb: 0000000000000000;"
	for _, test := range []struct {
		flags        string
		script, want string
	}{
		{"", "pwd; echo $A $B $HOME", "/\nconfig config /root\n"},
		{"--cwd /tmp", "pwd", "/tmp\n"},
		{"-e A=1,2 -e C=", "echo $A,$B,$C; env | grep -c ^C=", "1,2,config,\n1\n"},
		{"--env HOME=/mine", "echo $HOME", "/mine\n"},
		// execve(2) by root has all of the bounding set
		{"", status, "Uid: 0 0 0 0;Gid: 0 0 0 0;Groups: 9 ;NoNewPrivs: 0;" + fmt.Sprintf(caps, bits(0, 5), bits(0, 5), bits(0, 5))},
		{"--user 1000", status, "Uid: 1000 1000 1000 1000;Gid: 0 0 0 0;Groups: 9 ;NoNewPrivs: 0;" + fmt.Sprintf(caps, bits(), bits(), bits(0, 5))},
		{"-u 1000:1001 -g 70000 -g 7", status, "Uid: 1000 1000 1000 1000;Gid: 1001 1001 1001 1001;Groups: 7 9 70000 ;NoNewPrivs: 0;" + fmt.Sprintf(caps, bits(), bits(), bits(0, 5))},
		{"--cap CAP_NET_ADMIN --cap CAP_SYS_ADMIN", status, "Uid: 0 0 0 0;Gid: 0 0 0 0;Groups: 9 ;NoNewPrivs: 0;" + fmt.Sprintf(caps, bits(0, 5, 12, 21), bits(0, 5, 12, 21), bits(0, 5, 12, 21))},
		{"--no-new-privs", status, "Uid: 0 0 0 0;Gid: 0 0 0 0;Groups: 9 ;NoNewPrivs: 1;" + fmt.Sprintf(caps, bits(5), bits(5), bits(0, 5))},
		{"--no-new-privs --cap CAP_NET_ADMIN", status, "Uid: 0 0 0 0;Gid: 0 0 0 0;Groups: 9 ;NoNewPrivs: 1;" + fmt.Sprintf(caps, bits(5, 12), bits(5, 12), bits(0, 5, 12))},
	} {
		if got := b.prints(test.script, strings.Fields(test.flags)...); strings.ReplaceAll(got, "Groups: ;", "Groups:;") != test.want {
			t.Errorf("exec %s: %s\ngot  %q\nwant %q", test.flags, test.script, got, test.want)
		}
	}
	// Behind the id everything is the program's.
	if got := drive.OK(t, "exec", b.id, "echo", "--tty", "-e", "x"); got != "--tty -e x\n" {
		t.Errorf("flags of the program: %q", got)
	}
}

func bits(list ...int) string {
	var set uint64
	for _, bit := range list {
		set |= 1 << bit
	}
	return fmt.Sprintf("%016x", set)
}

// TestInherits: exec --cap makes capabilities ambient where some are
// inheritable, so that a user keeps them over execve.
func TestInherits(t *testing.T) {
	b := running(t, func(s *specs.Spec) {
		set := []string{"CAP_KILL", "CAP_CHOWN"}
		s.Process.User.UID = 1000
		s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: set, Permitted: set, Effective: set, Inheritable: set, Ambient: []string{"CAP_KILL"}}
	})
	for flags, want := range map[string]string{"": bits(5), "--cap CAP_CHOWN": bits(0, 5)} {
		if got := b.prints("grep CapEff /proc/self/status", strings.Fields(flags)...); field(got, "CapEff") != want {
			t.Errorf("exec %s: effective capabilities %s, want %s", flags, got, want)
		}
	}
}

// TestProcessFile: a process.json says everything, also from a pipe, and
// config.json is not asked.
func TestProcessFile(t *testing.T) {
	b := running(t)
	adj, umask := 321, uint32(0o027)
	file := b.process(func(p *specs.Process) {
		script("id -u; id -g; umask; pwd; echo $X; cat /proc/self/oom_score_adj; ulimit -n; ulimit -c; grep -E 'NoNew|CapPrm' /proc/self/status")(p)
		p.User = specs.User{UID: 1000, GID: 1001, Umask: &umask}
		p.Env, p.Cwd, p.OOMScoreAdj, p.NoNewPrivileges = []string{"PATH=/bin", "X=y"}, "/tmp", &adj, true
		p.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 100, Hard: 200}, {Type: "RLIMIT_CORE", Soft: 0, Hard: 0}}
		p.Capabilities = nil
	})
	want := "1000\n1001\n0027\n/tmp\ny\n321\n100\n0\nCapPrm:\t0000000000000000\nNoNewPrivs:\t1\n"
	if os.Getenv("RUNTIME") != "" {
		want = strings.NewReplacer("\n321\n", "\n0\n", "0027", "0022").Replace(want) // Debian's runc takes the container's
	}
	if err := os.Rename(b.bundle+"/config.json", b.bundle+"/moved"); err != nil {
		t.Fatal(err)
	}
	if r := b.exec("", "--process", file); r.Stdout != want || r.Code != 0 {
		t.Errorf("%v\nwant %q", r, want)
	}
	r := drive.Exec(t, "sh", "-c", `cat "$1" | "$2" exec -p /dev/stdin "$3"`, "sh", file, drive.Runtime(t), b.id)
	if r.Stdout != want || r.Code != 0 {
		t.Errorf("from a pipe: %v", r)
	}
}

// TestLimits: the lowest limits keep no process from coming to be.
func TestLimits(t *testing.T) {
	drive.MockersOwn(t, "runc's own Go needs more descriptors than that")
	b := running(t)
	file := b.process(func(p *specs.Process) {
		p.Args, p.User.UID = []string{"/bin/busybox", "cat", "/proc/self/limits"}, 31337
		p.Rlimits = []specs.POSIXRlimit{
			{Type: "RLIMIT_NPROC", Soft: 1, Hard: 2}, {Type: "RLIMIT_NOFILE", Soft: 4, Hard: 4},
			{Type: "RLIMIT_STACK", Soft: 1 << 20, Hard: 1 << 20}, {Type: "RLIMIT_AS", Soft: 16 << 20, Hard: 16 << 20},
		}
	})
	r := b.exec("", "--process", file)
	for _, want := range []string{"Max processes 1 2", "Max open files 4 4", "Max stack size 1048576 1048576", "Max address space 16777216 16777216"} {
		if !strings.Contains(strings.Join(strings.Fields(r.Stdout), " "), want) {
			t.Errorf("no %q: %v", want, r)
		}
	}
}

// TestNofile: without a limit of its own a process has that which mocker was
// called with, and not what its Go has made of it.
func TestNofile(t *testing.T) {
	drive.MockersOwn(t, "runc's own Go raises the soft limit for the container too")
	b := running(t)
	r := drive.Exec(t, "sh", "-c", `ulimit -Sn 321 && ulimit -Hn 654 && exec "$@"`, "sh", drive.Runtime(t), "exec", "--process", b.process(func(p *specs.Process) {
		p.Rlimits = nil
		script("ulimit -Sn; ulimit -Hn")(p)
	}), b.id)
	if r.Stdout != "321\n654\n" {
		t.Errorf("%v", r)
	}
}

// TestDescriptors: stdio and what is preserved, nothing else.
func TestDescriptors(t *testing.T) {
	b := running(t)
	const list = "exec ls /proc/self/fd" // ls itself opens one more
	open := func(flags ...string) string {
		t.Helper()
		cmd := exec.Command(drive.Runtime(t), b.args(list, flags...)...)
		for range 3 {
			f, err := os.Open("/etc/hostname")
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			cmd.ExtraFiles = append(cmd.ExtraFiles, f)
		}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v: %s", flags, err, out)
		}
		return strings.Join(strings.Fields(string(out)), " ")
	}
	if got := open(); got != "0 1 2 3" {
		t.Errorf("descriptors %s", got)
	}
	if got := open("--preserve-fds", "2"); got != "0 1 2 3 4 5" {
		t.Errorf("with two preserved: %s", got)
	}
	for _, tty := range []string{"", "--tty"} {
		if tty != "" {
			drive.MockersOwn(t, "runc needs a terminal of its own for --tty")
		}
		got := b.prints("for f in /proc/self/fd/*; do readlink $f; done; ls -di /proc/self/root/ /proc/self/cwd/ | wc -l", strings.Fields(tty)...)
		for line := range strings.Lines(got) {
			if strings.Contains(line, b.bundle) || strings.Contains(line, "cgroup") || strings.Contains(line, "ns") {
				t.Errorf("exec %s: a descriptor of the host: %s", tty, line)
			}
		}
	}
}
