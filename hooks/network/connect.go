package network

import (
	"errors"
	"fmt"
	"io"
	"net/netip"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// connection is a container on its way onto the network.
type connection struct {
	st     *specs.State
	subnet netip.Prefix
	notes  io.Writer

	store *store
	far   *container
	host  *netlink.Handle

	lease  *lease       // nil until it is noted
	number int          // of the link
	near   netlink.Link // the host's end of the pair
}

// step is one step of connecting a container.
type step struct {
	name string // for tests that stop after it
	do   func(*connection) error
}

// steps are what connecting takes, in order.
func steps() []step {
	return []step{
		{"check", (*connection).check},
		{"lease", (*connection).note}, // before everything that it describes
		{"veth", (*connection).makeLink},
		{"alias", (*connection).setAlias},
		{"host side", (*connection).setHostSide},
		{"inside", (*connection).setInside},
		{"route", (*connection).routeToContainer}, // needs the near end up
		{"forwarding", (*connection).forward},
		{"rules", (*connection).makeRules},
		{"settle", (*connection).settle}, // last: see there
	}
}

// connect connects a container. after, if set, is called after each step:
// tests end the process there.
func connect(st *specs.State, notes io.Writer, after func(step string)) (err error) {
	subnet, err := subnetOf(st)
	if err != nil {
		return err
	}
	if len(st.ID) > maxID {
		return fmt.Errorf("an id of %d bytes is too long for the alias of a link: at most %d", len(st.ID), maxID)
	}
	c := &connection{st: st, subnet: subnet, notes: notes}
	if c.far, err = openContainer(st); err != nil {
		return err
	}
	defer c.far.close()
	if c.host, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	defer c.host.Close()
	if c.store, err = openStore(true); err != nil {
		return err
	}
	defer c.store.close()
	for _, s := range steps() {
		if err := s.do(c); err != nil {
			return c.undo(err)
		}
		if after != nil {
			after(s.name)
		}
	}
	return nil
}

// undo takes back what was done until err stopped it, and returns err.
func (c *connection) undo(err error) error {
	var undoErr error
	if c.lease != nil {
		undoErr = release(c.store, c.host, c.st.ID, c.notes)
	} else {
		undoErr = sweep(c.store)
	}
	if undoErr != nil {
		return fmt.Errorf("%w; and undoing it: %w", err, undoErr)
	}
	return err
}

// check makes sure that the container is not connected yet.
func (c *connection) check() error {
	if old := c.store.rec.Leases[c.st.ID]; old != nil {
		link, err := findLink(c.host, c.st.ID, old, c.notes)
		if err != nil {
			return err
		}
		if link != nil {
			return fmt.Errorf("a container with this id (bundle %s) is connected already: link %s, address %s",
				old.Bundle, old.Link, old.Address)
		}
		// Its namespace has gone, and nobody told us.
		delete(c.store.rec.Leases, c.st.ID)
	}
	// Before anything is noted that could not be undone without it.
	if _, err := findIPTables(); err != nil {
		return err
	}
	_, err := c.far.links.LinkByName(insideName)
	if err == nil {
		return fmt.Errorf("its network namespace has a link %s already", insideName)
	}
	if notFound := (netlink.LinkNotFoundError{}); !errors.As(err, &notFound) {
		return fmt.Errorf("look up link %s in the container: %w", insideName, err)
	}
	return nil
}

// note chooses an address and a name and notes them with all that will be
// done, so that from here on a clean-up finds everything.
func (c *connection) note() error {
	rec := c.store.rec
	if err := clash(c.subnet, rec); err != nil {
		return err
	}
	// Once a container is there, the routes are ours.
	if !rec.inUse(c.subnet) {
		if err := busy(c.host, c.subnet); err != nil {
			return err
		}
	}
	addr, err := allocate(c.subnet, rec.Leases)
	if err != nil {
		return err
	}
	mac, err := randomMAC()
	if err != nil {
		return err
	}
	off, err := forwardingOff()
	if err != nil {
		return err
	}
	if off && rec.Forward == nil {
		if rec.Forward, err = noteForwarding(); err != nil {
			return err
		}
	}
	if rec.Rules[c.subnet] == "" {
		rec.Rules[c.subnet] = rulesMaking
	}
	c.number = rec.freeNumber(0)
	c.lease = &lease{
		Bundle:  c.st.Bundle,
		Subnet:  c.subnet,
		Address: addr,
		Link:    linkName(c.number),
		MAC:     mac.String(),
	}
	rec.Leases[c.st.ID] = c.lease
	return c.store.save()
}

// freeNumber returns the first number from which on no lease has a link.
func (r *record) freeNumber(from int) int {
	taken := make(map[string]bool, len(r.Leases))
	for _, l := range r.Leases {
		taken[l.Link] = true
	}
	for taken[linkName(from)] {
		from++
	}
	return from
}
