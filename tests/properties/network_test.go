package properties

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/coverage"
	"github.com/mocker-runtime/mocker/tests/drive"
)

// Network devices, in the tests' own network namespace.

func ip(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// device makes a pair of network devices, of which the first has addresses of
// all kinds and is up. They go with the test.
func device(t testing.TB, name string) {
	t.Helper()
	ip(t, "link", "add", name, "mtu", "1400", "address", "02:00:00:00:00:01", "type", "veth", "peer", "name", name+"-peer")
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", name+"-peer").Run() })
	ip(t, "addr", "add", "10.9.8.7/24", "broadcast", "10.9.8.255", "dev", name)
	ip(t, "addr", "add", "10.9.7.1/32", "dev", name, "label", name+":x")
	ip(t, "addr", "add", "2001:db8::7/64", "nodad", "dev", name)
	ip(t, "addr", "add", "10.9.6.1/24", "dev", name, "valid_lft", "1000", "preferred_lft", "1000") // not permanent
	ip(t, "addr", "add", "169.254.9.9/16", "scope", "link", "dev", name)                           // not global
	ip(t, "link", "set", name, "up")
	ip(t, "link", "set", name+"-peer", "up")
}

// show prints what there is to know about devices but lo.
var show = sh(`for d in /sys/class/net/*; do d=${d##*/}; [ $d = lo ] && continue
	echo $d $(cat /sys/class/net/$d/mtu /sys/class/net/$d/address) $(($(cat /sys/class/net/$d/flags) & 1)); done
	ip -o addr show | sed -n 's/^[0-9]*: *//; s/ \+/ /g; /^lo /d; /inet6 fe80/d; s/\\.*//; s/ *$//; p'`)

const moved = ` 1400 02:00:00:00:00:01 1
%[1]s inet 10.9.8.7/24 brd 10.9.8.255 scope global %[1]s
%[1]s inet 10.9.7.1/32 scope global %[1]s:x
%[1]s inet6 2001:db8::7/64 scope global flags 02`

func netDevices(list map[string]specs.LinuxNetDevice) edit {
	return func(s *specs.Spec) { s.Linux.NetDevices = list }
}

func TestNetDevices(t *testing.T) {
	drive.MockersOwn(t, "Debian's runtimes do not have it")
	coverage.Shows(t, "linux.netDevices")
	for _, row := range []struct {
		given string // name in config.json
		want  string // in the container
		user  bool
	}{
		{"", "props0", false},
		{"inner0", "inner0", false},
		{"in%d", "in0", false},
		{"inner0", "inner0", true},
	} {
		t.Run(fmt.Sprintf("%q %v", row.given, row.user), func(t *testing.T) {
			device(t, "props0")
			edits := []edit{netDevices(map[string]specs.LinuxNetDevice{"props0": {Name: row.given}})}
			if row.user {
				edits = append(edits, userNamespace)
			}
			if got, want := inside(t, show, edits...), row.want+fmt.Sprintf(moved, row.want); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			// With its namespace the kernel has removed the pair.
			drive.Eventually(t, "the device is gone", func() bool { return exec.Command("ip", "link", "show", "props0-peer").Run() != nil })
		})
	}
}

// TestNetDevicesUndone: whatever fails, the devices are where they were, and
// as they were.
func TestNetDevicesUndone(t *testing.T) {
	drive.MockersOwn(t, "Debian's runtimes do not have it")
	other := sleeps(t)
	drive.OK(t, "exec", other.id, "true")
	device(t, "props0")
	device(t, "props1")
	snapshot := func() string {
		return ip(t, "-o", "addr", "show", "props0", "permanent", "scope", "global") + ip(t, "-o", "addr", "show", "props1", "permanent", "scope", "global") +
			ip(t, "-o", "link", "show", "type", "veth")
	}
	// Numbers and lifetimes may be others.
	strip := func(text string) string {
		var kept []string
		for line := range strings.Lines(text) {
			_, line, _ = strings.Cut(line, ": ")
			kept = append(kept, strings.Fields(line)...)
		}
		return strings.Join(kept, " ")
	}
	drive.Eventually(t, "the kernel has seen that the links are up", func() bool {
		links := ip(t, "-o", "link", "show", "type", "veth")
		return strings.Count(links, " state UP ") == strings.Count(links, "\n")+1
	})
	before := strip(snapshot())
	both := map[string]specs.LinuxNetDevice{"props0": {Name: "a"}, "props1": {Name: "b"}}
	for name, row := range map[string]struct {
		edit edit
		want string
	}{
		"a device that is missing": {func(s *specs.Spec) { s.Linux.NetDevices = map[string]specs.LinuxNetDevice{"props0": {}, "props2": {}} },
			"linux.netDevices.props2: no such network device in mocker's network namespace"},
		"a program that is missing": {func(s *specs.Spec) { s.Process.Args = []string{"none-such"} }, "find program: "},
		"a hook that fails": {func(s *specs.Spec) {
			s.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/false"}}}
		}, "createRuntime hooks: "},
		"a name that is taken": {func(s *specs.Spec) {
			s.Linux.NetDevices = map[string]specs.LinuxNetDevice{"props0": {}, "props1": {Name: "props0-peer"}}
			for i := range s.Linux.Namespaces {
				if s.Linux.Namespaces[i].Type == specs.NetworkNamespace {
					s.Linux.Namespaces[i].Path = "/run/netns/properties"
				}
			}
		}, "network devices: linux.netDevices.props1: name it props0-peer in the container's network namespace: file exists"},
	} {
		t.Run(name, func(t *testing.T) {
			if strings.Contains(name, "taken") {
				ip(t, "netns", "add", "properties")
				t.Cleanup(func() { ip(t, "netns", "del", "properties") })
				ip(t, "-n", "properties", "link", "add", "props0-peer", "type", "veth")
			}
			r := newBox(t, netDevices(both), row.edit).run()
			if r.Code != 1 || !strings.Contains(r.Stderr, row.want) {
				t.Errorf("%v", r)
			}
			// The kernel takes its time to see that a link is up.
			drive.Eventually(t, "the devices are as before:\n"+before, func() bool { return strip(snapshot()) == before })
		})
	}
}

// TestNetDevicesJoined: a network namespace that is joined gets them too, and
// keeps them: it is not the container's.
func TestNetDevicesJoined(t *testing.T) {
	drive.MockersOwn(t, "Debian's runtimes do not have it")
	ip(t, "netns", "add", "properties")
	t.Cleanup(func() { ip(t, "netns", "del", "properties") })
	device(t, "props0")
	joined := func(s *specs.Spec) {
		for i := range s.Linux.Namespaces {
			if s.Linux.Namespaces[i].Type == specs.NetworkNamespace {
				s.Linux.Namespaces[i].Path = "/run/netns/properties"
			}
		}
	}
	got := inside(t, show, joined, netDevices(map[string]specs.LinuxNetDevice{"props0": {Name: "eth%d"}}))
	if want := "eth0" + fmt.Sprintf(moved, "eth0"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if out := ip(t, "-n", "properties", "-o", "addr", "show", "dev", "eth0"); !strings.Contains(out, "10.9.8.7/24") {
		t.Errorf("after the container: %s", out)
	}
}
