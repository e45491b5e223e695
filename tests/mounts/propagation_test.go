package mounts

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/coverage"
	"github.com/mocker-runtime/mocker/tests/drive"
)

// sharedVolume is a shared mount of the host, with another in it.
func sharedVolume(t *testing.T) string {
	t.Helper()
	dir := hostTmpfs(t, 0)
	must(t, unix.Mount("", dir, "", unix.MS_SHARED, ""))
	for _, d := range []string{"sub", "host", "container"} {
		must(t, os.Mkdir(dir+"/"+d, 0o755))
	}
	must(t, unix.Mount("tmpfs", dir+"/sub", "tmpfs", 0, ""))
	return dir
}

// TestPropagationTypes: what each option makes of a shared mount with another
// below it, and of a new file system.
func TestPropagationTypes(t *testing.T) {
	coverage.Shows(t, "mounts.options")
	volume := sharedVolume(t)
	for _, c := range []struct{ option, top, sub, fresh string }{
		{"", "master", "master", ""},
		{"private", "", "master", ""},
		{"rprivate", "", "", ""},
		{"slave", "master", "master", ""},
		{"rslave", "master", "master", ""},
		{"shared", "shared,master", "master", "shared"},
		{"rshared", "shared,master", "shared,master", "shared"},
		{"unbindable", "unbindable", "master", "unbindable"},
		{"runbindable", "unbindable", "unbindable", "unbindable"},
		{"rprivate,shared", "shared", "", "shared"},
	} {
		options := split(c.option)
		table := mountsOf(newBox(t, mountinfo, mount("none", volume, "/mnt", append(options, "rbind")...),
			mount("tmpfs", "tmpfs", "/fresh", options...)).prints())
		got := fmt.Sprintf("%s; %s; %s", table["/mnt"].propagation, table["/mnt/sub"].propagation, table["/fresh"].propagation)
		if want := fmt.Sprintf("%s; %s; %s", c.top, c.sub, c.fresh); got != want {
			t.Errorf("%q: %s, want %s", c.option, got, want)
		}
	}
}

// TestRootPropagation: linux.rootfsPropagation is what the root has.
func TestRootPropagation(t *testing.T) {
	coverage.Shows(t, "linux.rootfsPropagation")
	for _, c := range []struct{ value, want, own string }{
		{"", "", "its root is a slave of the host's root; ours lies on a private mount of the test"},
		{"private", "", ""},
		{"rprivate", "", ""},
		{"slave", "", ""},
		{"rslave", "", ""},
		{"shared", "shared", "runc's root stays private"},
		{"rshared", "shared", "runc's root stays private"},
		{"unbindable", "unbindable", "an error of runc: it cannot bind its root any more"},
		{"runbindable", "unbindable", "an error of runc: it cannot bind its root any more"},
	} {
		if drive.Others() && c.own != "" {
			continue
		}
		b := newBox(t, mountinfo).edit(func(s *specs.Spec) { s.Linux.RootfsPropagation = c.value })
		if got := mountsOf(b.prints())["/"].propagation; got != c.want {
			t.Errorf("%q: %q, want %q", c.value, got, c.want)
		}
	}
}

// TestOptionsWin: a mount's own propagation is not lost to that of all the
// root.
func TestOptionsWin(t *testing.T) {
	volume := sharedVolume(t)
	for _, c := range []struct{ root, option, top, sub string }{
		{"rshared", "rprivate", "", ""},
		{"rshared", "private", "", "shared"},
		{"rshared", "rslave", "master", "master"},
		{"rprivate", "rshared", "shared", "shared"},
		{"runbindable", "rprivate", "", ""},
	} {
		if drive.Others() && c.root == "runbindable" {
			continue // runc cannot bind its root any more
		}
		b := newBox(t, mountinfo, mount("none", volume, "/mnt", "rbind", c.option), mount("tmpfs", "tmpfs", "/fresh", c.option)).
			edit(func(s *specs.Spec) { s.Linux.RootfsPropagation = c.root })
		table := mountsOf(b.prints())
		if got := table["/mnt"].propagation + "; " + table["/mnt/sub"].propagation; got != c.top+"; "+c.sub {
			t.Errorf("%s, %s: %s, want %s; %s", c.root, c.option, got, c.top, c.sub)
		}
		if got := table["/fresh"].propagation; got != strings.TrimPrefix(c.top, "master") {
			t.Errorf("%s, %s: a tmpfs is %q", c.root, c.option, got)
		}
	}
}

