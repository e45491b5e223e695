// Package network is the hook that mocker ships: it connects a container to
// the network of the host it runs on, and disconnects it again. It is an
// ordinary OCI hook, run as `mocker hook network` in a process of its own by
// whichever runtime reads it in a config.json: as prestart (or createRuntime)
// it sets up, as poststop it cleans up.
//
// It acts on the host side, in the network namespace it is started in, and
// through netlink on that of the container; it never enters the container
// otherwise. It owns the veth pair, the addresses, the routes, the iptables
// rules of a subnet, net.ipv4.ip_forward while containers are connected, and
// its notes below /run/mocker-network. It does no IPv6, publishes no ports and
// writes nothing into the container's root file system.
//
// docs/network.md describes what is made and undone.
package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

const (
	// SubnetAnnotation is the annotation that says which IPv4 subnet the
	// container gets its address from, as in "10.1.0.0/16".
	SubnetAnnotation = "mocker.network.subnet"

	// insideName is the link's name in the container.
	insideName = "ceth0"

	// maxState is far above any state: annotations come from a config.json.
	maxState = 16 << 20

	// maxID is what fits into an alias (IFALIASZ with its zero byte) after
	// aliasPrefix.
	maxID = 255 - len(aliasPrefix)
)

// Run reads a container's state (runtime-spec, runtime.md, "State") from
// stdin and does what its status calls for: "stopped" disconnects the
// container, which is no error if it is not connected (any more); "creating",
// "created" and "running" connect it. What Run found and left alone because
// it is not mocker's is told on stderr.
//
// A set-up that fails undoes itself. One that is killed leaves notes from
// which the clean-up undoes it.
func Run(stdin io.Reader, stderr io.Writer) error {
	st, err := readState(stdin)
	if err != nil {
		return err
	}
	if st.Status == specs.StateStopped {
		if err := disconnect(st, stderr); err != nil {
			return fmt.Errorf("disconnect container %q: %w", st.ID, err)
		}
		return nil
	}
	if err := connect(st, stderr, nil); err != nil {
		return fmt.Errorf("connect container %q: %w", st.ID, err)
	}
	return nil
}

// readState decodes and checks what the runtime wrote. Which version of the
// specification it follows does not matter: the fields used here are in all.
func readState(stdin io.Reader) (*specs.State, error) {
	const doing = "read the container's state from standard input"
	data, err := io.ReadAll(io.LimitReader(stdin, maxState+1))
	if err != nil {
		return nil, fmt.Errorf(doing+": %w", err)
	}
	if len(data) == 0 {
		return nil, errors.New(doing + ": it is empty; this program is an OCI hook, to be named in a config.json")
	}
	if len(data) > maxState {
		return nil, fmt.Errorf(doing+": more than %d bytes", maxState)
	}
	st := new(specs.State)
	if err := json.Unmarshal(data, st); err != nil {
		return nil, fmt.Errorf(doing+": %w", err)
	}
	if st.ID == "" {
		return nil, errors.New(doing + ": it has no id")
	}
	switch st.Status {
	case specs.StateCreating, specs.StateCreated, specs.StateRunning, specs.StateStopped:
		return st, nil
	}
	return nil, fmt.Errorf(doing+": status %q is none of creating, created, running, stopped", st.Status)
}
