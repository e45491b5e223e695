package network

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/coreos/go-iptables/iptables"
)

// lockSeconds is how long iptables may wait for another one that is at work.
const lockSeconds = 30

// rule is one iptables rule.
type rule struct {
	table, chain string
	first        bool // goes to the head of the chain instead of its end
	spec         []string
}

// rulesOf returns the rules of a subnet: what leaves it gets the address of
// the host, and forwarding it is allowed whatever the policy and the rules
// below say. The FORWARD rules ask for the link besides the address, for
// anybody can put an address on a packet.
//
// MASQUERADE comes first, and goes last: if it is missing, so are the others.
func rulesOf(subnet netip.Prefix) []rule {
	s := subnet.String()
	with := func(target string, match ...string) []string {
		return append(match, "-m", "comment", "--comment", "mocker", "-j", target)
	}
	return []rule{
		{"nat", "POSTROUTING", false, with("MASQUERADE", "-s", s, "!", "-d", s)},
		{"filter", "FORWARD", true, with("ACCEPT", "-d", s, "-o", "veth+", "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED")},
		{"filter", "FORWARD", true, with("ACCEPT", "-s", s, "-i", "veth+")},
	}
}

// makeRules makes the rules of a subnet, without doubling what an earlier
// attempt left.
func makeRules(subnet netip.Prefix) error {
	ipt, err := openIPTables()
	if err != nil {
		return err
	}
	left := false
	for i, r := range rulesOf(subnet) {
		exists := false
		if i == 0 || left {
			if exists, err = ipt.Exists(r.table, r.chain, r.spec...); err != nil {
				return ruleError("look for", r, err)
			}
			left = left || exists
		}
		switch {
		case exists:
		case r.first:
			err = ipt.Insert(r.table, r.chain, 1, r.spec...)
		default:
			err = ipt.Append(r.table, r.chain, r.spec...)
		}
		if err != nil {
			return ruleError("add", r, err)
		}
	}
	return nil
}

// removeRules removes the rules of a subnet, if they are there.
func removeRules(subnet netip.Prefix) error {
	ipt, err := openIPTables()
	if err != nil {
		return err
	}
	rules := rulesOf(subnet)
	for i := len(rules) - 1; i >= 0; i-- {
		r := rules[i]
		err := ipt.Delete(r.table, r.chain, r.spec...)
		if ierr := (*iptables.Error)(nil); errors.As(err, &ierr) && ierr.IsNotExist() {
			continue
		}
		if err != nil {
			return ruleError("remove", r, err)
		}
	}
	return nil
}

func ruleError(doing string, r rule, err error) error {
	return fmt.Errorf("%s the iptables rule in %s of table %s: %w", doing, r.chain, r.table, err)
}

func openIPTables() (*iptables.IPTables, error) {
	path, err := findIPTables()
	if err != nil {
		return nil, err
	}
	ipt, err := iptables.New(iptables.Path(path), iptables.Timeout(lockSeconds))
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", path, err)
	}
	return ipt, nil
}

// findIPTables looks through PATH, then where distributions put it: a hook's
// environment is what config.json says, usually nothing, and the PATH of an
// ordinary user lacks the sbin directories.
func findIPTables() (string, error) {
	usual := []string{"/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin"}
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), usual...) {
		if !filepath.IsAbs(dir) {
			continue // the working directory is the bundle, which is not trusted
		}
		if path, err := exec.LookPath(filepath.Join(dir, "iptables")); err == nil {
			return path, nil
		}
	}
	return "", errors.New("find the program iptables: not in $PATH, /usr/sbin or the like; install the package iptables")
}
