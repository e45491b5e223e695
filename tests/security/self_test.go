package security

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// TestSelf: what a process can ask about itself that mocker has otherwise, or
// has had on the way: first processes and those of exec.
func TestSelf(t *testing.T) {
	// What mocker is started with and the process is not to have.
	must(t, unix.Prctl(unix.PR_SET_TIMERSLACK, 77777, 0, 0, 0))
	defer func() { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) }()
	for _, w := range everyWay {
		t.Run(w.name, func(t *testing.T) {
			attack(t, w.name, "CVE-2016-9962", "CVE-2024-21626", "CVE-2022-24769")
			bundle, root, _ := w.box(t, func(s *specs.Spec) { s.Process.Args = []string{"hostile", "self"} })
			hostile(t, root+"/bin/hostile")
			w.own(t, bundle)
			r := w.run(t, bundle)
			selfIs(t, r, "/bin/hostile")

			drive.Edit(t, bundle, func(s *specs.Spec) { s.Process.Args = []string{"sleep", "1000"} })
			id := w.id(t)
			if r := w.drive(t, "run", "--detach", "--bundle", bundle, id); r.Code != 0 {
				t.Fatal(r)
			}
			selfIs(t, w.drive(t, "exec", id, "hostile", "self"), "/bin/hostile")
		})
	}
}

func selfIs(t *testing.T, r drive.Result, program string) {
	t.Helper()
	want := regexp.MustCompile(`^dumpable 1 <nil>
securebits 0 <nil>
keepcaps 0 <nil>
timerslack \d+ <nil>
personality 00000000
descriptors 1024
priorities 0 -?\d+
umask 18
TracerPid 0
Groups ?
SigIgn 0000000000000000
CapInh 0000000000000000
CapAmb 0{16}
NoNewPrivs 1
exe ` + regexp.QuoteMeta(program) + `
cwd /
root /
$`)
	// What others inherit of the caller is no escape.
	if r.Code != 0 || !want.MatchString(r.Stdout) && !drive.Others() {
		t.Errorf("want %s\ngot %v", want, r)
	}
	if strings.Contains(r.Stdout, "\ndescriptor ") {
		harmed(t, "it has descriptors: %s", r.Stdout)
	}
}

// TestImageStaysAsItIs: CVE-2025-24965. mocker writes no file into a root file
// system: whatever an image has in the way, nothing is written there.
func TestImageStaysAsItIs(t *testing.T) {
	for _, w := range everyOwner {
		t.Run(w.name, func(t *testing.T) {
			attack(t, w.name, "CVE-2025-24965")
			bundle, root, c := w.box(t, nil)
			for _, p := range []string{".krun_config.json", "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab", "run", ".dockerenv"} {
				place(t, filepath.Join(root, p), link("../canary/secret"))
			}
			w.own(t, bundle)
			before := listing(t, root)
			c.before = c.look(t)
			if r := w.run(t, bundle); r.Code != 0 {
				t.Error(r)
			}
			c.unharmed(t)
			if now := listing(t, root); now != before {
				t.Errorf("the image was\n%s\nand is\n%s", before, now)
			}
		})
	}
}

// listing is what is in a tree, but for times.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	must(t, filepath.WalkDir(dir, func(p string, _ fs.DirEntry, err error) error {
		var st unix.Stat_t
		if err == nil {
			err = unix.Lstat(p, &st)
		}
		fmt.Fprintf(&b, "%s %o %d:%d %d %d\n", p, st.Mode, st.Uid, st.Gid, st.Size, st.Mtim.Nano())
		return err
	}))
	return b.String()
}

