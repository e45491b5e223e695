package network

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/vishvananda/netlink"
)

// Whatever stops it: an error that names the thing, and nothing left.
func TestRefused(t *testing.T) {
	if !inWorld(t) {
		return
	}
	must(t, addLink("corp0", "172.20.0.1/14"))
	must(t, addLink("vpn0", "10.9.9.9/32"))
	half := &netlink.Route{Dst: ipNet(prefix("128.0.0.0/1")), Gw: net.IPv4(172, 20, 0, 9)}
	must(t, netlink.RouteAdd(half))
	annotated := func(subnet string) *specs.State {
		b := newBox(t, "c1")
		b.extra = map[string]string{SubnetAnnotation: subnet}
		return b.state(specs.StateCreated)
	}
	long := newBox(t, strings.Repeat("x", 249)).state(specs.StateCreating)
	taken := newBox(t, "c1")
	must(t, taken.do(func() error { return addLink("ceth0", "10.0.0.1/32") }))
	dead := newBox(t, "c1")
	dead.bury()
	tests := []struct {
		name string
		st   *specs.State
		want string
	}{
		{"no pid", &specs.State{ID: "c1", Status: "creating"}, `connect container "c1": state with status "creating" has no pid, and so no network namespace to connect`},
		{"dead", dead.state("creating"), fmt.Sprintf(`connect container "c1": open process %d: no such process`, dead.pid)},
		{"host network", &specs.State{ID: "c1", Status: "creating", Pid: os.Getpid()},
			fmt.Sprintf(`connect container "c1": process %d shares the host's network namespace: it needs one of its own, {"type": "network"} in linux.namespaces`, os.Getpid())},
		{"annotation", annotated("10.0.0.0"), `connect container "c1": annotation mocker.network.subnet: "10.0.0.0": not an IPv4 subnet like 172.18.0.0/16`},
		{"long id", long, `connect container "` + long.ID + `": an id of 249 bytes is too long for the alias of a link: at most 248`},
		{"ceth0 exists", taken.state("created"), `connect container "c1": its network namespace has a link ceth0 already`},
		{"route in the way", annotated("172.21.0.0/16"), `connect container "c1": subnet 172.21.0.0/16 is in use on this host: route 172.20.0.0/14 dev corp0 is in the way; choose another one with annotation mocker.network.subnet`},
		{"address in the way", annotated("10.9.0.0/16"), `connect container "c1": subnet 10.9.0.0/16 is in use on this host: route local 10.9.9.9/32 dev vpn0 table local is in the way; choose another one with annotation mocker.network.subnet`},
	}
	for _, tt := range tests {
		before := snapshot(t)
		wantError(t, hook(tt.st), tt.want)
		sameAs(t, before)
		stopped := *tt.st
		stopped.Status, stopped.Pid = "stopped", 0
		must(t, hook(&stopped))
		sameAs(t, before)
		if t.Failed() {
			t.Fatal(tt.name)
		}
	}
	// The half of the internet is not in the way of 172.18.0.0/16.
	b := newBox(t, "c1")
	before := snapshot(t)
	must(t, b.connect())
	must(t, b.disconnect())
	sameAs(t, before)
}

// addLink makes a link with an address, to stand for one of somebody else's.
func addLink(name, addr string) error {
	link := netlink.NewVeth(netlink.LinkAttrs{Name: name, TxQLen: -1})
	link.PeerName = "peer-" + name
	return errors.Join(netlink.LinkAdd(link), readyLink(link, addr))
}

// readyLink gives a link its one address and sets it up. IPv6 would give it
// another one some time later, in the middle of two snapshots.
func readyLink(link netlink.Link, addr string) error {
	err := writeSysctl("/proc/sys/net/ipv6/conf/"+link.Attrs().Name+"/disable_ipv6", "1")
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // a kernel without IPv6
	}
	return errors.Join(err,
		netlink.AddrAdd(link, &netlink.Addr{IPNet: ipNet(prefix(addr))}),
		netlink.LinkSetUp(link),
	)
}

