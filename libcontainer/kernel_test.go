package libcontainer

import (
	"strings"
	"testing"
)

func TestLacking(t *testing.T) {
	const old, sandbox = "the kernel is too old: Linux 5.14 or newer is needed, and ", "so a sandbox keeps it from mocker"
	for release, want := range map[string]string{
		"5.10.0-46-cloud-amd64": old + "5.10.0-46-cloud-amd64 lacks mount_setattr",
		"4.19.0":                old + "4.19.0 ",
		"5.11":                  old + "5.11 ",
		"odd":                   old + "odd ",
		"5.12.0":                sandbox,
		"6.1.0-56-cloud-amd64":  sandbox,
		"10.0":                  sandbox,
	} {
		if got := lacking(release).Error(); !strings.Contains(got, want) {
			t.Errorf("%s: %s", release, got)
		}
	}
	if err := CheckKernel(); err != nil {
		t.Error(err)
	}
}
