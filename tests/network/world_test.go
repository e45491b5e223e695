package network

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/vishvananda/netlink"

	"github.com/mocker-runtime/mocker/tests/drive"
)

func TestMain(m *testing.M) { drive.Main(m) }

const (
	gateway    = "172.18.0.1"
	masquerade = "-A POSTROUTING -s 172.18.0.0/16 ! -d 172.18.0.0/16 -m comment --comment mocker -j MASQUERADE\n"
)

// busybox makes a bundle as a user does, with `mocker spec --busybox`. Unless
// script is "", it then runs that instead of a shell on a terminal.
func busybox(t *testing.T, script string, edits ...func(*specs.Spec)) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "box")
	if r := drive.Exec(t, drive.Mocker(t), "spec", "--busybox", "--bundle", dir); r.Code != 0 {
		t.Fatalf("spec --busybox: %v", r)
	}
	if script != "" {
		edits = append(edits, drive.Sh(script), func(s *specs.Spec) { s.Process.Terminal = false })
	}
	for _, edit := range edits {
		drive.Edit(t, dir, edit)
	}
	return dir
}

// subnet is an edit: the annotation that chooses a subnet.
func subnet(prefix string) func(*specs.Spec) {
	return func(s *specs.Spec) { s.Annotations = map[string]string{"mocker.network.subnet": prefix} }
}

// prepare makes the host one that does not forward packets, as hosts are at
// first, and looks at the machine.
func prepare(t *testing.T) drive.Snapshot {
	t.Helper()
	drive.NeedRoot(t)
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("0"), 0); err != nil {
		t.Fatal(err)
	}
	return drive.TakeSnapshot(t)
}

// host gives the output of a command that must succeed.
func host(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// id is a name for a container that no other run of these tests uses.
func id(t *testing.T, name string) string {
	t.Helper()
	full := fmt.Sprintf("%s-%d", name, os.Getpid())
	t.Cleanup(func() { _ = exec.Command(drive.Mocker(t), "delete", "--force", full).Run() })
	return full
}

// create creates a container of mocker's; its output goes with the command.
func create(t *testing.T, bundle, id string) *drive.Cmd {
	t.Helper()
	c := drive.Start(t, drive.Mocker(t), "create", "--bundle", bundle, id)
	if r := c.Wait(); r.Code != 0 {
		t.Fatalf("create %s: %v", id, r)
	}
	return c
}

// hookFailed is what stderr of a create begins with whose network hook failed.
func hookFailed(t *testing.T, id string) string {
	t.Helper()
	return fmt.Sprintf("mocker: prestart hooks: hook %q: exit status 1: mocker: connect container %q: ", drive.Mocker(t), id)
}

// link gives the host's side of a container: its link, and the address that
// the route over it leads to.
func link(t *testing.T, id string) (name string, addr netip.Addr) {
	t.Helper()
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if l.Attrs().Alias != "mocker:"+id {
			continue
		}
		routes, err := netlink.RouteList(l, netlink.FAMILY_V4)
		if err != nil || len(routes) != 1 {
			t.Fatalf("routes over %s: %v, %v", l.Attrs().Name, routes, err)
		}
		addr, ok := netip.AddrFromSlice(routes[0].Dst.IP.To4())
		if ones, _ := routes[0].Dst.Mask.Size(); !ok || ones != 32 {
			t.Fatalf("%s leads to %v", l.Attrs().Name, routes[0].Dst)
		}
		return l.Attrs().Name, addr
	}
	t.Fatalf("no link has the alias mocker:%s", id)
	return "", netip.Addr{}
}

// matches asserts that a text is of a form; blank space counts as one.
func matches(t *testing.T, what, text, form string) {
	t.Helper()
	text = strings.Join(strings.Fields(text), " ")
	if !regexp.MustCompile(`^(?:` + form + `)$`).MatchString(text) {
		t.Errorf("%s shows %q, which is not of the form %s", what, text, form)
	}
}

// sections splits what a script printed at its lines "== name".
func sections(text string) map[string]string {
	parts := map[string]string{}
	for _, part := range strings.Split("\n"+text, "\n== ")[1:] {
		name, rest, _ := strings.Cut(part, "\n")
		parts[name] = rest
	}
	return parts
}