// A subnet for one, a second subnet beside it, one that overlaps.
func TestSubnets(t *testing.T) {
	if !inWorld(t) {
		return
	}
	before := snapshot(t)
	in := func(id, subnet string) *box {
		b := newBox(t, id)
		b.extra = map[string]string{SubnetAnnotation: subnet}
		return b
	}
	small, second, other := in("small", "10.0.0.0/30"), in("second", "10.0.0.0/30"), in("other", "10.1.0.0/16")
	wide, plain := in("wide", "10.0.0.0/8"), newBox(t, "plain")
	must(t, small.connect())
	if l := small.lease(t); l.Address.String() != "10.0.0.2" || l.Link != "veth0" {
		t.Errorf("got %s, %s", l.Address, l.Link)
	}
	wantError(t, second.connect(), `connect container "second": subnet 10.0.0.0/30 is full: all its container addresses (1) are in use`)
	wantError(t, wide.connect(), `connect container "wide": subnet 10.0.0.0/8 overlaps 10.0.0.0/30, which container "small" is connected to`)
	must(t, other.connect())
	must(t, plain.connect())
	if n := strings.Count(listRules(t, "nat"), "MASQUERADE"); n != 3 {
		t.Errorf("%d MASQUERADE rules, want one for each subnet:\n%s", n, listRules(t, "nat"))
	}
	// One subnet is another's outside.
	other.listen(t)
	plain.listen(t)
	small.reach(t, "10.1.0.2", "10.1.0.1")
	must(t, small.disconnect())
	must(t, second.connect())
	must(t, second.disconnect())
	if n := strings.Count(listRules(t, "nat"), "MASQUERADE"); n != 2 {
		t.Errorf("%d MASQUERADE rules, want 2:\n%s", n, listRules(t, "nat"))
	}
	must(t, other.disconnect())
	must(t, plain.disconnect())
	sameAs(t, before)
}

// Links are told apart by alias, containers by id and bundle.
func TestOwnership(t *testing.T) {
	if !inWorld(t) {
		return
	}
	// Names that are taken by others are passed over.
	must(t, addLink("veth0", "192.0.2.1/32"))
	must(t, addLink("veth2", "192.0.2.2/32"))
	before := snapshot(t)
	a, b := newBox(t, "a"), newBox(t, "b")
	must(t, a.connect())
	must(t, b.connect())
	if la, lb := a.lease(t), b.lease(t); la.Link != "veth1" || lb.Link != "veth3" {
		t.Errorf("got %s and %s, want veth1 and veth3", la.Link, lb.Link)
	}
	// The same id by another runtime, from another bundle.
	twin := newBox(t, "a").state(specs.StateCreating)
	twin.Bundle = "/other"
	wantError(t, hook(twin), `connect container "a": a container with this id (bundle /bundle) is connected already: link veth1, address 172.18.0.2`)
	twin.Status, twin.Pid = specs.StateStopped, 0
	must(t, hook(twin))
	if l := a.lease(t); l.Address.String() != "172.18.0.2" {
		t.Errorf("the clean-up of another container took the lease")
	}
	wantError(t, a.connect(), `connect container "a": a container with this id (bundle /bundle) is connected already: link veth1, address 172.18.0.2`)
	must(t, a.disconnect())
	// The link of b gives way to one that is not ours.
	must(t, netlink.LinkDel(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Name: "veth3"}}))
	must(t, addLink("veth3", "192.0.2.3/32"))
	wantError(t, b.disconnect(), "succeeded, but said: link veth3 (alias \"\") is not that of container \"b\": left alone\n")
	foreign, err := netlink.LinkByName("veth3")
	must(t, err)
	must(t, netlink.LinkDel(foreign))
	sameAs(t, before)
	// Somebody else's alias on a link of ours makes it theirs.
	must(t, a.connect())
	link, err := netlink.LinkByName("veth1")
	must(t, err)
	must(t, netlink.LinkSetAlias(link, "mocker:z"))
	wantError(t, a.disconnect(), "succeeded, but said: link veth1 (alias \"mocker:z\") is not that of container \"a\": left alone\n")
	must(t, netlink.LinkDel(link))
	sameAs(t, before)
}
