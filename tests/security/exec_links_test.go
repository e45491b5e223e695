package security

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// execAttack is what a process of a container does to its own root, so that
// an exec goes astray.
type execAttack struct {
	name  string
	cves  []string
	plant func(t *testing.T, root, canary string) // as the process could have done
	cover string                                  // what it does in its mount namespace
	line  []string                                // of exec: flags, then "--" and the program
	many  bool                                    // N in the line stands for each descriptor
	want  string                                  // regular expression of stdout; "": it may be refused
	code  int                                     // exit status with "", unless 0
}

var execAttacks = []execAttack{
	{name: "cwd is a descriptor", cves: []string{"CVE-2024-21626"}, many: true, code: 255,
		line: []string{"--cwd", "/proc/self/fd/N", "--", "cat", "../../../../../../../..CANARY/secret"}},
	{name: "cwd is a link to one", cves: []string{"CVE-2024-21626"}, many: true, code: 255,
		plant: func(t *testing.T, root, _ string) {
			must(t, os.Mkdir(root+"/links", 0o755))
			for fd := 3; fd < 64; fd++ {
				must(t, os.Symlink(fmt.Sprintf("/proc/self/fd/%d", fd), fmt.Sprintf("%s/links/%d", root, fd)))
			}
		},
		line: []string{"--cwd", "/links/N", "--", "cat", "../../../../../../../..CANARY/secret"}},
	{name: "program by a descriptor", cves: []string{"CVE-2024-21626"}, many: true, code: 255,
		line: []string{"--", "/proc/self/fd/N/../../../../../../../..CANARY/leak"}},
	{name: "PATH by a descriptor", cves: []string{"CVE-2024-21626"}, many: true, code: 255,
		line: []string{"--env", "PATH=/proc/self/fd/N/../../../../../../../..CANARY", "--", "leak"}},
	{name: "a directory to make behind a link", cves: []string{"CVE-2024-45310"},
		plant: func(t *testing.T, root, _ string) {
			place(t, root+"/work", link("../canary"))
		},
		line: []string{"--cwd", "/work/new", "--", "true"}},
	{name: "null is a link", cves: []string{"CVE-2026-88265", "CVE-2025-31133"}, want: "uid=",
		cover: "umount /dev/pts /dev/shm /dev/mqueue; umount -l /dev; ln -sf ../../canary/secret /dev/null",
		line:  []string{"--user", "OTHER", "--", "/bin/busybox", "id"}},
	{name: "pts is a link", cves: []string{"CVE-2025-52565", "CVE-2026-88264"}, code: 255,
		cover: "umount /dev/pts /dev/shm /dev/mqueue; umount -l /dev; rm -rf /dev/pts; ln -s ../../canary/pts /dev/pts; ln -s ../../canary/console /dev/console",
		line:  []string{"--tty", "--", "/bin/busybox", "id"}},
	{name: "ptmx is a FIFO", cves: []string{"CVE-2025-52565"}, code: 255,
		cover: "mount -t tmpfs x /dev/pts; mkfifo /dev/pts/ptmx",
		line:  []string{"--tty", "--", "id"}},
	{name: "ptmx is a link to another terminal's", cves: []string{"CVE-2025-52565"}, code: 255,
		cover: "mount -t tmpfs x /dev/pts; ln -s /dev/tty /dev/pts/ptmx",
		line:  []string{"--tty", "--", "id"}},
	{name: "proc is covered", cves: []string{"CVE-2025-52881", "CVE-2019-16884", "CVE-2019-19921"}, want: `^1000\n$`,
		cover: "mkdir /true; mount -t proc x /true; mount -t tmpfs x /proc; mkdir -p /proc/self/attr /proc/1; ln -s self /proc/thread-self; echo fake >/proc/self/oom_score_adj",
		line:  []string{"--process", "PROCESS"}},
	{name: "proc is gone", cves: []string{"CVE-2025-52881", "CVE-2023-28642"}, want: `^1000\n$`,
		cover: "mkdir /true; mount -t proc x /true; umount -l /proc; rmdir /proc; ln -s /tmp /proc",
		line:  []string{"--process", "PROCESS"}},
}

// TestExecLeadsNowhere: what a container has made of its own root does not
// lead an exec out of it.
func TestExecLeadsNowhere(t *testing.T) {
	for _, a := range execAttacks {
		for _, w := range everyOwner {
			t.Run(a.name+"/"+w.name, func(t *testing.T) { a.by(t, w) })
		}
	}
}

