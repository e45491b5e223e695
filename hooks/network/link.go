package network

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strconv"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// aliasPrefix and the container's id are the alias of the host side's link:
// whoever lists the links sees what they are, and only a link with the alias
// is ever deleted.
const aliasPrefix = "mocker:"

// linkName returns the name of the host side with this number.
func linkName(number int) string {
	return "veth" + strconv.Itoa(number)
}

// makePair makes the veth pair, its far end born in the container's namespace
// under its final name: it is never seen on the host.
//
// The name is the first free one, which only the attempt can tell, for not
// all links are ours. The MAC address is given because it is there from the
// first moment on, other than the alias, and because it keeps udev from
// giving the link one of its own later.
func makePair(host *netlink.Handle, name string, mac net.HardwareAddr, c *container) (*netlink.Veth, error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	attrs.HardwareAddr = mac
	pair := netlink.NewVeth(attrs)
	pair.PeerName = insideName
	pair.PeerNamespace = netlink.NsFd(c.ns.Fd())
	if err := host.LinkAdd(pair); err != nil {
		return nil, fmt.Errorf("create link %s: %w", name, err)
	}
	return pair, nil
}

// randomMAC returns a random unicast address of the locally administered kind.
func randomMAC() (net.HardwareAddr, error) {
	mac := make(net.HardwareAddr, 6)
	if err := retry(func() error { _, err := unix.Getrandom(mac, 0); return err }); err != nil {
		return nil, fmt.Errorf("make a random MAC address: %w", err)
	}
	mac[0] = mac[0]&^1 | 2
	return mac, nil
}

// ours reports whether a link is the one that a lease of a container notes.
// Until it has its alias, the random MAC address is what tells.
func ours(attrs *netlink.LinkAttrs, id string, l *lease) bool {
	if attrs.Alias == "" {
		return attrs.HardwareAddr.String() == l.MAC
	}
	return attrs.Alias == aliasPrefix+id
}

// findLink returns the link of a lease, or nil if it does not exist (any
// more). A link of the same name that is not ours is told on notes.
func findLink(host *netlink.Handle, id string, l *lease, notes io.Writer) (netlink.Link, error) {
	link, err := host.LinkByName(l.Link)
	if notFound := (netlink.LinkNotFoundError{}); errors.As(err, &notFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look up link %s: %w", l.Link, err)
	}
	if attrs := link.Attrs(); !ours(attrs, id, l) {
		fmt.Fprintf(notes, "link %s (alias %q) is not that of container %q: left alone\n", l.Link, attrs.Alias, id)
		return nil, nil
	}
	return link, nil
}

// removeLink deletes the link of a lease, and with it its far end, addresses
// and routes. It is no error if the kernel was faster.
func removeLink(host *netlink.Handle, id string, l *lease, notes io.Writer) error {
	link, err := findLink(host, id, l, notes)
	if link == nil || err != nil {
		return err
	}
	if err := host.LinkDel(link); err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("delete link %s: %w", l.Link, err)
	}
	return nil
}

// tuneHost sets what is particular to the host's end of a pair. The settings
// go with the link.
func tuneHost(name string) error {
	conf := "/proc/sys/net/ipv4/conf/" + name + "/"
	// The container may send from its own address only: rp_filter looks for
	// the way back, which is a route of ours for that one address.
	if err := writeSysctl(conf+"rp_filter", "1"); err != nil {
		return err
	}
	// Follows ip_forward, unless conf/default was set apart from it.
	if err := writeSysctl(conf+"forwarding", "1"); err != nil {
		return err
	}
	// A router advertisement of the container must not move the host's
	// default route, nor may it reach the host by a link-local address.
	err := writeSysctl("/proc/sys/net/ipv6/conf/"+name+"/disable_ipv6", "1")
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a kernel without IPv6
	}
	return err
}

// addAddress gives a link an address with the length of its subnet, and no
// route to the subnet: there is nothing on a pair but its other end.
func addAddress(h *netlink.Handle, link netlink.Link, addr netip.Addr, subnet netip.Prefix) error {
	err := h.AddrAdd(link, &netlink.Addr{
		IPNet: ipNet(netip.PrefixFrom(addr, subnet.Bits())),
		Flags: unix.IFA_F_NOPREFIXROUTE,
	})
	if err != nil {
		return fmt.Errorf("give %s address %s/%d: %w", link.Attrs().Name, addr, subnet.Bits(), err)
	}
	return nil
}

// addRoute adds a route through a link: to a neighbour on it, or, if via is
// valid, to what lies behind that one.
func addRoute(h *netlink.Handle, link netlink.Link, dst netip.Prefix, src, via netip.Addr) error {
	route := &netlink.Route{
		LinkIndex: link.Attrs().Index,
		Dst:       ipNet(dst),
		Src:       src.AsSlice(),
		Scope:     netlink.SCOPE_LINK,
		Protocol:  unix.RTPROT_STATIC,
	}
	if via.IsValid() {
		route.Gw, route.Scope = via.AsSlice(), netlink.SCOPE_UNIVERSE
	}
	if err := h.RouteAdd(route); err != nil {
		return fmt.Errorf("add route %s dev %s: %w", dst, link.Attrs().Name, err)
	}
	return nil
}

func setUp(h *netlink.Handle, link netlink.Link) error {
	if err := h.LinkSetUp(link); err != nil {
		return fmt.Errorf("set link %s up: %w", link.Attrs().Name, err)
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// host32 is the prefix of one address.
func host32(addr netip.Addr) netip.Prefix {
	return netip.PrefixFrom(addr, addr.BitLen())
}

// writeSysctl writes a file below /proc/sys.
func writeSysctl(path, value string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("write %q to %s: %w", value, path, errors.Unwrap(err))
	}
	return nil
}
