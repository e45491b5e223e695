package network

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// The internet of the tests, from documentation's address ranges
// (RFC 5737): the host's uplink, the provider's end of it, and behind that a
// machine with a name and a web server. It knows no way to 172.18.0.0/16.
const (
	uplinkAddr   = "198.51.100.2"
	providerAddr = "198.51.100.1"
	publicAddr   = "203.0.113.10"
)

// A container resolves a name with the host's resolv.conf, fetches by it, and
// is seen under the host's address.
func TestInternet(t *testing.T) {
	drive.NeedRoot(t)
	asked := internet(t)
	host(t, "iptables", "-P", "FORWARD", "DROP")
	t.Cleanup(func() { host(t, "iptables", "-P", "FORWARD", "ACCEPT") })
	before := prepare(t)
	// Without -T: Debian's busybox crashes when it looks up a name under it.
	bundle := busybox(t, `
echo == resolv.conf; cat /etc/resolv.conf
echo == write; echo nameserver 1.2.3.4 >/etc/resolv.conf
echo == nslookup; nslookup www.test
echo == wget; wget -q -O- http://www.test/
echo == ping; ping -c 1 -W 5 www.test
wget -q -O- http://nowhere.test/; missing=$?
echo == status; echo $missing
`)
	r := drive.Exec(t, drive.Mocker(t), "run", "--bundle", bundle, id(t, "internet"))
	shows := sections(r.Stdout)
	matches(t, "resolv.conf", shows["resolv.conf"], `nameserver 203\.0\.113\.10`)
	matches(t, "nslookup", shows["nslookup"], `.*Name: www\.test Address: 203\.0\.113\.10.*`)
	matches(t, "wget", shows["wget"], `www\.test for 198\.51\.100\.2`)
	matches(t, "ping", shows["ping"], `PING www\.test .* 0% packet loss .*`)
	matches(t, "wget of what is not there", shows["status"], `1`)
	matches(t, "stderr", r.Stderr, `sh: can't create /etc/resolv.conf: Read-only file system wget: bad address 'nowhere.test'`)
	if r.Code != 0 || t.Failed() {
		t.Errorf("run: %v", r)
	}
	if names := asked(); !strings.Contains(names, "www.test. from 198.51.100.2") {
		t.Errorf("the name server was asked for %s", names)
	}
	before.Unchanged(t)
}

// internet makes another network namespace with its servers, connects this
// one to it, and makes it the host's. The function it returns tells for which
// names the name server was asked, and by whom.
func internet(t *testing.T) (asked func() string) {
	t.Helper()
	far, err := newNamespace()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close() })
	if err := wire(far); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { host(t, "ip", "link", "del", "uplink") })
	drive.Eventually(t, "the kernel has noticed the cable", func() bool {
		l, err := netlink.LinkByName("uplink")
		return err == nil && l.Attrs().OperState == netlink.OperUp
	})

	var packets net.PacketConn
	var listener net.Listener
	err = within(far, func() (err error) {
		if packets, err = net.ListenPacket("udp4", publicAddr+":53"); err == nil {
			listener, err = net.Listen("tcp4", publicAddr+":80")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	names := &nameServer{}
	resolver := &dns.Server{PacketConn: packets, Handler: names}
	go func() { _ = resolver.ActivateAndServe() }()
	t.Cleanup(func() { _ = resolver.Shutdown() })
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, _, _ := net.SplitHostPort(r.RemoteAddr)
		fmt.Fprintf(w, "%s for %s\n", r.Host, from)
	})}
	go func() { _ = web.Serve(listener) }()
	t.Cleanup(func() { _ = web.Close() })

	conf := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(conf, []byte("nameserver "+publicAddr+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(conf, "/etc/resolv.conf", "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount("/etc/resolv.conf", 0); err != nil {
			t.Error(err)
		}
	})
	return names.String
}

// nameServer knows one name, and notes what it is asked.
type nameServer struct {
	mu    sync.Mutex
	asked []string
}

func (n *nameServer) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.asked, ", ")
}

func (n *nameServer) ServeDNS(w dns.ResponseWriter, r *dns.Msg) {
	from, _, _ := net.SplitHostPort(w.RemoteAddr().String())
	m := new(dns.Msg).SetReply(r)
	for _, q := range r.Question {
		n.mu.Lock()
		n.asked = append(n.asked, q.Name+" from "+from)
		n.mu.Unlock()
		switch {
		case q.Name != "www.test.":
			m.Rcode = dns.RcodeNameError
		case q.Qtype == dns.TypeA:
			m.Answer = append(m.Answer, &dns.A{
				Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60},
				A:   net.ParseIP(publicAddr),
			})
		}
	}
	_ = w.WriteMsg(m)
}

// wire lays the cable between the host and the internet.
func wire(far netns.NsHandle) error {
	uplink := netlink.NewVeth(netlink.LinkAttrs{Name: "uplink", TxQLen: -1})
	uplink.PeerName, uplink.PeerNamespace = "provider", netlink.NsFd(far)
	if err := netlink.LinkAdd(uplink); err != nil {
		return err
	}
	err := within(far, func() error {
		return errors.Join(ready("lo", publicAddr+"/32"), ready("provider", providerAddr+"/24"))
	})
	return errors.Join(err, ready("uplink", uplinkAddr+"/24"),
		netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP(providerAddr), Dst: &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}}))
}

// ready gives a link its one address and sets it up. Without IPv6, for that
// would give it another one some time later.
func ready(name, addr string) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	a, err := netlink.ParseAddr(addr)
	if err != nil {
		return err
	}
	six := "/proc/sys/net/ipv6/conf/" + name + "/disable_ipv6"
	if err := os.WriteFile(six, []byte("1"), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return errors.Join(netlink.AddrAdd(l, a), netlink.LinkSetUp(l))
}

// newNamespace makes a network namespace and leaves it at once.
func newNamespace() (ns netns.NsHandle, err error) {
	err = onThread(func() error {
		ns, err = netns.New()
		return err
	})
	return ns, err
}

// within runs f in a network namespace.
func within(ns netns.NsHandle, f func() error) error {
	return onThread(func() error {
		if err := netns.Set(ns); err != nil {
			return err
		}
		return f()
	})
}

// onThread runs f on a thread that ends with it.
func onThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocks it
		done <- f()
	}()
	return <-done
}
