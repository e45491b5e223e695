package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// stateRoot holds a directory for each network namespace that containers were
// connected to. /run is emptied at boot, as the links are.
const stateRoot = "/run/mocker-network"

// recordName is the one file in a store's directory.
const recordName = "state.json"

// record is what was made for the containers of one host side, noted before
// it was made: whatever exists stands here, while not everything that stands
// here needs to exist.
type record struct {
	Leases  map[string]*lease       `json:"leases"`            // by container id
	Rules   map[netip.Prefix]string `json:"rules,omitempty"`   // subnets with iptables rules: rulesMaking or rulesMade
	Forward *forwarding             `json:"forward,omitempty"` // set if mocker turned ip_forward on
}

const (
	rulesMaking = "making" // some of the rules may be missing
	rulesMade   = "made"
)

// lease is what one container has.
type lease struct {
	Bundle  string       `json:"bundle"` // tells apart containers of two runtimes that share an id
	Subnet  netip.Prefix `json:"subnet"`
	Address netip.Addr   `json:"address"`
	Link    string       `json:"link"` // the host side
	MAC     string       `json:"mac"`  // of the host side, random: proves that a link without alias is ours
}

// inUse reports whether a lease holds an address of the subnet.
func (r *record) inUse(subnet netip.Prefix) bool {
	for _, l := range r.Leases {
		if l.Subnet == subnet {
			return true
		}
	}
	return false
}

func (r *record) empty() bool {
	return len(r.Leases) == 0 && len(r.Rules) == 0 && r.Forward == nil
}

// store is the record of the network namespace we run in, locked against
// every other process.
type store struct {
	path string
	dir  *os.File // the directory, which is also what is locked
	rec  *record
}

// openStore locks and reads the record. Where there is none it makes the
// directory if create is set, and returns fs.ErrNotExist otherwise.
//
// It waits for whoever holds the lock. The last to leave removes the
// directory with the lock on it, so what was locked must still be in place.
func openStore(create bool) (*store, error) {
	cookie, err := namespaceCookie()
	if err != nil {
		return nil, err
	}
	s := &store{path: filepath.Join(stateRoot, strconv.FormatUint(cookie, 10))}
	for try := 0; try < maxTries; try++ {
		err = nil
		if create {
			err = os.MkdirAll(s.path, 0o700)
		}
		if err == nil {
			err = s.lock()
		}
		// Whoever removes it under us has finished; so it is our turn soon.
		again := errors.Is(err, errReplaced) || create && errors.Is(err, fs.ErrNotExist)
		if err == nil || !again {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	if err := s.load(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// maxTries bounds how often openStore starts over.
const maxTries = 1000

var errReplaced = errors.New("it was removed or replaced meanwhile")

// lock takes the lock. It returns fs.ErrNotExist if there is no directory,
// and errReplaced if what it locked is not the directory any more.
func (s *store) lock() error {
	dir, err := os.Open(s.path)
	if err != nil {
		return err
	}
	if err := lockDir(dir); err != nil {
		dir.Close()
		return fmt.Errorf("lock %s: %w", s.path, err)
	}
	s.dir = dir
	return nil
}

func lockDir(dir *os.File) error {
	fd := int(dir.Fd())
	if err := retry(func() error { return unix.Flock(fd, unix.LOCK_EX) }); err != nil {
		return err
	}
	// Children inherit the lock. If we are killed while iptables is at
	// work, it must have finished before a clean-up looks for its rule.
	if _, err := unix.FcntlInt(dir.Fd(), unix.F_SETFD, 0); err != nil {
		return err
	}
	locked, err := dir.Stat()
	if err != nil {
		return err
	}
	named, err := os.Stat(dir.Name())
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(locked, named) {
		return errReplaced
	}
	return err
}

// close gives up the lock.
func (s *store) close() {
	s.dir.Close()
}

func (s *store) load() error {
	s.rec = &record{}
	path := filepath.Join(s.path, recordName)
	data, err := os.ReadFile(path)
	if err == nil {
		if err = json.Unmarshal(data, s.rec); err != nil {
			err = fmt.Errorf("read %s: %w", path, err)
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for id, l := range s.rec.Leases {
		if l == nil {
			return fmt.Errorf("read %s: leases: %q: got null, want an object", path, id)
		}
	}
	if s.rec.Leases == nil {
		s.rec.Leases = map[string]*lease{}
	}
	if s.rec.Rules == nil {
		s.rec.Rules = map[netip.Prefix]string{}
	}
	return nil
}

// save writes the record, all or nothing, or removes every trace of the store
// if nothing is left to note. The lock stays until close.
func (s *store) save() error {
	path := filepath.Join(s.path, recordName)
	if s.rec.empty() {
		return s.remove(path)
	}
	data, err := json.Marshal(s.rec)
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	// One name is enough under the lock, and is taken again after a crash.
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func (s *store) remove(path string) error {
	for _, p := range []string{path, path + ".new", s.path} {
		if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	// Others may be using it; then it stays, for them to remove.
	_ = os.Remove(stateRoot)
	return nil
}

// namespaceCookie returns the number of the network namespace we run in. In
// contrast to the inode number it is never given to another one
// (SO_NETNS_COOKIE, Linux 5.14), so notes of a namespace that is gone cannot
// be taken for ours.
func namespaceCookie() (uint64, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("open a socket to identify the network namespace: %w", err)
	}
	defer unix.Close(fd)
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if err != nil {
		return 0, fmt.Errorf("read SO_NETNS_COOKIE of the network namespace: %w", err)
	}
	return cookie, nil
}

// retry repeats a system call that a signal interrupted.
func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
