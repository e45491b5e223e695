package specconv

import (
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

// convertLabels takes over what the kernel knows alone: whether there is such
// a profile or label.
func convertLabels(given *specs.Process, p *config.Process) error {
	p.Labels = config.Labels{AppArmor: given.ApparmorProfile, SELinux: given.SelinuxLabel}
	var bad problems
	bad.add(checkLabel("process.apparmorProfile", p.Labels.AppArmor))
	bad.add(checkLabel("process.selinuxLabel", p.Labels.SELinux))
	return bad.err()
}

func convertMountLabel(spec *specs.Spec, cfg *config.Config) error {
	cfg.MountLabel = spec.Linux.MountLabel
	if strings.Contains(cfg.MountLabel, `"`) {
		return refuse("linux.mountLabel", cfg.MountLabel, "contains a quotation mark")
	}
	return checkLabel("linux.mountLabel", cfg.MountLabel)
}

// checkLabel refuses what would be cut or taken for something else on its way
// to the kernel.
func checkLabel(at, label string) error {
	const most = 4000 // the kernel takes a page, with a word before the label
	if len(label) > most {
		return refuse(at, label, "longer than %d bytes", most)
	}
	for _, r := range label {
		if r < ' ' || r == 0x7f {
			return refuse(at, label, "contains a control character")
		}
	}
	return nil
}
