package network

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const (
	hostAddress = "198.51.100.2"
	publicName  = "www.example.net"
	publicAddr  = "203.0.113.10"
)

// A third namespace plays the internet, with a name server and a web server.
// It knows the host's address and nothing of the containers' subnet.
func TestInternet(t *testing.T) {
	if !inWorld(t) {
		return
	}
	must(t, exec.Command("iptables", "-P", "FORWARD", "DROP").Run())
	internet := newBox(t, "internet")
	must(t, wire(internet))
	serveInternet(t, internet)

	before := snapshot(t)
	for _, annotation := range []map[string]string{nil, {SubnetAnnotation: "10.77.0.0/24"}} {
		b := newBox(t, "browser")
		b.extra = annotation
		if text, err := fetch(b); err == nil {
			t.Fatalf("fetched %q before it was connected", text)
		}
		must(t, b.connect())
		text, err := fetch(b)
		if want := publicName + " for " + hostAddress; err != nil || text != want {
			t.Errorf("got %q, %v, want %q", text, err, want)
		}
		must(t, b.disconnect())
		sameAs(t, before)
	}
}

// wire connects the host to the internet: its uplink, the provider's end and
// a public address behind it.
func wire(internet *box) error {
	uplink := netlink.NewVeth(netlink.LinkAttrs{Name: "uplink", TxQLen: -1})
	uplink.PeerName, uplink.PeerNamespace = "provider", netlink.NsFd(internet.ns.Fd())
	if err := netlink.LinkAdd(uplink); err != nil {
		return err
	}
	err := internet.do(func() error {
		provider, err := netlink.LinkByName("provider")
		if err != nil {
			return err
		}
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		return errors.Join(readyLink(provider, "198.51.100.1/24"), readyLink(lo, publicAddr+"/32"))
	})
	return errors.Join(err, readyLink(uplink, hostAddress+"/24"),
		netlink.RouteAdd(&netlink.Route{Dst: ipNet(prefix("0.0.0.0/0")), Gw: net.IPv4(198, 51, 100, 1)}))
}

// serveInternet starts the name server and the web server.
func serveInternet(t *testing.T, internet *box) {
	t.Helper()
	var packets net.PacketConn
	var listener net.Listener
	must(t, internet.do(func() (err error) {
		if packets, err = net.ListenPacket("udp4", publicAddr+":53"); err != nil {
			return err
		}
		listener, err = net.Listen("tcp4", publicAddr+":80")
		return err
	}))
	names := dns.NewServeMux()
	names.HandleFunc(publicName+".", func(w dns.ResponseWriter, r *dns.Msg) {
		m := new(dns.Msg).SetReply(r)
		if r.Question[0].Qtype == dns.TypeA {
			rr, err := dns.NewRR(publicName + ". 60 IN A " + publicAddr)
			if err != nil {
				panic(err)
			}
			m.Answer = append(m.Answer, rr)
		}
		_ = w.WriteMsg(m)
	})
	resolver := &dns.Server{PacketConn: packets, Handler: names}
	go func() { _ = resolver.ActivateAndServe() }()
	t.Cleanup(func() { _ = resolver.Shutdown() })

	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, _, _ := net.SplitHostPort(r.RemoteAddr)
		fmt.Fprintf(w, "%s for %s", r.Host, from)
	})}
	go func() { _ = web.Serve(listener) }()
	t.Cleanup(func() { _ = web.Close() })
}

// fetch resolves the public name and fetches by it from inside the box.
func fetch(b *box) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	resolver := net.Resolver{PreferGo: true, Dial: func(_ context.Context, _, _ string) (net.Conn, error) {
		return b.dial("udp4", publicAddr+":53")
	}}
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			name, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			addrs, err := resolver.LookupHost(ctx, name)
			if err != nil {
				return nil, err
			}
			return b.dial("tcp4", net.JoinHostPort(addrs[0], port))
		},
	}}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+publicName+"/", nil)
	if err != nil {
		return "", err
	}
	answer, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return string(body), err
}

// A container can send from its own address only.
func TestSpoofing(t *testing.T) {
	if !inWorld(t) {
		return
	}
	a, b := newBox(t, "a"), newBox(t, "b")
	must(t, a.connect())
	must(t, b.connect())
	var packets net.PacketConn
	must(t, b.do(func() (err error) { packets, err = net.ListenPacket("udp4", ":7003"); return err }))
	send := func(from string) error {
		return a.do(func() error {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			if err := unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_FREEBIND, 1); err != nil {
				return err
			}
			if err := unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_TRANSPARENT, 1); err != nil {
				return err
			}
			src := &unix.SockaddrInet4{Addr: prefix(from + "/32").Addr().As4()}
			if err := unix.Bind(fd, src); err != nil {
				return err
			}
			return unix.Sendto(fd, []byte(from), 0, &unix.SockaddrInet4{Port: 7003, Addr: [4]byte{172, 18, 0, 3}})
		})
	}
	for _, from := range []string{"172.18.0.1", "172.18.0.9", "8.8.8.8", "172.18.0.2"} {
		must(t, send(from))
	}
	must(t, packets.SetReadDeadline(time.Now().Add(3*time.Second)))
	buf := make([]byte, 100)
	n, _, err := packets.ReadFrom(buf)
	if err != nil || string(buf[:n]) != "172.18.0.2" {
		t.Errorf("the first to come through is %q, %v, want that from 172.18.0.2", buf[:n], err)
	}
}

// To open a socket inside the container, a thread goes there: it comes back.
func TestThreadsStay(t *testing.T) {
	if !inWorld(t) {
		return
	}
	home, err := netns.Get()
	must(t, err)
	defer home.Close()
	b := newBox(t, "b")
	c, err := openContainer(b.state("creating"))
	must(t, err)
	defer c.close()
	now, err := netns.Get()
	must(t, err)
	defer now.Close()
	if !home.Equal(now) {
		t.Errorf("in %s, want %s", now, home)
	}
	if _, err := c.links.LinkByName("lo"); err != nil {
		t.Error(err)
	}
}