func (a execAttack) by(t *testing.T, w way) {
	attack(t, execColumn(w), a.cves...)
	bundle, root, c := w.box(t, func(s *specs.Spec) {
		if !w.rootless {
			allCaps(s)
		} else {
			all := []string{"CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE", "CAP_CHOWN"}
			s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: all, Effective: all, Permitted: all}
		}
		s.Process.NoNewPrivileges = false
		s.Process.Args = []string{"sh", "-c", a.cover + "\n>/ready; exec sleep 1000"}
	})
	hostile(t, filepath.Join(c.dir, "leak"))
	if a.plant != nil {
		a.plant(t, root, c.dir)
	}
	w.own(t, bundle)
	c.before = c.look(t)
	id := w.id(t)
	if r := w.drive(t, "run", "--detach", "--bundle", bundle, id); r.Code != 0 {
		t.Fatal(r)
	}
	drive.Eventually(t, "the container is ready", func() bool { _, err := os.Stat(root + "/ready"); return err == nil })
	null := nullOf(t)
	process := filepath.Join(bundle, "process.json")
	must(t, os.WriteFile(process, []byte(`{"args": ["/bin/busybox", "cat", "/true/self/oom_score_adj"], "cwd": "/", "oomScoreAdj": 1000, "user": {"uid": 0, "gid": 0}}`), 0o644))
	other := map[bool]string{true: "0:0", false: "1000:1000"}[w.rootless]
	last := 3
	if a.many {
		last = times(64, 6, 4)
	}
	for fd := 3; fd <= last; fd++ {
		words := strings.NewReplacer("CANARY", c.dir, "PROCESS", process, "OTHER", other, "/N", fmt.Sprintf("/%d", fd))
		line := []string{"exec"}
		placed := false
		for _, word := range a.line {
			if word == "--" {
				line, placed = append(line, id), true
				continue
			}
			line = append(line, words.Replace(word))
		}
		if !placed {
			line = append(line, id)
		}
		r := w.drive(t, line...)
		if strings.Contains(r.Stdout, "the host's") {
			harmed(t, "it has read the canary: %v", r)
		}
		if ok, err := regexp.MatchString(a.want, r.Stdout); err != nil || !ok && a.want != "" && (!drive.Others() || r.Code == 0) {
			t.Errorf("want %q: %v", a.want, r)
		}
		if a.code != 0 && (r.Code == 0 || !drive.Others() && r.Code != a.code && r.Code != 1 || r.Stderr == "") {
			t.Errorf("it is to be refused: %v", r)
		}
		if r.Took > drive.Patience(5e9) {
			t.Errorf("it took %v", r.Took)
		}
		if fd == 3 {
			t.Logf("exit %d: %s", r.Code, strings.TrimSpace(r.Stderr))
		}
	}
	c.unharmed(t)
	if now := nullOf(t); now != null {
		must(t, os.Chown("/dev/null", 0, 0))
		// crun gives away its standard input, attacked or not.
		if !drive.Others() {
			harmed(t, "the host's /dev/null was %s, and is %s", null, now)
		}
	}
}

// execColumn is the column of the table for an exec.
func execColumn(w way) string {
	if w == byRun {
		return "exec"
	}
	return w.name
}

// nullOf is the owner and the mode of the host's /dev/null.
func nullOf(t *testing.T) string {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Stat("/dev/null", &st))
	return fmt.Sprintf("%d:%d %o", st.Uid, st.Gid, st.Mode)
}

// TestExecUser: CVE-2026-30892. A user is a number, all of it.
func TestExecUser(t *testing.T) {
	attack(t, "exec", "CVE-2026-30892")
	careless := -1
	if _, err := fmt.Sscanf("1x", "%d", &careless); err != nil || careless != 1 {
		t.Errorf("who reads numbers carelessly reads %d: %v", careless, err)
	}
	b := sleeper(t, byRun, nil)
	for user, want := range map[string]string{
		"0": "0 0", "1": "1 0", "1:2": "1 2", "1000:1001": "1000 1001", "65534": "65534 0", "007": "7 0", "4294967294": "4294967294 0",
		"": "", "1:": "", ":5": "", ":": "", "a": "", "1x": "", "x1": "", "1:x": "", "1:2:3": "", "-1": "", "+1": "", " 1": "", "1 ": "", "0x1": "",
		"1e3": "", "1.0": "", "4294967295": "", "4294967296": "", "18446744073709551616": "", "1:4294967295": "", "root": "", "1,2": "", "\u0661": "",
	} {
		r := drive.Run(t, "exec", "--user", user, b, "sh", "-c", "echo $(id -u) $(id -g)")
		got := strings.TrimSpace(r.Stdout)
		// Others take names, and nothing for root.
		if name, _, _ := strings.Cut(user, ":"); strings.HasPrefix(got, "0 ") && got != want && name != "" && name != "root" {
			harmed(t, "--user %q runs as %q, want %q", user, got, want)
		}
		if got != want || (r.Code == 0) != (want != "") {
			t.Errorf("--user %q: %v", user, r)
		}
	}
}

// TestExecCapabilities: CVE-2022-24769. Nothing is inheritable that nobody has
// asked for.
func TestExecCapabilities(t *testing.T) {
	for _, w := range everyOwner {
		t.Run(w.name, func(t *testing.T) {
			attack(t, execColumn(w), "CVE-2022-24769", "CVE-2022-29162", "CVE-2022-27650", "CVE-2025-27612")
			id := sleeper(t, w, nil)
			for _, flags := range [][]string{nil, {"--cap", "CAP_NET_RAW"}, {"--cap", "CAP_SYS_ADMIN", "--cap", "CAP_CHOWN"}} {
				args := append(append([]string{"exec"}, flags...), id, "grep", "-E", "CapInh|CapAmb|CapEff", "/proc/self/status")
				r := w.drive(t, args...)
				if !regexp.MustCompile(`CapInh:\s0{16}\n`).MatchString(r.Stdout) || len(flags) == 0 && !regexp.MustCompile(`CapAmb:\s0{16}\n`).MatchString(r.Stdout) {
					harmed(t, "exec %q: %v", flags, r)
				}
				if flags != nil && strings.Contains(r.Stdout, "CapEff:\t0000000000000000") {
					t.Errorf("exec %q has no capability: %v", flags, r)
				}
			}
		})
	}
}

// sleeper is the id of a container that sleeps, and goes with the test.
func sleeper(t *testing.T, w way, edit func(*specs.Spec)) string {
	t.Helper()
	bundle, _, _ := w.box(t, func(s *specs.Spec) {
		s.Process.Args = []string{"sleep", "1000"}
		if edit != nil {
			edit(s)
		}
	})
	id := w.id(t)
	if r := w.drive(t, "run", "--detach", "--bundle", bundle, id); r.Code != 0 {
		t.Fatal(r)
	}
	return id
}
