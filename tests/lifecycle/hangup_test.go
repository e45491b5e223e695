package lifecycle

import (
	"testing"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// TestHangUp: a shell whose window is closed ends, and its container goes. As
// init of its pid namespace it gets no SIGHUP that it does not handle: only
// the end of its own terminal reaches it.
func TestHangUp(t *testing.T) {
	drive.MockersOwn(t, "runc waits for ever")
	b := newBox(t, terminal, drive.Sh("echo ready; exec sh -i"))
	term := drive.OnTerminal(t, drive.Runtime(t), "run", "--bundle", b.bundle, b.id)
	term.Expect("ready")
	term.HangUp()
	term.Wait()
	refused(t, "does not exist", "state", b.id)
}
