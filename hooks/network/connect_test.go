package network

import (
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/vishvananda/netlink"
)

// Three containers: what each side sees, who reaches whom, what is left.
func TestConnect(t *testing.T) {
	if !inWorld(t) {
		return
	}
	(*box)(nil).listen(t)
	for _, policy := range []string{"ACCEPT", "DROP"} {
		must(t, exec.Command("iptables", "-P", "FORWARD", policy).Run())
		before := snapshot(t)
		var boxes []*box
		for i := range 3 {
			b := newBox(t, fmt.Sprintf("box%d", i))
			must(t, b.connect())
			boxes = append(boxes, b)
		}
		for i, b := range boxes {
			checkSides(t, b, i)
			b.listen(t)
		}
		checkShared(t)
		for i, b := range boxes {
			addr := fmt.Sprintf("172.18.0.%d", i+2)
			b.reach(t, "172.18.0.1", addr)
			b.reach(t, "127.0.0.1", "127.0.0.1")
			(*box)(nil).reach(t, addr, "172.18.0.1")
			for j := range boxes {
				if j != i {
					b.reach(t, fmt.Sprintf("172.18.0.%d", j+2), addr)
				}
			}
		}
		// The middle one leaves: the others stay, its place is taken again.
		must(t, boxes[1].disconnect())
		boxes[0].reach(t, "172.18.0.4", "172.18.0.2")
		again := newBox(t, "again")
		must(t, again.connect())
		checkSides(t, again, 1)
		boxes[1] = again
		// One is killed first, as a real container is.
		boxes[2].bury()
		for _, b := range boxes {
			must(t, b.disconnect())
			must(t, b.disconnect())
		}
		sameAs(t, before)
		if t.Failed() {
			t.Fatalf("with FORWARD policy %s", policy)
		}
	}
}

// checkSides looks at one container from inside and outside.
func checkSides(t *testing.T, b *box, number int) {
	t.Helper()
	near, err := netlink.LinkByName(linkName(number))
	must(t, err)
	if got, want := near.Attrs().Alias, "mocker:"+b.id; got != want {
		t.Errorf("alias %q, want %q", got, want)
	}
	if got := addresses(t, near); got != "172.18.0.1/16" {
		t.Errorf("%s has %s", near.Attrs().Name, got)
	}
	want := fmt.Sprintf("172.18.0.%d", number+2)
	err = b.do(func() error {
		far, err := netlink.LinkByName("ceth0")
		if err != nil {
			return err
		}
		links, err := netlink.LinkList()
		if err != nil {
			return err
		}
		for _, l := range links {
			if name := l.Attrs().Name; name != "lo" && name != "ceth0" {
				t.Errorf("%s has a link %s", b.id, name)
			}
			if l.Attrs().Flags&net.FlagUp == 0 {
				t.Errorf("%s: %s is down", b.id, l.Attrs().Name)
			}
		}
		if got := addresses(t, far); got != want+"/16" {
			t.Errorf("%s has %s, want %s/16", b.id, got, want)
		}
		routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
		if err != nil {
			return err
		}
		var text []string
		for _, r := range routes {
			text = append(text, fmt.Sprint(r.Dst, " ", r.Gw, " ", r.Src))
		}
		got := strings.Join(text, ", ")
		if want := "0.0.0.0/0 172.18.0.1 " + want + ", 172.18.0.1/32 <nil> " + want; got != want {
			t.Errorf("%s has routes %s, want %s", b.id, got, want)
		}
		return nil
	})
	must(t, err)
}

// addresses returns a link's IPv4 addresses; an IPv6 one must not be there on
// the host side.
func addresses(t *testing.T, link netlink.Link) string {
	t.Helper()
	addrs, err := netlink.AddrList(link, netlink.FAMILY_V4)
	must(t, err)
	var text []string
	for _, a := range addrs {
		text = append(text, a.IPNet.String())
	}
	if link.Attrs().Name != insideName {
		six, err := netlink.AddrList(link, netlink.FAMILY_V6)
		must(t, err)
		for _, a := range six {
			text = append(text, a.IPNet.String())
		}
	}
	return strings.Join(text, " ")
}

