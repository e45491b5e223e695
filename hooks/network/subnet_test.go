package network

import (
	"net/netip"
	"strconv"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestSubnetOf(t *testing.T) {
	tests := []struct {
		text string
		want string // the subnet, or else
		err  string // the error after the annotation
	}{
		{text: "172.18.0.0/16", want: "172.18.0.0/16"},
		{text: "10.0.0.0/8", want: "10.0.0.0/8"},
		{text: "192.168.7.4/30", want: "192.168.7.4/30"},
		{text: "", err: "not an IPv4 subnet like 172.18.0.0/16"},
		{text: "10.0.0.0", err: "not an IPv4 subnet like 172.18.0.0/16"},
		{text: "10.0.0.0/33", err: "not an IPv4 subnet like 172.18.0.0/16"},
		{text: "10.0.0.0/016", err: "not an IPv4 subnet like 172.18.0.0/16"},
		{text: "10.0.0/16", err: "not an IPv4 subnet like 172.18.0.0/16"},
		{text: " 10.0.0.0/16", err: "not an IPv4 subnet like 172.18.0.0/16"},
		{text: "fd00::/64", err: "not an IPv4 subnet like 172.18.0.0/16"},
		{text: "::ffff:10.0.0.0/112", err: "not an IPv4 subnet like 172.18.0.0/16"},
		{text: "10.0.0.0/7", err: "prefix length not between /8 and /30"},
		{text: "10.0.0.0/31", err: "prefix length not between /8 and /30"},
		{text: "0.0.0.0/0", err: "prefix length not between /8 and /30"},
		{text: "10.1.2.3/16", err: "an address in the subnet 10.1.0.0/16, not a subnet"},
		{text: "127.0.0.0/8", err: "not a range of unicast addresses"},
		{text: "0.0.0.0/8", err: "not a range of unicast addresses"},
		{text: "224.0.0.0/8", err: "not a range of unicast addresses"},
		{text: "255.255.255.0/24", err: "not a range of unicast addresses"},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			st := &specs.State{Annotations: map[string]string{SubnetAnnotation: tt.text}}
			got, err := subnetOf(st)
			if tt.err != "" {
				want := `annotation mocker.network.subnet: ` + strconv.Quote(tt.text) + ": " + tt.err
				if err == nil || err.Error() != want {
					t.Errorf("got  %v\nwant %s", err, want)
				}
				return
			}
			if err != nil || got.String() != tt.want {
				t.Errorf("got %s, %v, want %s", got, err, tt.want)
			}
		})
	}
	if got, err := subnetOf(&specs.State{}); err != nil || got.String() != "172.18.0.0/16" {
		t.Errorf("without annotation: %s, %v", got, err)
	}
}

func TestGatewayAndBroadcast(t *testing.T) {
	tests := []struct{ subnet, gateway, broadcast string }{
		{"172.18.0.0/16", "172.18.0.1", "172.18.255.255"},
		{"10.0.0.0/8", "10.0.0.1", "10.255.255.255"},
		{"10.0.0.4/30", "10.0.0.5", "10.0.0.7"},
		{"10.0.0.128/25", "10.0.0.129", "10.0.0.255"},
		{"10.8.0.0/13", "10.8.0.1", "10.15.255.255"},
	}
	for _, tt := range tests {
		subnet := netip.MustParsePrefix(tt.subnet)
		if got := gateway(subnet).String(); got != tt.gateway {
			t.Errorf("gateway(%s) = %s, want %s", subnet, got, tt.gateway)
		}
		if got := broadcast(subnet).String(); got != tt.broadcast {
			t.Errorf("broadcast(%s) = %s, want %s", subnet, got, tt.broadcast)
		}
	}
}

func leasesOf(subnet string, addrs ...string) map[string]*lease {
	leases := map[string]*lease{}
	for i, a := range addrs {
		leases["c"+strconv.Itoa(i)] = &lease{Subnet: netip.MustParsePrefix(subnet), Address: netip.MustParseAddr(a), Link: linkName(i)}
	}
	return leases
}

