package lifecycle

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/coverage"
	"github.com/mocker-runtime/mocker/tests/drive"
)

// What the process of a default bundle finds around it.

var namespaceNames = []string{"pid", "mnt", "uts", "ipc", "net", "cgroup"}

func withCgroupNamespace(s *specs.Spec) {
	for _, ns := range s.Linux.Namespaces {
		if ns.Type == specs.CgroupNamespace {
			return
		}
	}
	s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.CgroupNamespace})
}

func TestNamespaces(t *testing.T) {
	coverage.Shows(t, "linux.namespaces.type")
	b := newBox(t, withCgroupNamespace).create()
	pid := b.state().Pid
	for _, name := range append([]string{"user"}, namespaceNames...) {
		host, err := os.Readlink("/proc/self/ns/" + name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, name))
		if err != nil {
			t.Fatal(err)
		}
		if own := got != host; own != (name != "user") {
			t.Errorf("%s: the host's %s, the container's %s", name, host, got)
		}
	}
}

// TestSharedNamespaces: a namespace that config.json does not name is the
// host's, and one with a path is that one.
func TestSharedNamespaces(t *testing.T) {
	coverage.Shows(t, "linux.namespaces.path")
	first := newBox(t).create()
	path := fmt.Sprintf("/proc/%d/ns/", first.state().Pid)
	b := newBox(t, func(s *specs.Spec) {
		s.Hostname = ""
		s.Linux.Namespaces = []specs.LinuxNamespace{
			{Type: specs.MountNamespace}, {Type: specs.PIDNamespace},
			{Type: specs.NetworkNamespace, Path: path + "net"}, {Type: specs.IPCNamespace, Path: path + "ipc"},
		}
	}).create()
	link := func(pid, name string) string {
		t.Helper()
		got, err := os.Readlink("/proc/" + pid + "/ns/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	pid := fmt.Sprint(b.state().Pid)
	for name, want := range map[string]string{"uts": "self", "net": fmt.Sprint(first.state().Pid), "ipc": fmt.Sprint(first.state().Pid)} {
		if got, want := link(pid, name), link(want, name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// mountLines are the mounts of a container without what is another one each
// time: mount ids, devices, and the paths of its cgroup.
func mountLines(mountinfo string) []string {
	var list []string
	for line := range strings.Lines(mountinfo) {
		left, right, _ := strings.Cut(strings.TrimSpace(line), " - ")
		f, g := strings.Fields(left), strings.Fields(right)
		root, place, options, optional := f[3], f[4], f[5], "private"
		for _, o := range f[6:] {
			if optional, _, _ = strings.Cut(o, ":"); optional == "master" {
				break
			}
		}
		if strings.HasPrefix(place, "/sys/fs/cgroup/") || place == "/" {
			root = "..."
		}
		if place == "/" {
			optional = "" // runc's is a slave of whatever the bundle is on, mocker's of nothing
		}
		super := strings.Split(g[2], ",")
		slices.Sort(super)
		list = append(list, strings.Join([]string{place, root, options, optional, g[0], strings.Join(super, ",")}, " "))
	}
	slices.Sort(list)
	return list
}

// TestMounts: the mounts of `runc spec`, with their options, and those of the
// masked and read-only paths.
func TestMounts(t *testing.T) {
	coverage.Shows(t, "mounts.destination", "mounts.type", "mounts.source", "mounts.options")
	got := mountLines(inside(t, "cat /proc/self/mountinfo", func(s *specs.Spec) { s.Root.Readonly = true }))
	has := func(prefix string) {
		t.Helper()
		if !slices.ContainsFunc(got, func(line string) bool { return strings.HasPrefix(line, prefix) }) {
			t.Errorf("no mount %q in\n%s", prefix, strings.Join(got, "\n"))
		}
	}
	for _, prefix := range []string{
		"/ ... ro,",
		"/proc / rw,relatime private proc rw",
		"/dev / rw,nosuid private tmpfs ",
		"/dev/pts / rw,nosuid,noexec,relatime private devpts gid=5,mode=620,ptmxmode=666,rw",
		"/dev/shm / rw,nosuid,nodev,noexec,relatime private tmpfs ",
		"/dev/mqueue / rw,nosuid,nodev,noexec,relatime private mqueue rw",
		"/sys / ro,nosuid,nodev,noexec,relatime private sysfs ro",
		"/proc/sys /sys ro,relatime private proc rw",
		"/proc/keys /null ",
		"/sys/firmware / ro,",
		"/sys/fs/cgroup",
	} {
		has(prefix)
	}
}

// differs reports whether mocker means to have another mount than runc.
func differs(line string) bool {
	for _, prefix := range []string{
		"/proc/acpi ", "/proc/asound ", "/proc/scsi ", "/sys/firmware ", // runc masks directories with a tmpfs that runs programs
		"/proc/kcore ", "/proc/keys ", "/proc/latency_stats ", "/proc/timer_list ", "/proc/timer_stats ", "/proc/sched_debug ", // and files with the container's own /dev/null
		"/sys/fs/cgroup / ",      // which runc leaves writable
		"/sys/fs/cgroup/unified", // which runc does not show
	} {
		if strings.HasPrefix(line, prefix) {
			return true
		}
	}
	return false
}

// TestMountsOfRunc: the same bundle has the same mounts under runc.
func TestMountsOfRunc(t *testing.T) {
	if drive.Others() {
		t.Skip("compares mocker with runc")
	}
	for name, e := range map[string]edit{
		"default": func(*specs.Spec) {},
		"options": func(s *specs.Spec) {
			s.Mounts = append(s.Mounts,
				specs.Mount{Destination: "/tmp", Type: "tmpfs", Source: "tmpfs", Options: []string{"noatime", "nodev", "size=1m", "mode=1777", "ro"}},
				specs.Mount{Destination: "/mnt/etc", Type: "bind", Source: "/etc", Options: []string{"rbind", "ro", "nosuid", "noexec"}},
				specs.Mount{Destination: "/mnt/passwd", Source: "/etc/passwd", Options: []string{"bind", "rprivate", "nodev"}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, drive.Sh("cat /proc/self/mountinfo"), e)
			r := drive.Exec(t, "runc", "run", "--bundle", b.bundle, b.id)
			if r.Code != 0 {
				t.Fatalf("runc: %v", r)
			}
			want, got := mountLines(r.Stdout), mountLines(b.run().Stdout)
			for _, line := range want {
				if !slices.Contains(got, line) && !differs(line) {
					t.Errorf("only with runc:   %s", line)
				}
			}
			for _, line := range got {
				if !slices.Contains(want, line) && !differs(line) {
					t.Errorf("only with mocker: %s", line)
				}
			}
		})
	}
}

func TestDevices(t *testing.T) {
	got := inside(t, `for d in null zero full random urandom tty; do stat -c '%n %a %u:%g %t:%T' /dev/$d; done
		rm -f /dev/core; for l in fd stdin stdout stderr ptmx; do echo $l $(readlink /dev/$l); done
		echo x >/dev/null; head -c 4 /dev/zero | wc -c; head -c 8 /dev/urandom | wc -c; echo x >/dev/full`+" 2>/dev/null || echo full\n"+
		`ls /dev`)
	want := `/dev/null 666 0:0 1:3
/dev/zero 666 0:0 1:5
/dev/full 666 0:0 1:7
/dev/random 666 0:0 1:8
/dev/urandom 666 0:0 1:9
/dev/tty 666 0:0 5:0
fd /proc/self/fd
stdin /proc/self/fd/0
stdout /proc/self/fd/1
stderr /proc/self/fd/2
ptmx pts/ptmx
4
8
full
fd
full
mqueue
null
ptmx
pts
random
shm
stderr
stdin
stdout
tty
urandom
zero
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestMoreDevices(t *testing.T) {
	coverage.Shows(t, "linux.devices")
	mode, uid, gid := os.FileMode(0o640), uint32(7), uint32(8)
	got := inside(t, "stat -c '%n %a %u:%g %F %t:%T' /dev/dir/mine /dev/pipe /dev/zero", func(s *specs.Spec) {
		s.Linux.Devices = []specs.LinuxDevice{
			{Path: "/dev/dir/mine", Type: "c", Major: 1, Minor: 5, FileMode: &mode, UID: &uid, GID: &gid},
			{Path: "/dev/pipe", Type: "p", FileMode: &mode},
			{Path: "/dev/zero", Type: "c", Major: 1, Minor: 5, FileMode: &mode},
		}
	})
	want := "/dev/dir/mine 640 7:8 character special file 1:5\n/dev/pipe 640 0:0 fifo 0:0\n/dev/zero 640 0:0 character special file 1:5\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestProtectedPaths: masked files are empty, masked directories too, and
// read-only paths cannot be written to, by root with all capabilities.
func TestProtectedPaths(t *testing.T) {
	coverage.Shows(t, "linux.maskedPaths", "linux.readonlyPaths")
	got := inside(t, `cat /proc/keys /proc/timer_list | wc -c; ls /sys/firmware | wc -l; ls /masked | wc -l; cat /file | wc -c
		for f in /masked/x /proc/sys/kernel/domainname /proc/sysrq-trigger /ro/x; do (echo 1 >$f) 2>/dev/null && echo wrote $f; done
		mount -o remount,rw /proc/sys 2>/dev/null && echo remounted; ls /ro`,
		func(s *specs.Spec) {
			s.Mounts = append(s.Mounts,
				specs.Mount{Destination: "/masked", Source: "/etc", Options: []string{"bind"}},
				specs.Mount{Destination: "/file", Source: "/etc/passwd", Options: []string{"bind"}})
			s.Linux.MaskedPaths = append(s.Linux.MaskedPaths, "/masked", "/file", "/does/not/exist")
			s.Linux.ReadonlyPaths = append(s.Linux.ReadonlyPaths, "/ro", "/nor/this")
			s.Process.Cwd = "/ro"
		})
	if want := "0\n0\n0\n0\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNames(t *testing.T) {
	coverage.Shows(t, "hostname", "linux.sysctl")
	got := inside(t, "hostname; cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmni; readlink /proc/1/root; ls / | tr '\\n' ' '", func(s *specs.Spec) {
		s.Hostname = "a-name.example"
		s.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1", "kernel/shmmni": "123"}
	})
	if want := "a-name.example\n1\n123\n/\nbin dev etc proc sys tmp "; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if host := file(t, "/proc/sys/kernel/hostname"); host == "a-name.example" {
		t.Error("the host has got the name")
	}
}

// TestDomainname is in a UTS namespace, as the host name is.
func TestDomainname(t *testing.T) {
	drive.MockersOwn(t, "since runc 1.2")
	coverage.Shows(t, "domainname")
	got := inside(t, "cat /proc/sys/kernel/domainname", func(s *specs.Spec) { s.Domainname = "domain.example" })
	if host := file(t, "/proc/sys/kernel/domainname"); got != "domain.example\n" || host == "domain.example" {
		t.Errorf("got %q, the host has %q", got, host)
	}
}

// TestNoPivot: --no-pivot gives the same world.
func TestNoPivot(t *testing.T) {
	b := newBox(t, drive.Sh("ls / | tr '\\n' ' '; cd ..; cd ..; pwd; wc -l </proc/self/mountinfo"))
	want := b.run()
	if got := b.run("--no-pivot"); got.Code != 0 || got.Stdout != want.Stdout {
		t.Errorf("%v\nwant %v", got, want)
	}
}

// TestReadonlyRoot: the root is, and what is mounted in it is not.
func TestReadonlyRoot(t *testing.T) {
	coverage.Shows(t, "root")
	got := inside(t, "touch /x 2>/dev/null || echo ro; touch /dev/x && echo rw", func(s *specs.Spec) { s.Root.Readonly = true })
	if got != "ro\nrw\n" {
		t.Errorf("got %q", got)
	}
}
