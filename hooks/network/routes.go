package network

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// widest is the shortest prefix that counts as a use of its addresses. What
// is wider says where the rest goes: default routes, and the two halves that
// VPNs replace them by.
const widest = 8

// busy returns an error that names a route of the host if one leads to
// addresses of the subnet. All tables count, that of local addresses too: a
// route may be hidden from the main table by a rule, an address by its flags.
func busy(host *netlink.Handle, subnet netip.Prefix) error {
	routes, err := listRoutes(host)
	if err != nil {
		return fmt.Errorf("list routes: %w", err)
	}
	var found *netlink.Route
	for i := range routes {
		dst, ok := destination(&routes[i])
		if !ok || dst.Bits() < widest || !dst.Overlaps(subnet) {
			continue
		}
		// The main table is what people look at.
		if found == nil || found.Table != unix.RT_TABLE_MAIN && routes[i].Table == unix.RT_TABLE_MAIN {
			found = &routes[i]
		}
	}
	if found == nil {
		return nil
	}
	return fmt.Errorf("subnet %s is in use on this host: route %s is in the way; choose another one with annotation %s",
		subnet, describe(host, found), SubnetAnnotation)
}

// listRoutes lists the IPv4 routes of all tables. A list during which the
// table changed may lack entries and is taken again.
func listRoutes(host *netlink.Handle) ([]netlink.Route, error) {
	all := &netlink.Route{Table: unix.RT_TABLE_UNSPEC}
	for try := 0; ; try++ {
		routes, err := host.RouteListFiltered(netlink.FAMILY_V4, all, netlink.RT_FILTER_TABLE)
		if !errors.Is(err, netlink.ErrDumpInterrupted) || try == 10 {
			return routes, err
		}
	}
}

func destination(r *netlink.Route) (netip.Prefix, bool) {
	if r.Dst == nil {
		return netip.Prefix{}, false // the default route
	}
	addr, ok := netip.AddrFromSlice(r.Dst.IP)
	bits, _ := r.Dst.Mask.Size()
	return netip.PrefixFrom(addr.Unmap(), bits), ok
}

// describe writes a route as `ip route` would.
func describe(host *netlink.Handle, r *netlink.Route) string {
	dst, _ := destination(r)
	text := dst.String()
	switch r.Type {
	case unix.RTN_LOCAL:
		text = "local " + text
	case unix.RTN_BROADCAST:
		text = "broadcast " + text
	case unix.RTN_BLACKHOLE:
		text = "blackhole " + text
	case unix.RTN_UNREACHABLE:
		text = "unreachable " + text
	case unix.RTN_PROHIBIT:
		text = "prohibit " + text
	}
	if r.Gw != nil {
		text += " via " + r.Gw.String()
	}
	if r.LinkIndex > 0 {
		if link, err := host.LinkByIndex(r.LinkIndex); err == nil {
			text += " dev " + link.Attrs().Name
		}
	}
	switch r.Table {
	case unix.RT_TABLE_MAIN:
	case unix.RT_TABLE_LOCAL:
		text += " table local"
	default:
		text += " table " + strconv.Itoa(r.Table)
	}
	return text
}
