package network

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// What the hook refuses makes create fail with its words, and leaves nothing.
func TestRefused(t *testing.T) {
	drive.NeedRoot(t)
	host(t, "ip", "link", "add", "corp0", "type", "veth", "peer", "name", "corp1")
	t.Cleanup(func() { host(t, "ip", "link", "del", "corp0") })
	host(t, "ip", "link", "set", "corp0", "up", "addrgenmode", "none")
	drive.Eventually(t, "the link has found that it has no peer", func() bool {
		return strings.Contains(drive.Exec(t, "ip", "link", "show", "corp0").Stdout, "LOWERLAYERDOWN")
	})
	host(t, "ip", "route", "add", "172.16.0.0/12", "dev", "corp0")

	hostNetwork := func(s *specs.Spec) {
		s.Linux.Namespaces = slices.DeleteFunc(s.Linux.Namespaces, func(ns specs.LinuxNamespace) bool {
			return ns.Type == specs.NetworkNamespace
		})
	}
	for _, tt := range []struct {
		name string
		edit func(*specs.Spec)
		want string // behind `connect container "<id>": `
	}{
		{"route", func(*specs.Spec) {}, "subnet 172.18.0.0/16 is in use on this host: route 172.16.0.0/12 dev corp0 is in the way; " +
			"choose another one with annotation mocker.network.subnet"},
		{"subnet", subnet("10.0.0.1/16"), `annotation mocker.network.subnet: "10.0.0.1/16": an address in the subnet 10.0.0.0/16, not a subnet`},
		{"host", hostNetwork, `process PID shares the host's network namespace: it needs one of its own, {"type": "network"} in linux.namespaces`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := drive.TakeSnapshot(t)
			bundle, id := busybox(t, "true", tt.edit), id(t, "refused-"+tt.name)
			r := drive.Exec(t, drive.Mocker(t), "create", "--bundle", bundle, id)
			said := regexp.MustCompile(`process \d+ `).ReplaceAllString(r.Stderr, "process PID ")
			want := hookFailed(t, id) + tt.want + "\n"
			if r.Code != 1 || r.Stdout != "" || said != want {
				t.Errorf("create: %v\nwant %s", r, want)
			}
			before.Unchanged(t)
		})
	}
}
