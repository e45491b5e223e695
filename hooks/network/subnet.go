package network

import (
	"errors"
	"fmt"
	"net/netip"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// defaultSubnet returns the subnet of containers that ask for none.
func defaultSubnet() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 18, 0, 0}), 16)
}

// subnetOf returns the subnet that the container is to be part of.
func subnetOf(st *specs.State) (netip.Prefix, error) {
	text, ok := st.Annotations[SubnetAnnotation]
	if !ok {
		return defaultSubnet(), nil
	}
	subnet, err := parseSubnet(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("annotation %s: %q: %w", SubnetAnnotation, text, err)
	}
	return subnet, nil
}

// parseSubnet reads an IPv4 subnet in CIDR notation, /8 to /30. /31 and /32
// have no room for a gateway and a container beside their first and last
// addresses.
func parseSubnet(text string) (netip.Prefix, error) {
	subnet, err := netip.ParsePrefix(text)
	if err != nil || !subnet.Addr().Is4() {
		return netip.Prefix{}, fmt.Errorf("not an IPv4 subnet like %s", defaultSubnet())
	}
	if subnet.Bits() < 8 || subnet.Bits() > 30 {
		return netip.Prefix{}, errors.New("prefix length not between /8 and /30")
	}
	if base := subnet.Masked(); base != subnet {
		return netip.Prefix{}, fmt.Errorf("an address in the subnet %s, not a subnet", base)
	}
	if first := subnet.Addr().As4()[0]; first == 0 || first == 127 || first >= 224 {
		return netip.Prefix{}, errors.New("not a range of unicast addresses")
	}
	return subnet, nil
}

// gateway returns the address of the host side: the first of the subnet.
func gateway(subnet netip.Prefix) netip.Addr {
	return subnet.Addr().Next()
}

// broadcast returns the last address of the subnet, which nobody gets.
func broadcast(subnet netip.Prefix) netip.Addr {
	a := subnet.Addr().As4()
	for bit := subnet.Bits(); bit < 32; bit++ {
		a[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(a)
}

// allocate returns the lowest address of the subnet that no lease holds,
// leaving out the network, the gateway and the broadcast address.
func allocate(subnet netip.Prefix, leases map[string]*lease) (netip.Addr, error) {
	taken := make(map[netip.Addr]bool, len(leases))
	for _, l := range leases {
		taken[l.Address] = true
	}
	last := broadcast(subnet)
	count := 0
	for a := gateway(subnet).Next(); a.Less(last); a = a.Next() {
		if !taken[a] {
			return a, nil
		}
		count++
	}
	return netip.Addr{}, fmt.Errorf("subnet %s is full: all its container addresses (%d) are in use", subnet, count)
}

// clash returns an error if a subnet overlaps another one that leases or
// rules of ours belong to: routes and rules of the two would mix.
func clash(subnet netip.Prefix, rec *record) error {
	for id, l := range rec.Leases {
		if l.Subnet != subnet && l.Subnet.Overlaps(subnet) {
			return fmt.Errorf("subnet %s overlaps %s, which container %q is connected to", subnet, l.Subnet, id)
		}
	}
	return nil
}