// TestNothingIsShared: where everything on the host is shared, as systemd
// makes it, no mount of a container is a peer of one of the host's but those
// that are asked to be: what is mounted on it would be on the host as well.
func TestNothingIsShared(t *testing.T) {
	volume := sharedVolume(t)
	must(t, unix.Mount("", "/", "", unix.MS_SHARED|unix.MS_REC, ""))
	defer func() { must(t, unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, "")) }()
	groups := func(text string) map[string][]string {
		table := map[string][]string{}
		for line := range strings.Lines(text) {
			for _, f := range strings.Fields(line) {
				if strings.HasPrefix(f, "shared:") {
					table[f] = append(table[f], strings.Fields(line)[4])
				}
			}
		}
		return table
	}
	for _, c := range []struct{ root, option, shared string }{
		{"", "rprivate", ""},
		{"", "rshared", ""},
		{"rslave", "rslave", ""},
		{"rshared", "rprivate", ""},
		{"rshared", "rslave", ""},
		{"shared", "rshared", "[/mnt /mnt/sub]"},
		{"rshared", "rshared", "[/mnt /mnt/sub]"},
	} {
		b := newBox(t, mountinfo, mount("none", volume, "/mnt", "rbind", c.option)).
			edit(func(s *specs.Spec) { s.Linux.RootfsPropagation = c.root })
		host, err := os.ReadFile("/proc/self/mountinfo")
		must(t, err)
		var peers []string
		known := groups(string(host))
		for group, paths := range groups(b.prints()) {
			if known[group] != nil {
				peers = append(peers, paths...)
			}
		}
		if drive.Others() {
			peers = slices.DeleteFunc(peers, func(p string) bool { return strings.HasPrefix(p, "/sys/fs/cgroup") })
		}
		slices.Sort(peers)
		if got := fmt.Sprint(peers); got != c.shared && got != "[]"+c.shared {
			t.Errorf("%s, %s: shared with the host are %s, want %s", c.root, c.option, got, c.shared)
		}
	}
}

// TestPropagation mounts something on either side of a shared volume, and
// looks for it on the other.
func TestPropagation(t *testing.T) {
	for _, c := range []struct {
		root, option string
		in, out      bool // what the host mounts shows up inside, and the other way round
	}{
		{"", "", true, false},
		{"", "rprivate", false, false},
		{"", "rslave", true, false},
		{"", "rshared", true, false}, // needs a shared root as well
		{"rslave", "rslave", true, false},
		{"rprivate", "", false, false},
		{"rprivate", "rslave", false, false},
		{"rshared", "", true, true},
		{"rshared", "rshared", true, true},
		{"shared", "rshared", true, true},
		{"rshared", "rslave", true, false},
		{"rshared", "rprivate", false, false},
	} {
		t.Run(c.root+","+c.option, func(t *testing.T) {
			volume := sharedVolume(t)
			b := newBox(t, "sleep 100", mount("none", volume, "/mnt", append(split(c.option), "rbind")...)).
				edit(func(s *specs.Spec) { s.Linux.RootfsPropagation = c.root })
			drive.OK(t, "create", "--bundle", b.bundle, b.id)
			var st specs.State
			must(t, json.Unmarshal([]byte(drive.OK(t, "state", b.id)), &st))
			drive.OK(t, "start", b.id)

			must(t, unix.Mount("tmpfs", volume+"/host", "tmpfs", 0, ""))
			inside, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", st.Pid))
			must(t, err)
			if _, got := mountsOf(string(inside))["/mnt/host"]; got != c.in {
				t.Errorf("the host's mount inside: %v", got)
			}
			hostIn(t, "nsenter", "-m", "-t", fmt.Sprint(st.Pid), "busybox", "mount", "-t", "tmpfs", "x", "/mnt/container")
			outside, err := os.ReadFile("/proc/self/mountinfo")
			must(t, err)
			if _, got := mountsOf(string(outside))[volume+"/container"]; got != c.out {
				t.Errorf("the container's mount outside: %v", got)
			}
			if strings.Contains(string(outside), b.bundle) {
				t.Errorf("the container's root shows on the host:\n%s", outside)
			}
		})
	}
}
