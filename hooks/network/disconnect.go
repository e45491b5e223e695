package network

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// disconnect undoes whatever connect did for a container, completely or not.
func disconnect(st *specs.State, notes io.Writer) error {
	s, err := openStore(false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer s.close()
	if l := s.rec.Leases[st.ID]; l == nil || l.Bundle != st.Bundle {
		if s.rec.empty() {
			return s.save() // a directory without a note, left by a crash
		}
		return nil
	}
	host, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	defer host.Close()
	return release(s, host, st.ID, notes)
}

// release undoes what belongs to a lease, and with the last lease what
// belongs to all of them. The note goes last: if we are killed, the next
// attempt finds it and does the rest.
func release(s *store, host *netlink.Handle, id string, notes io.Writer) error {
	if err := removeLink(host, id, s.rec.Leases[id], notes); err != nil {
		return err // the address is still in use
	}
	delete(s.rec.Leases, id)
	return sweep(s)
}

// sweep undoes what no lease needs any more, and saves the record.
//
// What cannot be undone stays noted, though without a lease (the container is
// gone, and no clean-up will come for it again), and is tried again by the
// next sweep.
func sweep(s *store) error {
	var errs []error
	for subnet := range s.rec.Rules {
		if s.rec.inUse(subnet) {
			continue
		}
		if err := removeRules(subnet); err != nil {
			errs = append(errs, err)
			continue
		}
		delete(s.rec.Rules, subnet)
	}
	if len(s.rec.Leases) == 0 && s.rec.Forward != nil {
		if err := s.rec.Forward.undo(); err != nil {
			errs = append(errs, err)
		} else {
			s.rec.Forward = nil
		}
	}
	return errors.Join(append(errs, s.save())...)
}
