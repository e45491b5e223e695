// Package netdevices moves network devices of the host into the network
// namespace of a container (config-linux.md, "Network Devices"), and back if
// the container does not come to be.
//
// It acts on the host's side, over netlink, with sockets in both namespaces.
// It makes no devices, and once a container exists its devices are its
// namespace's: with that the kernel removes them, or gives physical ones back.
package netdevices

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

// Check makes sure that the devices are there.
func Check(list []config.NetDevice) error {
	for _, d := range list {
		if _, err := netlink.LinkByName(d.Name); err != nil {
			return deviceError(d, explain(err))
		}
	}
	return nil
}

// Moved are devices that have been moved, with what it takes to undo it.
type Moved struct {
	own, inner namespace
	list       []moved
}

// moved is one device: what it was here, and where it is.
type moved struct {
	name  string
	up    bool
	addrs []netlink.Addr // those that outlive a move
	index int            // in the container's namespace
}

// namespace is a network namespace and two sockets in it.
type namespace struct {
	fd      netns.NsHandle
	net     *netlink.Handle
	sockets map[int]*nl.SocketHandle // for what netlink.Handle cannot say
}

func openNamespace(path string) (ns namespace, err error) {
	if ns.fd, err = netns.GetFromPath(path); err != nil {
		return ns, fmt.Errorf("open network namespace %s: %w", path, err)
	}
	if ns.net, err = netlink.NewHandleAt(ns.fd, unix.NETLINK_ROUTE); err != nil {
		ns.fd.Close()
		return ns, fmt.Errorf("open a netlink socket in %s: %w", path, err)
	}
	s, err := nl.GetNetlinkSocketAt(ns.fd, netns.None(), unix.NETLINK_ROUTE)
	if err != nil {
		ns.net.Close()
		ns.fd.Close()
		return ns, fmt.Errorf("open a netlink socket in %s: %w", path, err)
	}
	ns.sockets = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: s}}
	return ns, nil
}

func (ns namespace) close() {
	ns.sockets[unix.NETLINK_ROUTE].Close()
	ns.net.Close()
	ns.fd.Close()
}

// Move moves devices into the network namespace of a process. What it gives
// is to be closed. If one cannot be moved, those before it are moved back.
func Move(pid int, list []config.NetDevice) (*Moved, error) {
	m := &Moved{}
	var err error
	if m.own, err = openNamespace("/proc/thread-self/ns/net"); err != nil {
		return nil, err
	}
	if m.inner, err = openNamespace(fmt.Sprintf("/proc/%d/ns/net", pid)); err != nil {
		m.own.close()
		return nil, err
	}
	for _, d := range list {
		if err := m.move(d); err != nil {
			err = errors.Join(deviceError(d, explain(err)), m.Undo())
			m.Close()
			return nil, err
		}
	}
	return m, nil
}

// Close gives back what Move has opened, and moves nothing.
func (m *Moved) Close() {
	m.own.close()
	m.inner.close()
}

// move moves one device. On the way the kernel takes it down and drops its
// addresses; the lasting ones that mean something elsewhere are given back.
func (m *Moved) move(d config.NetDevice) error {
	link, err := m.own.net.LinkByName(d.Name)
	if err != nil {
		return err
	}
	before := moved{name: link.Attrs().Name, up: link.Attrs().Flags&unix.IFF_UP != 0}
	if before.addrs, err = addresses(m.own.net, link); err != nil {
		return err
	}
	if _, err := m.inner.net.LinkByName(d.Inner); err == nil {
		return fmt.Errorf("name it %s in the container's network namespace: %w", d.Inner, unix.EEXIST)
	}
	inner, err := transfer(m.own, m.inner, link)
	if err != nil {
		return err
	}
	before.index = inner.Attrs().Index
	m.list = append(m.list, before)
	return settle(m.inner.net, inner, moved{name: d.Inner, up: true, addrs: before.addrs})
}

// transfer moves a device to another namespace, where it has a name that
// nobody else has. If it fails the device is where it was, and as it was: the
// kernel takes it down only when nothing can fail any more.
func transfer(from, to namespace, link netlink.Link) (netlink.Link, error) {
	name := "mk-" + rand.Text()[:12]
	req := nl.NewNetlinkRequest(unix.RTM_SETLINK, unix.NLM_F_ACK)
	req.Sockets = from.sockets
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(link.Attrs().Index)
	req.AddData(msg)
	req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
	req.AddData(nl.NewRtAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(to.fd))))
	if _, err := req.Execute(unix.NETLINK_ROUTE, 0); err != nil {
		return nil, fmt.Errorf("move it: %w", err)
	}
	return to.net.LinkByName(name)
}

// addresses are those of a device that outlive a move: permanent ones with
// global scope.
func addresses(h *netlink.Handle, link netlink.Link) ([]netlink.Addr, error) {
	all, err := h.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("list its addresses: %w", err)
	}
	var kept []netlink.Addr
	for _, a := range all {
		if a.Flags&unix.IFA_F_PERMANENT != 0 && a.Scope == unix.RT_SCOPE_UNIVERSE {
			kept = append(kept, a)
		}
	}
	return kept, nil
}

// settle makes a device in its new namespace what it is to be: its name, which
// may be a template, its addresses, and whether it is up.
func settle(h *netlink.Handle, link netlink.Link, want moved) error {
	if err := h.LinkSetName(link, want.name); err != nil {
		return fmt.Errorf("name it %s: %w", want.name, err)
	}
	link, err := h.LinkByIndex(link.Attrs().Index)
	if err != nil {
		return err
	}
	for _, a := range want.addrs {
		const lasting = unix.IFA_F_NOPREFIXROUTE | unix.IFA_F_NODAD
		fresh := netlink.Addr{IPNet: a.IPNet, Peer: a.Peer, Broadcast: a.Broadcast, Flags: a.Flags & lasting}
		if _, alias, ok := strings.Cut(a.Label, ":"); ok {
			fresh.Label = link.Attrs().Name + ":" + alias
		}
		if err := h.AddrAdd(link, &fresh); err != nil {
			return fmt.Errorf("give it the address %s: %w", a.IPNet, err)
		}
	}
	if !want.up {
		return nil
	}
	if err := h.LinkSetUp(link); err != nil {
		return fmt.Errorf("set it up: %w", err)
	}
	return nil
}

// Undo moves back what has been moved, in reverse, as it was.
func (m *Moved) Undo() error {
	var failed error
	for i := len(m.list) - 1; i >= 0; i-- {
		d := m.list[i]
		link, err := m.inner.net.LinkByIndex(d.index)
		if err == nil {
			link, err = transfer(m.inner, m.own, link)
		}
		if err == nil {
			err = settle(m.own.net, link, d)
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("move network device %s back: %w", d.name, err))
		}
	}
	m.list = nil
	return failed
}

func deviceError(d config.NetDevice, err error) error {
	return fmt.Errorf("linux.netDevices.%s: %w", d.Name, err)
}

// explain turns what netlink says into what there is to know.
func explain(err error) error {
	var missing netlink.LinkNotFoundError
	switch {
	case errors.As(err, &missing):
		return errors.New("no such network device in mocker's network namespace")
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w (it takes CAP_NET_ADMIN over mocker's network namespace)", err)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%w (not every device can leave its network namespace)", err)
	}
	return err
}
