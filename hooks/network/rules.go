package network

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

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
	rules := rulesOf(subnet)
	first := rules[0]
	exists, err := ipt.Exists(first.table, first.chain, first.spec...)
	if err != nil {
		return ruleError("look for", first, err)
	}
	if !exists && restore(rules, rule.adding) == nil {
		return nil
	}
	// Some are left, or one cannot be had: one by one, so that it has a name.
	for _, r := range rules {
		if exists, err = ipt.Exists(r.table, r.chain, r.spec...); err != nil {
			return ruleError("look for", r, err)
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
	rules := rulesOf(subnet)
	slices.Reverse(rules)
	if restore(rules, rule.removing) == nil {
		return nil
	}
	ipt, err := openIPTables() // some are gone, or one cannot be removed
	if err != nil {
		return err
	}
	for _, r := range rules {
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

func (r rule) adding() string {
	if r.first {
		return "-I " + r.chain + " 1"
	}
	return "-A " + r.chain
}

func (r rule) removing() string { return "-D " + r.chain }

// restore does the same to all rules in one program, those of one table at
// once (iptables-restore(8)): the kernel waits for a grace period for each
// change of a table. It changes nothing, or part of it, if it fails.
func restore(rules []rule, doing func(rule) string) error {
	path, err := findIPTables()
	if err != nil {
		return err
	}
	var text strings.Builder
	for i, r := range rules {
		if i == 0 || r.table != rules[i-1].table {
			fmt.Fprintf(&text, "*%s\n", r.table)
		}
		fmt.Fprintf(&text, "%s %s\n", doing(r), strings.Join(r.spec, " "))
		if i == len(rules)-1 || r.table != rules[i+1].table {
			text.WriteString("COMMIT\n")
		}
	}
	cmd := exec.Command(path+"-restore", "--noflush", "--wait", strconv.Itoa(lockSeconds))
	cmd.Stdin = strings.NewReader(text.String())
	return cmd.Run()
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
