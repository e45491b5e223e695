package network

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/drive"
)

const lookAround = `
echo == link;  ip link ls
echo == addr;  ip addr show dev ceth0
echo == route; ip route show
echo == name;  hostname
echo == ps;    ps
echo == ping;  ping -c 1 -W 5 172.18.0.1
echo == end
exec sleep 1000`

// What mocker's first seed showed by hand, inside and outside, before, during
// and after.
func TestSeed(t *testing.T) {
	before := prepare(t)
	bundle, id := busybox(t, lookAround), id(t, "seed")

	c := create(t, bundle, id)
	mocker := drive.Mocker(t)
	if r := drive.Exec(t, mocker, "start", id); r.Code != 0 {
		t.Fatalf("start: %v", r)
	}
	drive.Eventually(t, "the container has looked around", func() bool { return strings.Contains(c.Output(), "\n== end\n") })
	checkInside(t, sections(c.Output()))
	checkOutside(t, id)

	if r := drive.Exec(t, mocker, "kill", id, "KILL"); r.Code != 0 {
		t.Errorf("kill: %v", r)
	}
	drive.Eventually(t, "the container has stopped", func() bool { return state(t, id).Status == "stopped" })
	// The link goes with the namespace; lease and rules stay until delete.
	if out := host(t, "iptables", "-t", "nat", "-S", "POSTROUTING"); !strings.Contains(out, masquerade) {
		t.Errorf("the rule has gone before delete:\n%s", out)
	}
	if r := drive.Exec(t, mocker, "delete", id); r.Code != 0 || r.Stderr != "" {
		t.Errorf("delete: %v", r)
	}
	before.Unchanged(t)
}

func checkInside(t *testing.T, shows map[string]string) {
	t.Helper()
	matches(t, "ip link ls", shows["link"], `1: lo: <LOOPBACK,UP,LOWER_UP> .*link/loopback \S+ brd \S+ 2: ceth0@\w+: <\S*UP\S*> .*link/ether \S+ brd \S+`)
	matches(t, "ip addr show dev ceth0", shows["addr"], `.*\binet 172\.18\.0\.2/16 brd 172\.18\.255\.255 scope global noprefixroute ceth0 valid_lft forever preferred_lft forever( inet6 fe80:.*)?`)
	matches(t, "ip route show", shows["route"], `default via 172\.18\.0\.1 dev ceth0 src 172\.18\.0\.2 172\.18\.0\.1 dev ceth0 scope link src 172\.18\.0\.2`)
	matches(t, "hostname", shows["name"], `mocker`)
	matches(t, "ps", shows["ps"], `PID USER COMMAND 1 root sh -c .*`)
	if n := strings.Count(shows["ps"], "\n"); !strings.Contains(shows["ps"], "{ps}") && !strings.Contains(shows["ps"], " ps\n") || n > 40 {
		t.Errorf("ps shows\n%s", shows["ps"])
	}
	if !strings.Contains(shows["ping"], "1 packets transmitted, 1 packets received, 0% packet loss") {
		t.Errorf("ping says\n%s", shows["ping"])
	}
}

func checkOutside(t *testing.T, id string) {
	t.Helper()
	nat := host(t, "iptables", "-t", "nat", "-L", "POSTROUTING", "-n")
	matches(t, "iptables -L", nat, `Chain POSTROUTING \(policy ACCEPT\) target prot opt source destination MASQUERADE 0 -- 172\.18\.0\.0/16 !172\.18\.0\.0/16 /\* mocker \*/`)
	matches(t, "ip addr show dev veth0", host(t, "ip", "-4", "addr", "show", "dev", "veth0"),
		`\d+: veth0@if2: .* link-netnsid \d+ (alias mocker:`+id+` )?inet 172\.18\.0\.1/16 brd 172\.18\.255\.255 scope global \S*\s?veth0 valid_lft forever preferred_lft forever`)
	if name, addr := link(t, id); name != "veth0" || addr.String() != "172.18.0.2" {
		t.Errorf("the link is %s, the way to %s", name, addr)
	}

	st := state(t, id)
	limits := []struct{ tree, file, want string }{
		{"/memory", "memory.limit_in_bytes", "1073741824"}, {"/cpu", "cpu.cfs_quota_us", "100000"}, {"/pids", "pids.max", "1024"},
	}
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.procs"); err == nil { // cgroup v2 alone
		limits = []struct{ tree, file, want string }{
			{"", "memory.max", "1073741824"}, {"", "cpu.max", "100000 100000"}, {"", "pids.max", "1024"},
		}
	}
	for _, limit := range limits {
		dir := "/sys/fs/cgroup" + limit.tree + "/mocker/"
		if ids := host(t, "ls", dir); !strings.Contains(ids, id+"\n") {
			t.Errorf("%s has\n%s", dir, ids)
		}
		if got := read(t, dir+id+"/"+limit.file); got != limit.want {
			t.Errorf("%s is %s, want %s", limit.file, got, limit.want)
		}
		if procs := read(t, dir+id+"/cgroup.procs"); procs != strconv.Itoa(st.Pid) {
			t.Errorf("cgroup.procs of %s has %q, want %d", dir, procs, st.Pid)
		}
	}
}

func state(t *testing.T, id string) specs.State {
	t.Helper()
	r := drive.Exec(t, drive.Mocker(t), "state", id)
	var st specs.State
	if err := json.Unmarshal([]byte(r.Stdout), &st); err != nil {
		t.Fatalf("state: %v: %v", err, r)
	}
	return st
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

// The bundle as it comes, in the hands of somebody at a terminal.
func TestShell(t *testing.T) {
	before := prepare(t)
	bundle, id := busybox(t, ""), id(t, "shell")
	term := drive.OnTerminal(t, drive.Mocker(t), "run", "--bundle", bundle, id)
	term.Expect("/ # ")
	for _, c := range []struct{ typed, form string }{
		{"hostname", `mocker`},
		{"ps", `PID USER COMMAND 1 root sh \d+ root (ps|{ps} sh)`},
		{"ip -o link ls | wc -l", `2`},
		{"ip addr show dev ceth0 | grep inet", `inet 172\.18\.0\.2/16 .*`},
		{"ip route show", `default via 172\.18\.0\.1 dev ceth0 src 172\.18\.0\.2 172\.18\.0\.1 dev ceth0 .*`},
		{"ping -c 1 172.18.0.1 | grep loss", `1 packets transmitted, 1 packets received, 0% packet loss`},
		{"stty size; tty", `24 80 /dev/(console|pts/0)`},
	} {
		term.Type(c.typed + "\r")
		term.Expect(c.typed + "\r\n")
		matches(t, c.typed, strings.TrimSuffix(term.Expect("/ # "), "/ # "), c.form)
	}
	term.Type("sleep 100\r")
	term.Expect("sleep 100\r\n")
	drive.Eventually(t, "it sleeps", func() bool { return len(drive.Children(t, state(t, id).Pid)) == 1 })
	term.Type("\x03") // Ctrl-C ends the sleep and not the shell, nor mocker
	term.Expect("/ # ")
	term.Type("echo $?; exit 3\r")
	term.Expect("130\r\n")
	if code := term.Wait(); code != 3 {
		t.Errorf("exit status %d, want 3; the terminal showed\n%s", code, term.Shown())
	}
	before.Unchanged(t)
}
