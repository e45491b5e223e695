package rootless

import (
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// TestLandlock: an ordinary user's container keeps to its rules, and so does
// what joins it, with a range of ids and with one.
func TestLandlock(t *testing.T) {
	drive.MockersOwn(t, "it has no such annotation")
	drive.NeedLandlock(t)
	const script = `cat /etc/passwd >/dev/null 2>&1 && echo read || echo unread
		echo x 2>/dev/null >/tmp/new && echo written || echo unwritten
		mkdir /etc/new 2>/dev/null && echo made || echo unmade`
	for rules, want := range map[string]string{
		"":                            "read written made",
		"rx:/bin rw:/tmp rw:/dev r:/": "read written unmade",
		"rx:/bin rw:/dev":             "unread unwritten unmade",
	} {
		for _, subordinate := range []bool{true, false} {
			t.Run(fmt.Sprintf("%q, range %t", rules, subordinate), func(t *testing.T) {
				u := newUser(t, subordinate)
				before := drive.TakeSnapshot(t)
				id := u.id()
				bundle := u.bundle(func(s *specs.Spec) {
					s.Process.Args = []string{"sleep", "100"}
					if rules != "" {
						s.Annotations = map[string]string{"mocker.landlock": rules}
					}
				})
				u.ok("run", "--detach", "--bundle", bundle, id)
				if got := strings.Join(strings.Fields(u.ok("exec", id, "/bin/sh", "-c", script)), " "); got != want {
					t.Errorf("exec: got %q, want %q", got, want)
				}
				u.ok("delete", "--force", id)
				before.Unchanged(t)
			})
		}
	}
}
