package network

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// The test binary plays several parts, by this variable: the test itself in
// namespaces of its own, a container's process, and the hook.
const (
	roleVar   = "NETWORK_TEST_ROLE"
	stopAfter = "NETWORK_TEST_STOP_AFTER" // the hook: the step to be killed after
)

// The main thread is that of /proc/PID/ns/net: no box may get hold of it.
func init() { runtime.LockOSThread() }

func TestMain(m *testing.M) {
	switch os.Getenv(roleVar) {
	case "container":
		_, _ = io.Copy(io.Discard, os.Stdin) // until the test ends
		os.Exit(0)
	case "hook":
		os.Exit(playHook())
	case "world":
		if err := prepareWorld(); err != nil {
			fmt.Fprintln(os.Stderr, "prepare the namespaces:", err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// playHook is `mocker hook network`, or one that is killed half-way.
func playHook() int {
	var err error
	if last := os.Getenv(stopAfter); last == "" {
		err = Run(os.Stdin, os.Stderr)
	} else {
		var st *specs.State
		if st, err = readState(os.Stdin); err == nil {
			err = connect(st, os.Stderr, func(step string) {
				if step == last {
					_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
					select {}
				}
			})
		}
	}
	if err != nil {
		fmt.Fprint(os.Stderr, err)
		return 1
	}
	return 0
}

// inWorld runs the calling test again in a process with network, mount and
// pid namespaces of its own, and reports whether we are in that one. Whatever
// the test makes, and every process it starts, ends with it.
func inWorld(t *testing.T) bool {
	t.Helper()
	if os.Getenv(roleVar) == "world" {
		return true
	}
	if os.Geteuid() != 0 {
		t.Skip("not root: makes namespaces and links")
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1")
	cmd.Env = append(os.Environ(), roleVar+"=world")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID}
	out, err := cmd.CombinedOutput()
	text := string(out)
	if err != nil || !strings.Contains(text, "--- PASS: "+t.Name()) || strings.Contains(text, "--- SKIP") {
		t.Fatalf("%v\n%s", err, text)
	}
	t.Logf("%s", text)
	return false
}

// prepareWorld gives the namespaces their own /proc, an empty /run, loopback.
func prepareWorld() error {
	return errors.Join(
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount("proc", "/proc", "proc", 0, ""),
		unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"),
		netlink.LinkSetUp(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Name: "lo"}}),
		exec.Command("iptables", "-t", "nat", "-S").Run(), // makes its tables and loads what it needs
		exec.Command("iptables", "-S").Run(),
	)
}

// box is a process in a network namespace of its own.
type box struct {
	id    string
	pid   int
	ns    *os.File
	bury  func()            // kills the process and reaps it
	extra map[string]string // annotations
}

func newBox(t *testing.T, id string) *box {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{roleVar + "=container"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b := &box{id: id, pid: cmd.Process.Pid}
	b.bury = func() {
		stdin.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		b.ns.Close()
	}
	if b.ns, err = os.Open("/proc/" + strconv.Itoa(b.pid) + "/ns/net"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.bury)
	return b
}

// do runs f on a thread inside the box; the thread ends with it.
func (b *box) do(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked
		if err := netns.Set(netns.NsHandle(b.ns.Fd())); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}

// dial connects from inside the box. The address must be numeric, for a name
// would be looked up on another thread.
func (b *box) dial(kind, address string) (conn net.Conn, err error) {
	err = b.do(func() (err error) {
		conn, err = net.DialTimeout(kind, address, 3*time.Second)
		return err
	})
	return conn, err
}

func (b *box) state(status specs.ContainerState) *specs.State {
	st := &specs.State{Version: "1.0.2", ID: b.id, Status: status, Pid: b.pid, Bundle: "/bundle", Annotations: b.extra}
	if status == specs.StateStopped {
		st.Pid = 0
	}
	return st
}

// hook runs the hook as a runtime does: with nothing in its environment.
func hook(st *specs.State, env ...string) error {
	data, err := json.Marshal(st)
	if err != nil {
		return err
	}
	var stderr bytes.Buffer
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(env, roleVar+"=hook")
	cmd.Stdin, cmd.Stderr = bytes.NewReader(data), &stderr
	if err := cmd.Run(); err != nil {
		if stderr.Len() > 0 {
			return errors.New(stderr.String())
		}
		return err
	}
	if stderr.Len() > 0 {
		return fmt.Errorf("succeeded, but said: %s", stderr.String())
	}
	return nil
}

func (b *box) connect() error    { return hook(b.state(specs.StateCreating)) }
func (b *box) disconnect() error { return hook(b.state(specs.StateStopped)) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// lease returns what the record says of the box.
func (b *box) lease(t *testing.T) *lease {
	t.Helper()
	s, err := openStore(false)
	must(t, err)
	defer s.close()
	l := s.rec.Leases[b.id]
	if l == nil {
		t.Fatalf("container %s has no lease", b.id)
	}
	return l
}

// snapshot describes everything of the host side that the hook could change.
func snapshot(t *testing.T) string {
	t.Helper()
	var lines []string
	links, err := netlink.LinkList()
	must(t, err)
	for _, l := range links {
		a := l.Attrs()
		flags := a.Flags &^ net.FlagRunning // the kernel notices a carrier some time later
		lines = append(lines, fmt.Sprintf("link %d %s %s %q %s %s", a.Index, a.Name, l.Type(), a.Alias, a.HardwareAddr, flags))
	}
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	must(t, err)
	for _, a := range addrs {
		lines = append(lines, "address "+a.String())
	}
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{}, netlink.RT_FILTER_TABLE)
	must(t, err)
	for _, r := range routes {
		lines = append(lines, "route "+r.String())
	}
	for _, table := range []string{"nat", "filter"} {
		lines = append(lines, table+"\n"+listRules(t, table))
	}
	for _, root := range []string{"/proc/sys/net", "/run"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			text := "file " + path
			if d.Type().IsRegular() && !strings.Contains(path, "conntrack_count") {
				data, _ := os.ReadFile(path) // some are write-only
				text += " " + string(data)
			}
			lines = append(lines, text)
			return nil
		})
		must(t, err)
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

func listRules(t *testing.T, table string) string {
	t.Helper()
	out, err := exec.Command("iptables", "-t", table, "-S").CombinedOutput()
	if err != nil {
		t.Fatalf("iptables -t %s -S: %v: %s", table, err, out)
	}
	return string(out)
}

// sameAs compares two snapshots and reports the lines that differ.
func sameAs(t *testing.T, before string) {
	t.Helper()
	now := snapshot(t)
	if now == before {
		return
	}
	for _, l := range strings.Split(now, "\n") {
		if !strings.Contains(before, l) {
			t.Errorf("left over: %s", l)
		}
	}
	for _, l := range strings.Split(before, "\n") {
		if !strings.Contains(now, l) {
			t.Errorf("missing: %s", l)
		}
	}
	if !t.Failed() {
		t.Errorf("the snapshots differ:\n%s\n---\n%s", before, now)
	}
}

// serve answers every connection with the address it comes from.
func serve(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		fmt.Fprint(conn, conn.RemoteAddr().(*net.TCPAddr).IP)
		conn.Close()
	}
}

// listen serves on port 7000 of a box, or of the host if b is nil.
func (b *box) listen(t *testing.T) {
	t.Helper()
	var l net.Listener
	open := func() (err error) { l, err = net.Listen("tcp4", ":7000"); return err }
	if b != nil {
		must(t, b.do(open))
	} else {
		must(t, open())
	}
	t.Cleanup(func() { l.Close() })
	go serve(l)
}

// reach connects from a box (nil: the host) and checks whom the other side
// saw.
func (b *box) reach(t *testing.T, target, seen string) {
	t.Helper()
	dial := func(kind, address string) (net.Conn, error) { return net.DialTimeout(kind, address, 3*time.Second) }
	who := "host"
	if b != nil {
		dial, who = b.dial, b.id
	}
	conn, err := dial("tcp4", target+":7000")
	if err != nil {
		t.Errorf("%s to %s: %v", who, target, err)
		return
	}
	defer conn.Close()
	if got, err := io.ReadAll(conn); err != nil || string(got) != seen {
		t.Errorf("%s to %s: seen as %q, %v, want %s", who, target, got, err, seen)
	}
}

func prefix(text string) netip.Prefix { return netip.MustParsePrefix(text) }
