package libcontainer

import (
	"fmt"

	"github.com/mocker-runtime/mocker/libcontainer/config"
	"github.com/mocker-runtime/mocker/libcontainer/inside"
	"github.com/mocker-runtime/mocker/libcontainer/lsm"
)

// checkLabels refuses, before anything is made, a profile or label that this
// kernel does not have. Where there is no cfg yet it is one of mocker's own
// making, without any.
func checkLabels(cfg *config.Config) error {
	if cfg == nil {
		return nil
	}
	if err := lsm.CheckLandlock(cfg.Traits.Landlock); err != nil {
		return fmt.Errorf("config.json: annotations.mocker.landlock: %w", err)
	}
	if err := lsm.CheckSELinux(cfg.MountLabel); err != nil {
		return fmt.Errorf("config.json: linux.mountLabel: %w", err)
	}
	if cfg.Process == nil {
		return nil
	}
	if err := lsm.CheckAppArmor(cfg.Process.Labels.AppArmor); err != nil {
		return fmt.Errorf("config.json: process.apparmorProfile: %w", err)
	}
	if err := lsm.CheckSELinux(cfg.Process.Labels.SELinux); err != nil {
		return fmt.Errorf("config.json: process.selinuxLabel: %w", err)
	}
	return nil
}

// confine says what the process is to be confined by once it executes its
// program. Copies that it makes of itself until then inherit that.
func (n *creation) confine() error {
	if n.cfg.Process == nil {
		return nil
	}
	return confine(n.in, n.cfg.Process.Labels, n.cfg.Traits)
}

// confine confines a process that has nothing left to open but its program.
func confine(in *inside.Child, labels config.Labels, traits config.Traits) error {
	if err := lsm.Confine(in, labels); err != nil {
		return err
	}
	if err := lsm.Landlock(in, traits.Landlock); err != nil {
		return fmt.Errorf("annotations.mocker.landlock: %w", err)
	}
	return nil
}

// confineLike makes the labels of the container those of a process that has
// none of its own, and refuses what this kernel does not have. runc does so
// with the one of SELinux alone; but who wants a process less confined than
// the container can say "unconfined".
func confineLike(p *config.Process, container config.Labels) error {
	p.Labels = p.Labels.Or(container)
	if err := lsm.CheckAppArmor(p.Labels.AppArmor); err != nil {
		return err
	}
	return lsm.CheckSELinux(p.Labels.SELinux)
}
