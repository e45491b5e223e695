package devcg

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	oci "github.com/opencontainers/cgroups"
	devices "github.com/opencontainers/cgroups/devices/config"
)

const (
	allowFile = "devices.allow"
	denyFile  = "devices.deny"
	listFile  = "devices.list"

	all = "a *:* rwm" // what is in listFile if everything is allowed
)

// line is what has to be written to a file of v1.
type line struct{ file, text string }

// Write gives a cgroup of v1 rules in the place of those that it has. Where
// not everything is allowed before or after, what both allow is so all the
// time, and what neither allows is at no time.
func Write(dir string, rules []*devices.Rule) error {
	want, err := compile(rules)
	if err != nil {
		return err
	}
	have, err := read(dir)
	if err != nil {
		return err
	}
	for _, l := range have.lines(want) {
		if err := oci.WriteFile(dir, l.file, l.text); err != nil {
			return err
		}
	}
	if have, err = read(dir); err != nil {
		return err
	}
	return have.shows(want)
}

// Clear denies everything to a cgroup of v1 in which nobody lives yet, however
// it has been born. Rules that are then written get into devices.list in
// their own order, and who reads it looks for config.json's first.
func Clear(dir string) error { return oci.WriteFile(dir, denyFile, all) }

func read(dir string) (policy, error) {
	text, err := oci.ReadFile(dir, listFile)
	if err != nil {
		return policy{}, err
	}
	return parse(text)
}

// parse reads devices.list. It does not show what is denied where everything
// else is allowed.
func parse(text string) (policy, error) {
	if strings.TrimSuffix(text, "\n") == all {
		return policy{allow: true}, nil
	}
	var p policy
	for l := range strings.Lines(text) {
		e, err := parseLine(strings.TrimSuffix(l, "\n"))
		if err != nil {
			return policy{}, fmt.Errorf("%s: %q: %w", listFile, l, err)
		}
		p.add(e)
	}
	return p, nil
}

func parseLine(text string) (exception, error) {
	typ, rest, _ := strings.Cut(text, " ")
	numbers, access, _ := strings.Cut(rest, " ")
	major, minor, _ := strings.Cut(numbers, ":")
	e := exception{access: devices.Permissions(access)}
	var err error
	if e.major, err = parseNumber(major); err != nil {
		return e, err
	}
	if e.minor, err = parseNumber(minor); err != nil {
		return e, err
	}
	if typ != string(devices.BlockDevice) && typ != string(devices.CharDevice) || access == "" || !e.access.IsValid() {
		return e, errors.New("not a type, numbers and an access")
	}
	e.typ = devices.Type(typ[0])
	return e, nil
}

func parseNumber(text string) (int64, error) {
	if text == "*" {
		return devices.Wildcard, nil
	}
	number, err := strconv.ParseUint(text, 10, 32)
	return int64(number), err
}

// lines turns one policy into another. They say that everything is denied, or
// allowed, only where there is no other way: the kernel refuses that if there
// are cgroups below.
func (p policy) lines(want policy) []line {
	var list []line
	file, other := allowFile, denyFile
	if want.allow {
		file, other = denyFile, allowFile
	}
	if p.allow || want.allow {
		list = append(list, line{other, all})
		p.exceptions = nil
	}
	for _, x := range want.exceptions {
		if x.access = x.access.Difference(p.accessTo(x.nodes)); !x.access.IsEmpty() {
			list = append(list, line{file, x.String()})
		}
	}
	for _, x := range p.exceptions {
		if x.access = x.access.Difference(want.accessTo(x.nodes)); !x.access.IsEmpty() {
			list = append(list, line{other, x.String()})
		}
	}
	return list
}

// shows checks that devices.list says what it is to say.
func (p policy) shows(want policy) error {
	same := p.allow == want.allow
	if same && !want.allow {
		same = len(p.exceptions) == len(want.exceptions)
		for _, x := range want.exceptions {
			same = same && p.accessTo(x.nodes) == x.access
		}
	}
	if !same {
		return fmt.Errorf("%s has %v, and not %v", listFile, p, want)
	}
	return nil
}

// String is the policy as devices.list has it, in one line.
func (p policy) String() string {
	if p.allow {
		return strconv.Quote(all)
	}
	texts := make([]string, len(p.exceptions))
	for i, x := range p.exceptions {
		texts[i] = x.String()
	}
	return strconv.Quote(strings.Join(texts, ", "))
}
