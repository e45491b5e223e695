package network

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// What each of the hundred does: it reaches the host, by a ping of its
// gateway and by TCP, and then the next of the ring, by ping and by HTTP. Who
// that is, and what came of it, stands in the root file system that they all
// share.
const ringScript = `
me=$(ip addr show dev ceth0 | awk '/inet / { sub("/.*", "", $2); print $2 }')
next=$(cat /ring/$me)
httpd -p 7001 -h /ring
{
	ping -c 1 -W 10 172.18.0.1 >/dev/null && echo gateway
	nc -w 10 172.18.0.1 7000
	ping -c 1 -W 10 $next >/dev/null && echo next
	tries=0
	until wget -q -O- http://$next:7001/self; do
		tries=$((tries + 1))
		[ $tries -lt 100 ] || break
		sleep 0.2
	done
} >/ring/$me.new 2>/ring/$me.errors
mv /ring/$me.new /ring/$me.done
exec sleep 1000`

// A hundred containers, eight at a time.
func TestHundred(t *testing.T) {
	before := prepare(t)
	count := drive.Rounds(100, 10)
	bundle := busybox(t, ringScript)
	ring := filepath.Join(bundle, "rootfs/ring")
	put(t, filepath.Join(ring, "self"), "here\n")
	listen(t)

	ids := make([]string, count)
	for i := range ids {
		ids[i] = id(t, fmt.Sprintf("hundred-%03d", i))
	}
	var total time.Duration
	total += eight(t, "create", `"$MOCKER" create --bundle "$0" "$1"`, bundle, ids)
	addrs := checkAddresses(t, ids)
	checkList(t, ids, "created")
	for i, a := range addrs {
		put(t, filepath.Join(ring, a.String()), addrs[(i+1)%count].String())
	}
	total += eight(t, "start", `"$MOCKER" start "$1"`, bundle, ids)
	checkList(t, ids, "running")
	ringStart := time.Now()
	for i, a := range addrs {
		file := filepath.Join(ring, a.String())
		for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if _, err := os.Stat(file + ".done"); err == nil {
				break
			}
		}
		got, _ := os.ReadFile(file + ".done")
		if want := "gateway\n" + a.String() + "\nnext\nhere\n"; string(got) != want {
			complaints, _ := os.ReadFile(file + ".errors")
			t.Errorf("%s reports %q, want %q; %s", ids[i], got, want, complaints)
		}
		// And the host reaches each.
		conn, err := net.DialTimeout("tcp4", a.String()+":7001", 10*time.Second)
		if err != nil {
			t.Errorf("host to %s: %v", ids[i], err)
			continue
		}
		conn.Close()
	}
	t.Logf("ring: %v after the last start", time.Since(ringStart).Round(time.Millisecond))
	if nat := host(t, "iptables", "-t", "nat", "-S", "POSTROUTING"); strings.Count(nat, masquerade) != 1 || strings.Count(nat, "-A") != 1 {
		t.Errorf("rules for all of them:\n%s", nat)
	}
	total += eight(t, "delete", `"$MOCKER" delete --force "$1"`, bundle, ids)
	before.Unchanged(t)
	t.Logf("create, start and delete of %d: %v", count, total.Round(time.Millisecond))
}

// eight runs a script for each of the ids, eight at a time, and says how long
// that took. The script must be silent.
func eight(t *testing.T, what, script, bundle string, ids []string) time.Duration {
	t.Helper()
	all := `printf '%s\n' "$@" | xargs -P 8 -n 1 sh -c '` + script + `' "$0"`
	t.Setenv("MOCKER", drive.Mocker(t))
	r := drive.Exec(t, "sh", append([]string{"-c", all, bundle}, ids...)...)
	if r.Code != 0 || r.Stdout != "" || r.Stderr != "" {
		t.Fatalf("%s: %v", what, r)
	}
	t.Logf("%s: %v, each %v", what, r.Took.Round(time.Millisecond), (r.Took / time.Duration(len(ids))).Round(100*time.Microsecond))
	return r.Took
}

// checkAddresses gives the addresses, and asserts that they are the lowest of
// the subnet, that no two are alike, and neither are the links.
func checkAddresses(t *testing.T, ids []string) []netip.Addr {
	t.Helper()
	var addrs []netip.Addr
	var names []string
	for _, id := range ids {
		name, addr := link(t, id)
		addrs, names = append(addrs, addr), append(names, name)
	}
	sorted := slices.SortedFunc(slices.Values(addrs), netip.Addr.Compare)
	next := netip.MustParseAddr(gateway)
	for i, a := range sorted {
		if next = next.Next(); a != next {
			t.Fatalf("address %d is %s, want %s: %v", i, a, next, sorted)
		}
		if name := fmt.Sprintf("veth%d", i); !slices.Contains(names, name) {
			t.Errorf("no link %s: %v", name, names)
		}
	}
	return addrs
}

// checkList asserts what `list` says of all of them.
func checkList(t *testing.T, ids []string, status string) {
	t.Helper()
	r := drive.Exec(t, drive.Mocker(t), "list", "--format", "json")
	var list []specs.State
	if err := json.Unmarshal([]byte(r.Stdout), &list); err != nil {
		t.Fatalf("list: %v: %v", err, r)
	}
	pids := map[int]string{}
	var listed []string
	for _, st := range list {
		listed = append(listed, st.ID)
		if st.Status != specs.ContainerState(status) || st.Pid <= 0 || pids[st.Pid] != "" {
			t.Errorf("list has %+v, want it %s", st, status)
		}
		pids[st.Pid] = st.ID
	}
	if !slices.Equal(listed, ids) {
		t.Errorf("list has %v, want %v", listed, ids)
	}
}

// listen serves on the host's side: it answers with the address it sees.
func listen(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp4", ":7000")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			from, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
			_, _ = io.WriteString(conn, from+"\n")
			conn.Close()
		}
	}()
}

func put(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
