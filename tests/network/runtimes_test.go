package network

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// The same bundle under other runtimes: the hook is an ordinary OCI hook.
// What they leave behind themselves is their own concern.
func TestOtherRuntimes(t *testing.T) {
	for name, way := range map[string]string{
		"runc": `exec runc "$@"`,
		// Debian's crun refuses hybrid cgroups, so it gets to see the old
		// hierarchies only.
		"crun": `! mountpoint -q /sys/fs/cgroup/unified || umount /sys/fs/cgroup/unified; exec crun "$@"`,
	} {
		t.Run(name, func(t *testing.T) {
			bundle, id := busybox(t, lookAround), id(t, name)
			before := ofTheHook(prepare(t), id)
			root := filepath.Join(t.TempDir(), "root")
			runtime := func(args ...string) *drive.Cmd {
				t.Helper()
				args = append([]string{"--mount", "--propagation", "private", "sh", "-c", way, name, "--root", root}, args...)
				return drive.Start(t, "unshare", args...)
			}
			must := func(args ...string) *drive.Cmd {
				t.Helper()
				c := runtime(args...)
				if r := c.Wait(); r.Code != 0 {
					t.Fatalf("%v: %v", args, r)
				}
				return c
			}
			t.Cleanup(func() { _ = runtime("delete", "--force", id).Wait() })
			c := must("create", "--bundle", bundle, id)
			must("start", id)
			drive.Eventually(t, "the container has looked around", func() bool { return strings.Contains(c.Output(), "\n== end\n") })
			checkInside(t, sections(c.Output()))
			if link, addr := link(t, id); link != "veth0" || addr.String() != "172.18.0.2" {
				t.Errorf("the link is %s, the way to %s", link, addr)
			}
			checkRules(t, "172.18.0.0/16")

			// One of mocker's beside it, under the same id: they share the
			// subnet, and do not take each other's things away.
			twin := busybox(t, "exec sleep 1000")
			r := drive.Exec(t, drive.Mocker(t), "create", "--bundle", twin, id)
			want := hookFailed(t, id) + "a container with this id (bundle " + bundle + ") is connected already: link veth0, address 172.18.0.2\n"
			if r.Code != 1 || r.Stderr != want {
				t.Errorf("create of a twin: %v\nwant %s", r, want)
			}
			link(t, id)

			must("kill", id, "KILL")
			drive.Eventually(t, "the container has stopped", func() bool {
				return strings.Contains(runtime("state", id).Wait().Stdout, `"stopped"`)
			})
			must("delete", id)
			drive.Eventually(t, "the machine is as it was", func() bool { return slices.Equal(before, ofTheHook(drive.TakeSnapshot(t), id)) })
			if _, err := os.Stat("/run/mocker-network"); err == nil {
				t.Error("the hook's notes are still there")
			}
		})
	}
}

// ofTheHook is the part of a snapshot that the network hook can change, and
// the container's session keyring, which the next test would else see vanish.
func ofTheHook(s drive.Snapshot, id string) []string {
	return slices.DeleteFunc(slices.Clone(s), func(line string) bool {
		for _, mine := range []string{"ip ", "iptables ", "file /proc/sys/net", "file /run/mocker-network", "key _ses." + id} {
			if strings.HasPrefix(line, mine) {
				return false
			}
		}
		return true
	})
}
