package lifecycle

import (
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/coverage"
	"github.com/mocker-runtime/mocker/tests/drive"
)

// TestCapabilitiesNotToBeHad: what the caller does not have itself cannot be
// given; the container runs without.
func TestCapabilitiesNotToBeHad(t *testing.T) {
	coverage.Shows(t, "process.capabilities.bounding", "process.capabilities.effective", "process.capabilities.permitted")
	drive.MockersOwn(t, "runc fails")
	give := []string{"CAP_CHOWN", "CAP_KILL", "CAP_SYS_RESOURCE"}
	b := newBox(t, drive.Sh("grep CapEff /proc/self/status"), func(s *specs.Spec) {
		s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: give, Effective: give, Permitted: give}
	})
	// setpriv gives mocker all but one, on a machine that has it too.
	r := drive.Exec(t, "setpriv", "--bounding-set", "-sys_resource", drive.Runtime(t), "run", "--bundle", b.bundle, b.id)
	if r.Code != 0 || strings.TrimSpace(r.Stdout) != "CapEff:\t0000000000000021" {
		t.Errorf("%v", r)
	}
	r = drive.Exec(t, drive.Runtime(t), "--debug", "run", "--bundle", b.bundle, b.id)
	if has := strings.Contains(drive.Exec(t, "grep", "CapEff", "/proc/self/status").Stdout, "1ffffffffff"); !has && !strings.Contains(r.Stderr, "cannot give, the set 0x1000000") {
		t.Errorf("no word of it: %v", r)
	}
}
