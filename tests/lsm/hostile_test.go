package lsm

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// TestProcIsCovered: CVE-2019-16884, CVE-2019-19921, CVE-2025-52881. Mounts and
// links of the container lead what is written below /proc elsewhere. The
// container and what exec runs in it are confined all the same, or refused.
func TestProcIsCovered(t *testing.T) {
	needAppArmor(t)
	bind := func(source, destination string) specs.Mount {
		return specs.Mount{Type: "bind", Source: source, Destination: destination, Options: []string{"rbind"}}
	}
	bundle := newBox(t, drive.Mocker(t)).bundle
	for _, c := range []struct {
		name   string
		mounts func(fake string) []specs.Mount
		root   func(t *testing.T, root string)
	}{
		{"a directory of files over all of it", func(fake string) []specs.Mount { return []specs.Mount{bind(fake, "/proc")} }, nil},
		{"tmpfs over all of it", func(string) []specs.Mount {
			return []specs.Mount{{Type: "tmpfs", Source: "tmpfs", Destination: "/proc"}}
		}, nil},
		{"the host's procfs over all of it", func(string) []specs.Mount { return []specs.Mount{bind("/proc", "/proc")} }, nil},
		{"files over the attributes", func(fake string) []specs.Mount {
			return []specs.Mount{bind(fake+"/file", "/proc/1/attr/apparmor/exec"), bind(fake+"/file", "/proc/1/attr/exec")}
		}, nil},
		{"another file of procfs over the attributes", func(string) []specs.Mount {
			return []specs.Mount{bind("/proc/self/sched", "/proc/1/attr/apparmor/exec"), bind("/proc/self/sched", "/proc/1/attr/exec")}
		}, nil},
		{"a directory over attr", func(fake string) []specs.Mount { return []specs.Mount{bind(fake+"/self/attr", "/proc/1/attr")} }, nil},
		{"a process over another", func(string) []specs.Mount { return []specs.Mount{bind("/proc/self", "/proc/1")} }, nil},
		{"a link to elsewhere", nil, func(t *testing.T, root string) {
			must(t, os.Remove(filepath.Join(root, "proc")))
			must(t, os.Symlink("/tmp/proc", filepath.Join(root, "proc")))
			must(t, os.MkdirAll(filepath.Join(root, "tmp/proc/self/attr/apparmor"), 0o755))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := boxOf(t, drive.Mocker(t), bundle, func(s *specs.Spec) {
				s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = nil, nil
				s.Process.Args = []string{"sleep", "1000"}
				if c.mounts != nil {
					s.Mounts = append(s.Mounts, c.mounts(fakeProc(t))...)
				}
			})
			if c.root != nil {
				c.root(t, filepath.Join(b.bundle, "rootfs"))
			}
			r := b.call("run", "--detach", "--bundle", b.bundle, b.id)
			t.Logf("exit %d: %s", r.Code, strings.TrimSpace(r.Stderr))
			if r.Code != 0 {
				return
			}
			if got, want := labelOf(t, b.pid()), profile+" (enforce)"; got != want {
				t.Errorf("the container: %s, want %s", got, want)
			}
			file := filepath.Join(t.TempDir(), "pid")
			b.ok("exec", "--detach", "--pid-file", file, "--apparmor", other, b.id, "sleep", "1000")
			data, err := os.ReadFile(file)
			must(t, err)
			pid, err := strconv.Atoi(string(data))
			must(t, err)
			if got, want := labelOf(t, pid), other+" (enforce)"; got != want {
				t.Errorf("exec: %s, want %s", got, want)
			}
		})
	}
}

// fakeProc makes a directory that looks like a procfs to who writes to it.
func fakeProc(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, process := range []string{"self", "thread-self", "1", "2"} {
		attr := filepath.Join(dir, process, "attr/apparmor")
		must(t, os.MkdirAll(attr, 0o755))
		for _, name := range []string{"exec", "../exec", "current", "../current"} {
			must(t, os.WriteFile(filepath.Join(attr, name), nil, 0o666))
		}
	}
	must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o666))
	return dir
}

// TestRootless: an ordinary user's containers are confined in the same way.
func TestRootless(t *testing.T) {
	needAppArmor(t)
	const uid = 1000
	dir := t.TempDir()
	must(t, os.Chmod(filepath.Dir(dir), 0o755))
	bin := filepath.Join(dir, "mocker")
	data, err := os.ReadFile(drive.Mocker(t))
	must(t, err)
	must(t, os.WriteFile(bin, data, 0o755))
	bundle := drive.Bundle(t, nil)
	for _, d := range []string{dir, bundle} {
		must(t, os.Chmod(d, 0o755))
		must(t, os.Chown(d, uid, uid))
	}
	writable(t, bundle)
	must(t, os.Remove(filepath.Join(bundle, "config.json")))
	user := func(args ...string) drive.Result {
		t.Helper()
		line := []string{"--reuid", fmt.Sprint(uid), "--regid", fmt.Sprint(uid), "--clear-groups", bin, "--root", dir + "/state"}
		return drive.Exec(t, "setpriv", append(line, args...)...)
	}
	if r := user("spec", "--rootless", "--bundle", bundle); r.Code != 0 {
		t.Fatal(r)
	}
	for _, c := range []struct {
		profile, want string
		code          int
	}{
		{profile, confined, 0},
		{missing, "", 1},
		{"unconfined", unconfined, 0},
	} {
		drive.Edit(t, bundle, func(s *specs.Spec) {
			s.Process.Terminal, s.Root.Readonly = false, false
			s.Process.Args = []string{"sh", "-c", look}
			s.Process.ApparmorProfile = c.profile
		})
		r := user("run", "--bundle", bundle, "lsm-rootless")
		if r.Stdout != c.want || r.Code != c.code {
			t.Errorf("%s: got %v\nwant %s", c.profile, r, c.want)
		}
		if c.code != 0 && !strings.Contains(r.Stderr, `unable to apply apparmor profile "`+missing+`": no such profile is loaded`) {
			t.Errorf("%s: %s", c.profile, r.Stderr)
		}
	}
}
