package rootless

import (
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// TestSeccomp: an ordinary user's container has its filter, and so has what
// joins it. The capability that loading one may take is that of the container's
// user namespace.
func TestSeccomp(t *testing.T) {
	for _, privileges := range []bool{false, true} {
		for _, uid := range []uint32{0, 1000} {
			t.Run(fmt.Sprintf("new privileges %t, user %d", privileges, uid), func(t *testing.T) {
				u := newUser(t, true)
				before := drive.TakeSnapshot(t)
				id := u.id()
				bundle := u.bundle(func(s *specs.Spec) {
					s.Process.Args = []string{"sleep", "100"}
					s.Process.NoNewPrivileges = !privileges
					s.Process.User = specs.User{UID: uid}
					s.Process.Capabilities = nil
					s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow,
						Syscalls: []specs.LinuxSyscall{{Names: []string{"mkdir", "mkdirat"}, Action: specs.ActErrno}}}
				})
				u.ok("run", "--detach", "--bundle", bundle, id)
				if got := status(t, u.state(id).Pid, "Seccomp"); got != "2" {
					t.Errorf("Seccomp: %s", got)
				}
				if r := u.run(u.mocker, "exec", id, "mkdir", "/tmp/d"); strings.TrimSpace(r.Stderr) != "mkdir: can't create directory '/tmp/d': Operation not permitted" {
					t.Errorf("exec: %v", r)
				}
				u.ok("delete", "--force", id)
				before.Unchanged(t)
			})
		}
	}
}
