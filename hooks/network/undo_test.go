package network

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ip_forward and what the kernel resets with it come back, or stay on.
func TestForwarding(t *testing.T) {
	if !inWorld(t) {
		return
	}
	must(t, addLink("eth0", "192.0.2.1/24"))
	must(t, addLink("eth1", "198.51.100.1/24"))
	check := func(setting map[string]string) {
		t.Helper()
		for path, value := range setting {
			must(t, writeSysctl(filepath.Join("/proc/sys/net/ipv4", path), value))
		}
		before := snapshot(t)
		a, b := newBox(t, "a"), newBox(t, "b")
		must(t, a.connect())
		must(t, b.connect())
		checkShared(t)
		must(t, a.disconnect())
		checkShared(t)
		must(t, b.disconnect())
		sameAs(t, before)
		if t.Failed() {
			t.Fatal(setting)
		}
	}
	check(map[string]string{"ip_forward": "0"})
	check(map[string]string{"conf/eth1/forwarding": "1", "conf/all/accept_redirects": "0"})
	check(map[string]string{"conf/default/forwarding": "1"})
	check(map[string]string{"ip_forward": "1"})
	check(map[string]string{"conf/default/forwarding": "0", "conf/eth0/forwarding": "0"})
}

// Without iptables: the package is named, all is undone. If it vanishes
// meanwhile, the rules stay noted and go with the next container.
func TestWithoutIPTables(t *testing.T) {
	if !inWorld(t) {
		return
	}
	path, err := findIPTables()
	must(t, err)
	before := snapshot(t)
	hide := func() {
		t.Helper()
		must(t, unix.Mount("/dev/null", path, "", unix.MS_BIND, ""))
		if other, err := findIPTables(); err == nil {
			t.Fatalf("there is another iptables, %s", other)
		}
	}
	show := func() { t.Helper(); must(t, unix.Unmount(path, 0)) }
	missing := "find the program iptables: not in $PATH, /usr/sbin or the like; install the package iptables"

	b := newBox(t, "b")
	hide()
	wantError(t, b.connect(), `connect container "b": `+missing)
	show()
	sameAs(t, before) // nothing is noted that could not be undone
	must(t, b.connect())
	hide()
	wantError(t, b.disconnect(), `disconnect container "b": `+missing)
	show()
	must(t, b.connect())
	checkShared(t)
	must(t, b.disconnect())
	sameAs(t, before)
}

// Notes of a namespace that is gone do not matter to another one, and a
// record that is broken is named.
func TestRecord(t *testing.T) {
	if !inWorld(t) {
		return
	}
	before := snapshot(t)
	must(t, os.MkdirAll(filepath.Join(stateRoot, "1"), 0o700))
	must(t, os.WriteFile(filepath.Join(stateRoot, "1", recordName), []byte(`{"leases":{"a":{"link":"veth0"}}}`), 0o600))
	a := newBox(t, "a")
	must(t, a.connect())
	must(t, a.disconnect())
	must(t, os.RemoveAll(stateRoot))
	sameAs(t, before)

	cookie, err := namespaceCookie()
	must(t, err)
	dir := filepath.Join(stateRoot, fmt.Sprint(cookie))
	must(t, os.MkdirAll(dir, 0o700))
	must(t, a.disconnect()) // an empty directory goes
	sameAs(t, before)
	must(t, os.MkdirAll(dir, 0o700))
	must(t, os.WriteFile(filepath.Join(dir, recordName), []byte(`{`), 0o600))
	wantError(t, a.connect(), `connect container "a": read `+dir+`/state.json: unexpected end of JSON input`)
}

// Who waits for the lock while the last one leaves starts over with what is
// there by then.
func TestStoreRemovedMeanwhile(t *testing.T) {
	if !inWorld(t) {
		return
	}
	for _, create := range []bool{true, false} {
		first, err := openStore(true)
		must(t, err)
		type result struct {
			s   *store
			err error
		}
		second := make(chan result)
		go func() {
			s, err := openStore(create)
			second <- result{s, err}
		}()
		time.Sleep(100 * time.Millisecond) // it waits by now; if not, nothing is tested
		must(t, first.save())              // nothing to note: removes it all
		if _, err := os.Stat(stateRoot); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there: %v", stateRoot, err)
		}
		first.close()
		got := <-second
		if !create {
			if !errors.Is(got.err, fs.ErrNotExist) {
				t.Errorf("got %v, want fs.ErrNotExist", got.err)
			}
			continue
		}
		must(t, got.err)
		got.s.rec.Leases["a"] = &lease{}
		must(t, got.s.save())
		delete(got.s.rec.Leases, "a")
		must(t, got.s.save())
		got.s.close()
	}
}