// TestPasswdOfTheImage: mocker reads HOME from a file of the image, which may
// be anything.
func TestPasswdOfTheImage(t *testing.T) {
	drive.MockersOwn(t, "runc waits for a FIFO for ever, and refuses the rest")
	for _, c := range []struct {
		name string
		put  func(string) error
	}{
		{"a FIFO", func(p string) error { return unix.Mkfifo(p, 0o666) }},
		{"a device without an end", func(p string) error { return unix.Mknod(p, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))) }},
		{"a socket", func(p string) error { return unix.Mknod(p, unix.S_IFSOCK|0o666, 0) }},
		{"a directory", func(p string) error { return os.Mkdir(p, 0o755) }},
		{"a link to itself", link("passwd")},
		{"a link out", link("../../canary/sub/file")},
		{"a link to a descriptor", link("/proc/self/fd/3")},
		{"a terabyte", func(p string) error { must(t, os.WriteFile(p, nil, 0o644)); return os.Truncate(p, 1<<40) }},
		{"a line without an end", func(p string) error { return os.WriteFile(p, []byte(strings.Repeat("x", 4<<20)), 0o644) }},
		{"a home with surprises", func(p string) error { return os.WriteFile(p, []byte("a:x:0:0::/x\x00y=z\xff:\n"), 0o644) }},
	} {
		for _, w := range []way{byRun, inUserns} {
			t.Run(c.name+"/"+w.name, func(t *testing.T) {
				bundle, root, canary := w.box(t, drive.Sh("echo $HOME; exec sleep 1000"))
				must(t, os.WriteFile(canary.dir+"/sub/file", []byte("root:x:0:0::/the-host's:/bin/sh\n"), 0o644))
				place(t, root+"/etc/passwd", c.put)
				w.own(t, bundle)
				canary.before = canary.look(t)
				id := w.id(t)
				line := w.command(t, "run", "--detach", "--bundle", bundle, id)
				cmd := drive.Start(t, line[0], line[1:]...)
				r := cmd.Wait()
				if r.Code != 0 && c.name != "a home with surprises" {
					t.Fatal(r)
				}
				if r.Code == 0 {
					drive.Eventually(t, "it says its home", func() bool { return strings.HasSuffix(cmd.Output(), "\n") })
				}
				said := drive.Result{Stdout: cmd.Output(), Took: r.Took}
				for _, r := range []drive.Result{said, w.drive(t, "exec", id, "sh", "-c", "echo $HOME")} {
					if strings.Contains(r.Stdout, "host's") {
						harmed(t, "it has read the canary: %v", r)
					}
					if r.Took > drive.Patience(5e9) {
						t.Errorf("it took %v", r.Took)
					}
				}
				canary.unharmed(t)
			})
		}
	}
}

// TestLongValues: CVE-2021-43784. Whatever is long or many in a config.json
// arrives whole, or is refused: no length is cut to fit a field of mocker's.
func TestLongValues(t *testing.T) {
	long := func(n int) string { return strings.Repeat("a", n) }
	for _, c := range []struct {
		name string
		edit func(s *specs.Spec)
		want string // of stdout, if it runs
	}{
		{"arguments", func(s *specs.Spec) { s.Process.Args = []string{"sh", "-c", "echo ${#1}", "x", long(1<<17 - 1)} }, "131071\n"},
		{"an argument that the kernel refuses", func(s *specs.Spec) { s.Process.Args = []string{"true", long(1 << 17)} }, ""},
		{"arguments that the kernel refuses", func(s *specs.Spec) {
			s.Process.Args = append([]string{"true"}, slices.Repeat([]string{long(1 << 16)}, 200)...)
		}, ""},
		{"many arguments", func(s *specs.Spec) {
			s.Process.Args = append([]string{"sh", "-c", "echo $#", "x"}, slices.Repeat([]string{"a"}, 1<<16+1)...)
		}, "65537\n"},
		{"environment", func(s *specs.Spec) {
			s.Process.Args = []string{"sh", "-c", "echo ${#A}"}
			s.Process.Env = append(s.Process.Env, "A="+long(1<<16+1))
		}, "65537\n"},
		{"a namespace path", func(s *specs.Spec) { s.Linux.Namespaces[1].Path = "/proc/self/" + long(1<<16+8) }, ""},
		{"a namespace path after 64 KiB", func(s *specs.Spec) {
			s.Linux.Namespaces[1].Path = "/" + strings.Repeat("./", 1<<15) + "proc/self/ns/net"
		}, ""},
		{"groups", func(s *specs.Spec) {
			for i := range uint32(65536) {
				s.Process.User.AdditionalGids = append(s.Process.User.AdditionalGids, i+1)
			}
			s.Process.Args = []string{"sh", "-c", "grep Groups /proc/self/status | wc -w"}
		}, "65537\n"},
		{"too many groups", func(s *specs.Spec) { s.Process.User.AdditionalGids = make([]uint32, 65537) }, ""},
		{"host name", func(s *specs.Spec) { s.Hostname = long(65) }, ""},
		{"a destination", func(s *specs.Spec) { s.Mounts = append(s.Mounts, tmpfs("/"+long(256))) }, ""},
		{"a deep destination", func(s *specs.Spec) { s.Mounts = append(s.Mounts, tmpfs(strings.Repeat("/a", 2100))) }, ""},
		{"data of a mount", func(s *specs.Spec) {
			m := tmpfs("/tmp")
			m.Options = []string{"size=" + long(5000)}
			s.Mounts = append(s.Mounts, m)
		}, ""},
		{"many mounts", func(s *specs.Spec) {
			for i := range 300 {
				s.Mounts = append(s.Mounts, tmpfs(fmt.Sprintf("/tmp/%d", i)))
			}
			s.Process.Args = []string{"sh", "-c", "cut -d' ' -f5 /proc/self/mountinfo | grep -c '^/tmp/'"}
		}, "300\n"},
		{"working directory", func(s *specs.Spec) { s.Process.Cwd = "/" + long(5000) }, ""},
		{"a sysctl", func(s *specs.Spec) {
			s.Linux.Sysctl = map[string]string{"net.ipv4.ip_default_ttl": strings.Repeat("0", 1<<17) + "9"}
		}, ""},
		{"maps", func(s *specs.Spec) {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
			for i := range uint32(341) {
				ids := specs.LinuxIDMapping{ContainerID: i, HostID: mappedRoot + 2*i, Size: 1}
				s.Linux.UIDMappings, s.Linux.GIDMappings = append(s.Linux.UIDMappings, ids), append(s.Linux.GIDMappings, ids)
			}
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			attack(t, "run", "CVE-2021-43784")
			bundle, _, canary := box(t, c.edit)
			r := run(t, bundle)
			if r.Code == 0 && r.Stdout != c.want || r.Code != 0 && c.want != "" || r.Code == 0 && c.want == "" {
				t.Errorf("want %q: exit %d, stdout %.200q, stderr %.500q", c.want, r.Code, r.Stdout, r.Stderr)
			}
			if r.Code != 0 && (r.Stderr == "" || strings.Contains(r.Stderr, "panic")) {
				t.Errorf("refused without a word: %.500q", r.Stderr)
			}
			canary.unharmed(t)
		})
	}
}

