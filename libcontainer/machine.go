package libcontainer

import (
	"fmt"

	"github.com/mocker-runtime/mocker/libcontainer/netdevices"
	"github.com/mocker-runtime/mocker/libcontainer/process"
	"github.com/mocker-runtime/mocker/libcontainer/resctrl"
	"github.com/mocker-runtime/mocker/libcontainer/rootfs"
)

// checkMachine refuses what the kernel or the machine lacks, before anything
// is made. It asks only about what config.json has. A container with a bundle
// of its own, which is not known yet, has nothing of it.
func (n *creation) checkMachine() (err error) {
	if n.cfg == nil {
		return nil
	}
	if err := process.CheckMachine(n.cfg); err != nil {
		return err
	}
	if err := rootfs.CheckFilesystems(n.cfg.Mounts); err != nil {
		return fmt.Errorf("rootfs: %w", err)
	}
	if n.cfg.RDT != nil {
		root := n.opts.Resctrl
		if root == "" {
			if root, err = resctrl.Find(); err != nil {
				return fmt.Errorf("linux.intelRdt: %w", err)
			}
		}
		if n.class, err = resctrl.Plan(root, n.opts.ID, n.cfg.RDT); err != nil {
			return err
		}
	}
	return netdevices.Check(n.cfg.NetDevices)
}

// makeClass makes the class of service that the container's processes will be
// in. The state knows of it before it is there.
func (n *creation) makeClass() error {
	if n.class == nil {
		return nil
	}
	n.st.RDT = n.class
	if err := n.c.dir.Save(n.st); err != nil {
		return err
	}
	return resctrl.Make(n.class, n.cfg.RDT)
}

// moveDevices brings the network devices into the container, before hooks see
// its network.
func (n *creation) moveDevices() (err error) {
	if len(n.cfg.NetDevices) == 0 {
		return nil
	}
	n.devices, err = netdevices.Move(n.in.PID, n.cfg.NetDevices)
	return err
}

// keepsGroups reports whether a container's processes keep the groups of who
// creates it, whatever config.json says about groups: crun's annotation, which
// podman writes for --group-add keep-groups.
func keepsGroups(annotations map[string]string) bool {
	_, keeps := annotations["run.oci.keep_original_groups"]
	return keeps
}