// checkShared looks at what is there once for all containers of the subnet.
func checkShared(t *testing.T) {
	t.Helper()
	if value, err := readSysctl(ipForward); err != nil || value != "1" {
		t.Errorf("ip_forward is %s, %v", value, err)
	}
	nat, filter := listRules(t, "nat"), listRules(t, "filter")
	masquerade := "-A POSTROUTING -s 172.18.0.0/16 ! -d 172.18.0.0/16 -m comment --comment mocker -j MASQUERADE\n"
	if strings.Count(nat, masquerade) != 1 || strings.Count(nat, "\n-A ") != 1 {
		t.Errorf("nat has\n%swant one\n%s", nat, masquerade)
	}
	for _, want := range []string{
		"-A FORWARD -s 172.18.0.0/16 -i veth+ -m comment --comment mocker -j ACCEPT\n",
		"-A FORWARD -d 172.18.0.0/16 -o veth+ -m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment mocker -j ACCEPT\n",
	} {
		if strings.Count(filter, want) != 1 || strings.Count(filter, "\n-A ") != 2 {
			t.Errorf("filter has\n%swant one\n%s", filter, want)
		}
	}
}

// Killed after any step, the clean-up leaves nothing; and another container
// that comes before it gets a whole network.
func TestKilled(t *testing.T) {
	if !inWorld(t) {
		return
	}
	before := snapshot(t)
	for i, s := range steps() {
		if testing.Short() && i%4 != 0 {
			continue // a machine that has time does all of them
		}
		kill := func(b *box) {
			t.Helper()
			wantError(t, hook(b.state(specs.StateCreating), stopAfter+"="+s.name), "signal: killed")
		}
		// The container lives on while the clean-up runs, or has died.
		for _, dead := range []bool{false, true} {
			b := newBox(t, "killed")
			kill(b)
			if dead {
				b.bury()
			}
			must(t, b.disconnect())
			sameAs(t, before)
		}

		a, b := newBox(t, "killed"), newBox(t, "second")
		kill(a)
		must(t, b.connect())
		checkShared(t)
		must(t, a.disconnect())
		checkShared(t)
		mayDial(t, b)
		must(t, b.disconnect())
		sameAs(t, before)

		// The same id again, without a clean-up between.
		kill(a)
		a.bury()
		waitGone(t, a)
		a = newBox(t, "killed")
		must(t, a.connect())
		checkShared(t)
		must(t, a.disconnect())
		sameAs(t, before)
		if t.Failed() {
			t.Fatalf("killed after step %q", s.name)
		}
	}
}

// mayDial checks that the host reaches the container, and the answer comes back.
func mayDial(t *testing.T, b *box) {
	t.Helper()
	var l net.Listener
	must(t, b.do(func() (err error) { l, err = net.Listen("tcp4", ":7001"); return err }))
	defer l.Close()
	conn, err := net.Dial("tcp4", b.lease(t).Address.String()+":7001")
	if err != nil {
		t.Error(err)
		return
	}
	conn.Close()
}

// waitGone waits until the kernel has taken the links of a dead container.
func waitGone(t *testing.T, b *box) {
	t.Helper()
	for range 500 {
		links, err := netlink.LinkList()
		must(t, err)
		gone := true
		for _, l := range links {
			gone = gone && l.Type() != "veth"
		}
		if gone {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("the link of %s does not go", b.id)
}

// Many at once, each in a process of its own, as a runtime starts them.
func TestConcurrent(t *testing.T) {
	if !inWorld(t) {
		return
	}
	before := snapshot(t)
	const count = 20
	boxes := make([]*box, count)
	for i := range boxes {
		boxes[i] = newBox(t, fmt.Sprintf("many%d", i))
	}
	all := func(f func(b *box) error) {
		t.Helper()
		errs := make([]error, count)
		var wg sync.WaitGroup
		for i, b := range boxes {
			wg.Go(func() { errs[i] = f(b) })
		}
		wg.Wait()
		must(t, errors.Join(errs...))
	}
	for range 2 {
		all((*box).connect)
		checkShared(t)
		seen := map[string]string{}
		for _, b := range boxes {
			l := b.lease(t)
			for _, key := range []string{l.Address.String(), l.Link} {
				if other := seen[key]; other != "" {
					t.Errorf("%s and %s share %s", b.id, other, key)
				}
				seen[key] = b.id
			}
		}
		for i, b := range boxes {
			mayDial(t, b)
			other := boxes[(i+7)%count]
			ready := make(chan struct{})
			var l net.Listener
			must(t, other.do(func() (err error) { l, err = net.Listen("tcp4", ":7002"); return err }))
			go func() { serve(l); close(ready) }()
			conn, err := b.dial("tcp4", other.lease(t).Address.String()+":7002")
			must(t, err)
			conn.Close()
			l.Close()
			<-ready
		}
		all((*box).disconnect)
		sameAs(t, before)
	}
	// Coming and going at the same time.
	all(func(b *box) error {
		for range 3 {
			if err := errors.Join(b.connect(), b.disconnect()); err != nil {
				return err
			}
		}
		return nil
	})
	sameAs(t, before)
}