// TestCgroupsOfTheUser: CVE-2023-25809. An ordinary user's container does not
// get the cgroups of the host to write to, whatever of them is mounted. By the
// very same bind mount without ro it could, which shows that there is something
// to write to.
func TestCgroupsOfTheUser(t *testing.T) {
	dir := "/sys/fs/cgroup"
	for _, tree := range []string{"unified", "pids"} {
		if _, err := os.Stat(filepath.Join(dir, tree, "cgroup.procs")); err == nil {
			dir = filepath.Join(dir, tree)
			break
		}
	}
	mine := filepath.Join(dir, fmt.Sprintf("security-user-%d", os.Getpid()))
	must(t, os.Mkdir(mine, 0o755))
	t.Cleanup(func() {
		_ = os.Remove(mine + "/made")
		must(t, os.Remove(mine))
	})
	must(t, os.Chown(mine, ordinary, ordinary))
	script := "mkdir " + mine + "/made 2>&1 && echo made; rmdir " + mine + "/made; true"
	for _, c := range []struct {
		name string
		edit func(s *specs.Spec)
		made bool
	}{
		{"as spec writes it", nil, false},
		{"a cgroup mount", func(s *specs.Spec) {
			s.Mounts = append(s.Mounts, specs.Mount{Type: "cgroup", Source: "cgroup", Destination: "/sys/fs/cgroup", Options: []string{"ro", "nosuid", "noexec", "nodev"}})
		}, false},
		{"careless", func(s *specs.Spec) {
			s.Mounts = append(s.Mounts, specs.Mount{Type: "bind", Source: dir, Destination: dir, Options: []string{"rbind"}})
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !c.made {
				attack(t, "rootless", "CVE-2023-25809")
			}
			bundle, _, _ := asUser.box(t, func(s *specs.Spec) {
				drive.Sh(script)(s)
				if c.edit != nil {
					c.edit(s)
				}
			})
			r := asUser.run(t, bundle)
			switch made := strings.Contains(r.Stdout, "made\n"); {
			case made && !c.made:
				harmed(t, "it has made a cgroup: %v", r)
			case !made && c.made:
				t.Errorf("the attack does not work on what is writable either: %v", r)
			}
		})
	}
}

// TestUnsafeAnnotations: CVE-2024-3154. What an engine must not take from
// strangers is said in features, and a property of systemd does nothing.
func TestUnsafeAnnotations(t *testing.T) {
	drive.MockersOwn(t, "it has the systemd driver, or other annotations")
	attack(t, "run", "CVE-2024-3154")
	var features struct{ PotentiallyUnsafeConfigAnnotations []string }
	must(t, json.Unmarshal([]byte(drive.OK(t, "features")), &features))
	if !slices.Contains(features.PotentiallyUnsafeConfigAnnotations, "run.oci.") {
		t.Errorf("features: %q", features.PotentiallyUnsafeConfigAnnotations)
	}
	bundle, _, c := box(t, func(s *specs.Spec) {
		s.Annotations = map[string]string{"org.systemd.property.ExecStartPost": "[('/bin/touch', ['touch', '/canary'], false)]", "org.systemd.property.TimeoutStopUSec": "uint64 1"}
	})
	if r := run(t, bundle); r.Code != 0 {
		t.Error(r)
	}
	c.unharmed(t)
}
