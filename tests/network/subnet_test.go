package network

import (
	"strings"
	"testing"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// Containers in one subnet and in others, under a firewall that drops what it
// is not told to let through: all reach each other, each subnet has its rules,
// a full one says so, and each goes by itself.
func TestSubnets(t *testing.T) {
	drive.NeedRoot(t)
	host(t, "iptables", "-P", "FORWARD", "DROP")
	t.Cleanup(func() { host(t, "iptables", "-P", "FORWARD", "ACCEPT") })
	before := prepare(t)

	// Each answers pings as soon as it is created.
	const sleep = "exec sleep 1000"
	plain := busybox(t, sleep)
	small := busybox(t, sleep, subnet("10.50.0.0/30"))
	other := busybox(t, sleep, subnet("10.60.0.0/24"))
	ids := []string{id(t, "plain"), id(t, "small"), id(t, "other-a"), id(t, "other-b")}
	want := []string{"172.18.0.2", "10.50.0.2", "10.60.0.2", "10.60.0.3"}
	for i, bundle := range []string{plain, small, other, other} {
		create(t, bundle, ids[i])
		if _, addr := link(t, ids[i]); addr.String() != want[i] {
			t.Errorf("%s has %s, want %s", ids[i], addr, want[i])
		}
	}
	checkRules(t, "172.18.0.0/16", "10.50.0.0/30", "10.60.0.0/24")

	full := id(t, "full")
	r := drive.Exec(t, drive.Mocker(t), "create", "--bundle", small, full)
	if said := hookFailed(t, full) + "subnet 10.50.0.0/30 is full: all its container addresses (1) are in use\n"; r.Code != 1 || r.Stderr != said {
		t.Errorf("create: %v\nwant stderr: %s", r, said)
	}
	wide, bundle := id(t, "wide"), busybox(t, sleep, subnet("10.50.0.0/15"))
	r = drive.Exec(t, drive.Mocker(t), "create", "--bundle", bundle, wide)
	if said := hookFailed(t, wide) + "subnet 10.50.0.0/15 overlaps 10.50.0.0/30, which container \"" + ids[1] + "\" is connected to\n"; r.Code != 1 || r.Stderr != said {
		t.Errorf("create: %v\nwant stderr: %s", r, said)
	}

	// A visitor to each of them, from two of the subnets.
	visit := "for a in " + strings.Join(want, " ") + "; do ping -c 1 -W 5 $a >/dev/null && echo $a; done"
	for _, visitor := range []string{busybox(t, visit), busybox(t, visit, subnet("10.60.0.0/24"))} {
		r := drive.Exec(t, drive.Mocker(t), "run", "--bundle", visitor, id(t, "visitor"))
		if reached := strings.Fields(r.Stdout); r.Code != 0 || strings.Join(reached, " ") != strings.Join(want, " ") {
			t.Errorf("reached %v, want %v: %v", reached, want, r)
		}
	}

	remove := func(id string) {
		t.Helper()
		if r := drive.Exec(t, drive.Mocker(t), "delete", id); r.Code != 0 || r.Stderr != "" {
			t.Errorf("delete %s: %v", id, r)
		}
	}
	remove(ids[1])
	checkRules(t, "172.18.0.0/16", "10.60.0.0/24")
	remove(ids[2])
	checkRules(t, "172.18.0.0/16", "10.60.0.0/24")
	remove(ids[3])
	checkRules(t, "172.18.0.0/16")
	if got := host(t, "cat", "/proc/sys/net/ipv4/ip_forward"); got != "1\n" {
		t.Errorf("ip_forward is %s while a container is connected", got)
	}
	remove(ids[0])
	before.Unchanged(t)
}

// checkRules asserts that there are rules for these subnets and no others.
func checkRules(t *testing.T, subnets ...string) {
	t.Helper()
	nat, filter := host(t, "iptables", "-t", "nat", "-S"), host(t, "iptables", "-S")
	for _, s := range subnets {
		for _, rule := range []struct{ table, text string }{
			{nat, "-A POSTROUTING -s " + s + " ! -d " + s + " -m comment --comment mocker -j MASQUERADE\n"},
			{filter, "-A FORWARD -s " + s + " -i veth+ -m comment --comment mocker -j ACCEPT\n"},
			{filter, "-A FORWARD -d " + s + " -o veth+ -m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment mocker -j ACCEPT\n"},
		} {
			if strings.Count(rule.table, rule.text) != 1 {
				t.Errorf("want once %s in\n%s", rule.text, rule.table)
			}
		}
	}
	if got := strings.Count(nat+filter, "-A "); got != 3*len(subnets) {
		t.Errorf("%d rules, want %d:\n%s%s", got, 3*len(subnets), nat, filter)
	}
}
