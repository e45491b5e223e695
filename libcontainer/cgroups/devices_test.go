package cgroups

import (
	"slices"
	"strings"
	"testing"

	oci "github.com/opencontainers/cgroups"
	devices "github.com/opencontainers/cgroups/devices/config"
	"golang.org/x/sys/unix"
)

// TestDevicesList: on v1 the rules stand in devices.list in the order of
// config.json; an update leaves those that stay where they are; one that the
// kernel cannot express changes nothing.
func TestDevicesList(t *testing.T) {
	res := noLimits()
	first := &devices.Rule{Type: devices.CharDevice, Major: 240, Minor: devices.Wildcard, Permissions: "rw", Allow: true}
	res.Devices = slices.Insert(res.Devices, 1, first)
	c := made(t, res)
	shows := func(want string) {
		t.Helper()
		if c.unified() {
			return // TestDevices of tests/cgroups looks at what can be opened
		}
		got, err := oci.ReadFile(c.paths["devices"], "devices.list")
		if got = strings.ReplaceAll(strings.TrimSpace(got), "\n", ", "); err != nil || got != want {
			t.Errorf("got  %s, %v\nwant %s", got, err, want)
		}
	}
	shows("c 240:* rw, c 1:3 rwm, c 1:5 rwm, c 5:0 rwm")
	below := c.dirs()
	for i, dir := range below {
		below[i] = dir + "/below"
		if err := unix.Mkdir(below[i], 0o755); err != nil {
			t.Fatal(err)
		}
	}
	defer func() {
		for _, dir := range below {
			_ = unix.Rmdir(dir)
		}
	}()
	update := func(rules ...*devices.Rule) error {
		_, _, err := c.Update(res, &oci.Resources{Devices: rules}, noLimits().Devices[1:])
		return err
	}
	if err := update(&devices.Rule{Type: devices.BlockDevice, Major: 8, Minor: 0, Permissions: "r", Allow: true}); err != nil {
		t.Error(err)
	}
	shows("c 1:3 rwm, c 1:5 rwm, c 5:0 rwm, b 8:0 r")
	err := update(first, &devices.Rule{Type: devices.CharDevice, Major: 240, Minor: 1, Permissions: "w"})
	want := `linux.resources.devices: "c 240:* rw" is allowed, and a part of it, "c 240:1 w", denied later: there are no exceptions from exceptions`
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	// By that the old ones have come back, which are those of create here.
	shows("c 1:3 rwm, c 1:5 rwm, c 5:0 rwm, c 240:* rw")
}

// TestDevicesOfParent: a cgroup of v1 cannot have what the one above it does
// not, whatever that has been born with.
func TestDevicesOfParent(t *testing.T) {
	outer := made(t, noLimits())
	if outer.unified() {
		return // there is one program more, and each has to allow
	}
	inner := *outer
	inner.paths = outer.Paths()
	for name, dir := range inner.paths {
		inner.paths[name] = dir + "/inner"
	}
	res := noLimits()
	slices.Reverse(res.Devices[1:])
	inner.res = res
	if err := inner.Make(); err != nil {
		t.Fatal(err)
	}
	if got, err := oci.ReadFile(inner.paths["devices"], "devices.list"); err != nil || got != "c 5:0 rwm\nc 1:5 rwm\nc 1:3 rwm\n" {
		t.Errorf("%q, %v", got, err)
	}
	if err := inner.Destroy(); err != nil {
		t.Error(err)
	}
	res.Devices = append(res.Devices, &devices.Rule{Type: devices.CharDevice, Major: 240, Minor: 1, Permissions: "r", Allow: true})
	want := `linux.resources.devices: write "c 240:1 r" to devices.allow: operation not permitted`
	if err := inner.Make(); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
