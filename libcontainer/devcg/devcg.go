// Package devcg holds the processes of a cgroup to linux.resources.devices:
// on cgroup v2 by a program of the type BPF_PROG_TYPE_CGROUP_DEVICE, on v1 by
// the files devices.allow and devices.deny (device controller, cgroup-v1/ and
// cgroup-v2.rst of the kernel's Documentation).
//
// It acts on the host's side, on a cgroup that somebody else has made. What is
// not allowed is denied. A list of rules means the same on both versions, what
// v1 can express; another one is an error.
package devcg

import (
	"errors"
	"fmt"
	"math"
	"slices"

	devices "github.com/opencontainers/cgroups/devices/config"
)

// policy is what a list of rules comes to, in the form in which v1 has it:
// everything is denied but for exceptions, or everything is allowed but for
// them. The zero policy denies everything.
type policy struct {
	allow      bool        // what is no exception
	exceptions []exception // in the order of their first rules, one for the same nodes
}

type exception struct {
	nodes

	access devices.Permissions // never empty
}

// nodes are device nodes of one type, and of one number or any.
type nodes struct {
	typ          devices.Type // not the wildcard
	major, minor int64        // or devices.Wildcard
}

// covers reports whether all of other are among n.
func (n nodes) covers(other nodes) bool {
	return n.typ == other.typ &&
		(n.major == devices.Wildcard || n.major == other.major) &&
		(n.minor == devices.Wildcard || n.minor == other.minor)
}

// meets reports whether some of other are among n.
func (n nodes) meets(other nodes) bool {
	same := func(a, b int64) bool { return a == b || a == devices.Wildcard || b == devices.Wildcard }
	return n.typ == other.typ && same(n.major, other.major) && same(n.minor, other.minor)
}

// String is the exception as v1 writes it.
func (e exception) String() string {
	rule := devices.Rule{Type: e.typ, Major: e.major, Minor: e.minor, Permissions: e.access}
	return rule.CgroupString()
}

// compile takes the rules in order: later ones win, and one for all devices
// ends what was said before it.
func compile(rules []*devices.Rule) (policy, error) {
	var p policy
	first := 0
	for i, rule := range rules {
		if err := check(rule); err != nil {
			return policy{}, fmt.Errorf("rule %q: %w", rule.CgroupString(), err)
		}
		if rule.Type == devices.WildcardDevice {
			p.allow, first = rule.Allow, i+1
		}
	}
	for _, rule := range rules[first:] {
		e := exception{nodes{rule.Type, rule.Major, rule.Minor}, rule.Permissions.Union("")}
		if rule.Allow != p.allow {
			p.add(e)
		} else if err := p.remove(e); err != nil {
			return policy{}, err
		}
	}
	return p, nil
}

// check refuses what would mean something else to the kernel.
func check(rule *devices.Rule) error {
	access := rule.Permissions.Union("")
	if access.IsEmpty() || len(access) != len(rule.Permissions) {
		return errors.New("the access is not a set of r, w and m")
	}
	for _, number := range []int64{rule.Major, rule.Minor} {
		// The last number is the kernel's own sign for any.
		if number < devices.Wildcard || number >= math.MaxUint32 {
			return fmt.Errorf("%d is not a device number", number)
		}
	}
	switch rule.Type {
	case devices.BlockDevice, devices.CharDevice:
		return nil
	case devices.WildcardDevice:
		if rule.Major != devices.Wildcard || rule.Minor != devices.Wildcard || access != "rwm" {
			return errors.New("type a means every device and every access")
		}
		return nil
	}
	return fmt.Errorf("%q is not a type of device", rule.Type)
}

// add makes an exception.
func (p *policy) add(e exception) {
	for i := range p.exceptions {
		if x := &p.exceptions[i]; x.nodes == e.nodes {
			x.access = x.access.Union(e.access)
			return
		}
	}
	p.exceptions = append(p.exceptions, e)
}

// remove ends exceptions. An exception from one of them cannot be expressed:
// it is an error. Where more is allowed again than had been denied, what had
// been denied in particular stays so, as with v1 itself and with runc: rules
// for mknod of everything come after those of a config.json.
func (p *policy) remove(e exception) error {
	for i := range p.exceptions {
		x := &p.exceptions[i]
		switch {
		case !x.meets(e.nodes) || x.access.Intersection(e.access).IsEmpty():
		case x.nodes == e.nodes, !p.allow && e.covers(x.nodes):
			x.access = x.access.Difference(e.access)
		case p.allow && !x.covers(e.nodes):
		case p.allow:
			return fmt.Errorf("%q is denied, and a part of it, %q, allowed later: there are no exceptions from exceptions", x, e)
		default:
			return fmt.Errorf("%q is allowed, and a part of it, %q, denied later: there are no exceptions from exceptions", x, e)
		}
	}
	p.exceptions = slices.DeleteFunc(p.exceptions, func(x exception) bool { return x.access.IsEmpty() })
	return nil
}

// accessTo is the access of the exception for nodes; "" if there is none.
func (p *policy) accessTo(n nodes) devices.Permissions {
	for _, x := range p.exceptions {
		if x.nodes == n {
			return x.access
		}
	}
	return ""
}