func TestAllocate(t *testing.T) {
	tests := []struct {
		name   string
		subnet string
		leases map[string]*lease
		want   string
		err    string
	}{
		{"first", "172.18.0.0/16", nil, "172.18.0.2", ""},
		{"next", "172.18.0.0/16", leasesOf("172.18.0.0/16", "172.18.0.2"), "172.18.0.3", ""},
		{"freed", "172.18.0.0/16", leasesOf("172.18.0.0/16", "172.18.0.2", "172.18.0.4"), "172.18.0.3", ""},
		{"another subnet's", "10.0.0.0/24", leasesOf("172.18.0.0/16", "172.18.0.2"), "10.0.0.2", ""},
		{"last", "10.0.0.0/29", leasesOf("10.0.0.0/29", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"), "10.0.0.6", ""},
		{"full", "10.0.0.0/29", leasesOf("10.0.0.0/29", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"), "",
			"subnet 10.0.0.0/29 is full: all its container addresses (5) are in use"},
		{"one", "10.0.0.4/30", nil, "10.0.0.6", ""},
		{"one, full", "10.0.0.4/30", leasesOf("10.0.0.4/30", "10.0.0.6"), "",
			"subnet 10.0.0.4/30 is full: all its container addresses (1) are in use"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := allocate(netip.MustParsePrefix(tt.subnet), tt.leases)
			if tt.err != "" {
				if err == nil || err.Error() != tt.err {
					t.Errorf("got %s, %v, want %s", got, err, tt.err)
				}
				return
			}
			if err != nil || got.String() != tt.want {
				t.Errorf("got %s, %v, want %s", got, err, tt.want)
			}
		})
	}
}

// Every address but three can be handed out.
func TestAllocateAll(t *testing.T) {
	subnet := netip.MustParsePrefix("10.0.0.0/24")
	leases := map[string]*lease{}
	for i := range 253 {
		a, err := allocate(subnet, leases)
		if err != nil {
			t.Fatalf("address %d: %v", i, err)
		}
		leases[strconv.Itoa(i)] = &lease{Subnet: subnet, Address: a}
	}
	if a, err := allocate(subnet, leases); err == nil {
		t.Errorf("one too many: %s", a)
	}
}

func TestClash(t *testing.T) {
	rec := &record{Leases: leasesOf("10.0.0.0/16", "10.0.0.2")}
	tests := []struct{ subnet, err string }{
		{"10.0.0.0/16", ""},
		{"10.1.0.0/16", ""},
		{"10.0.3.0/24", `subnet 10.0.3.0/24 overlaps 10.0.0.0/16, which container "c0" is connected to`},
		{"10.0.0.0/8", `subnet 10.0.0.0/8 overlaps 10.0.0.0/16, which container "c0" is connected to`},
	}
	for _, tt := range tests {
		err := clash(netip.MustParsePrefix(tt.subnet), rec)
		if tt.err == "" && err != nil || tt.err != "" && (err == nil || err.Error() != tt.err) {
			t.Errorf("%s: got %v, want %q", tt.subnet, err, tt.err)
		}
	}
}

func TestFreeNumber(t *testing.T) {
	rec := &record{Leases: map[string]*lease{"a": {Link: "veth0"}, "b": {Link: "veth1"}, "c": {Link: "veth3"}}}
	for from, want := range []int{2, 2, 2, 4, 4, 5} {
		if got := rec.freeNumber(from); got != want {
			t.Errorf("freeNumber(%d) = %d, want %d", from, got, want)
		}
	}
}

func TestReadState(t *testing.T) {
	const doing = "read the container's state from standard input: "
	tests := []struct{ name, in, err string }{
		{"empty", "", doing + "it is empty; this program is an OCI hook, to be named in a config.json"},
		{"not JSON", "pid 1", doing + "invalid character 'p' looking for beginning of value"},
		{"no id", `{"status":"creating","pid":1}`, doing + "it has no id"},
		{"no status", `{"id":"a"}`, doing + `status "" is none of creating, created, running, stopped`},
		{"paused", `{"id":"a","status":"paused"}`, doing + `status "paused" is none of creating, created, running, stopped`},
		{"crun", `{"ociVersion":"1.0","id":"a","pid":3,"root":"rootfs","bundle":"/b","status":"created"}`, ""},
		{"runc", `{"ociVersion":"1.0.2-dev","id":"a","status":"stopped","bundle":"/b","annotations":{"k":"v"}}`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := readState(strings.NewReader(tt.in))
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || err.Error() != tt.err) {
				t.Errorf("got  %v\nwant %s", err, tt.err)
			}
		})
	}
}
