package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// maxLinks bounds the search for a free name.
const maxLinks = 1 << 16

// makeLink makes the pair under the first name that is free. Each name is
// noted before it is tried.
func (c *connection) makeLink() error {
	mac, err := net.ParseMAC(c.lease.MAC)
	if err != nil {
		return err
	}
	for {
		pair, err := makePair(c.host, c.lease.Link, mac, c.far)
		if err == nil {
			c.near = pair
			return nil
		}
		if !errors.Is(err, unix.EEXIST) || c.number >= maxLinks {
			return err
		}
		c.number = c.store.rec.freeNumber(c.number + 1)
		c.lease.Link = linkName(c.number)
		if err := c.store.save(); err != nil {
			return err
		}
	}
}

func (c *connection) setAlias() error {
	if err := c.host.LinkSetAlias(c.near, aliasPrefix+c.st.ID); err != nil {
		return fmt.Errorf("set the alias of link %s to %q: %w", c.lease.Link, aliasPrefix+c.st.ID, err)
	}
	return nil
}

func (c *connection) setHostSide() error {
	if err := tuneHost(c.lease.Link); err != nil {
		return err
	}
	// Every near end has the same address: that of the gateway.
	if err := addAddress(c.host, c.near, gateway(c.subnet), c.subnet); err != nil {
		return err
	}
	return setUp(c.host, c.near)
}

// setInside sets up the container's own side: a gateway as only neighbour,
// and everything else, other containers included, behind it.
func (c *connection) setInside() error {
	in := c.far.links
	lo, err := in.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("look up link lo in the container: %w", err)
	}
	inner, err := in.LinkByName(insideName)
	if err != nil {
		return fmt.Errorf("look up link %s in the container: %w", insideName, err)
	}
	if err := addAddress(in, inner, c.lease.Address, c.subnet); err != nil {
		return err
	}
	for _, link := range []netlink.Link{lo, inner} {
		if err := setUp(in, link); err != nil {
			return err
		}
	}
	gw := gateway(c.subnet)
	if err := addRoute(in, inner, host32(gw), c.lease.Address, netip.Addr{}); err != nil {
		return err
	}
	everything := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	return addRoute(in, inner, everything, c.lease.Address, gw)
}

func (c *connection) routeToContainer() error {
	return addRoute(c.host, c.near, host32(c.lease.Address), gateway(c.subnet), netip.Addr{})
}

func (c *connection) forward() error {
	off, err := forwardingOff()
	if err != nil || !off {
		return err
	}
	return writeSysctl(ipForward, "1")
}

// makeRules makes the rules if this is the subnet's first container. Later
// ones trust the note: to ask would cost each of them two more processes at
// its start, and rules that somebody flushed are missed just as much by the
// containers that run already.
func (c *connection) makeRules() error {
	if c.store.rec.Rules[c.subnet] == rulesMade {
		return nil
	}
	if err := makeRules(c.subnet); err != nil {
		return err
	}
	c.store.rec.Rules[c.subnet] = rulesMade
	return c.store.save()
}

// settle makes sure that there is still a container. If it died while we
// waited for the lock, its clean-up may be over and would not come again; if
// it dies from now on, the clean-up waits for our lock.
func (c *connection) settle() error {
	return c.far.alive()
}
