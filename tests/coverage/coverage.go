// Package coverage knows every property that runtime-spec has for Linux, and
// lets a test say which of them it shows. What was shown, by which test and on
// which kind of machine, is docs/spec-coverage.md: tests/report writes it from
// the results of the tests ("make coverage"), so that it can say nothing that
// did not happen.
//
// The properties are those of the Go types of the specification, so that none
// can be forgotten: "linux.resources.memory.limit" is a field of config.json,
// "features.linux.cgroup.v1" one of what `mocker features` prints, "state.pid"
// one of what `state` prints and hooks are given. "linux.namespaces.type=pid"
// is a value that a field may have, and "runtime.md: ..." a rule of the
// lifecycle; those two kinds are listed in values.go and rules.go.
package coverage

import (
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-spec/specs-go/features"
)

// What a test says, followed by ": " and properties with "; " in between. Both
// lines end up in what "go test -json" prints.
const (
	Shown   = "shows"               // the kernel does what the property says
	Written = "shows the writes of" // mocker writes what the kernel documents; the hardware is not here
)

// Shows says that this test shows properties: that they do in a container what
// the specification says. It counts if the test passes. "linux.devices" stands
// for all properties of a device. A property that does
// not exist fails the test.
func Shows(t testing.TB, properties ...string) {
	t.Helper()
	say(t, Shown, properties)
}

// ShowsWrites is Shows where the machine lacks the hardware: what is shown are
// writes to files that stand for the kernel's.
func ShowsWrites(t testing.TB, properties ...string) {
	t.Helper()
	say(t, Written, properties)
}

func say(t testing.TB, what string, properties []string) {
	t.Helper()
	var list []string
	for _, p := range properties {
		all := expand(p)
		if len(all) == 0 {
			t.Errorf("runtime-spec has no property %q, and no object of that name without objects in it", p)
		}
		list = append(list, all...)
	}
	if len(list) > 0 {
		t.Log(what + ": " + strings.Join(list, "; "))
	}
}

// expand gives the properties of a small object, "hooks.poststop": one without
// objects in it. Of a bigger one nobody shows all at once.
func expand(name string) (list []string) {
	if known()[name] {
		return []string{name}
	}
	for _, s := range Sections() {
		for _, p := range s.Properties {
			rest, within := strings.CutPrefix(p, name+".")
			switch {
			case !within || strings.Contains(rest, "="):
			case strings.Contains(rest, "."):
				return nil
			default:
				list = append(list, p)
			}
		}
	}
	return list
}

var known = sync.OnceValue(func() map[string]bool {
	all := map[string]bool{}
	for _, s := range Sections() {
		for _, p := range s.Properties {
			all[p] = true
		}
	}
	return all
})

// Section is a part of the specification.
type Section struct {
	Title      string
	Properties []string
}

// Sections are all properties, in the order of the specification.
func Sections() []Section {
	return []Section{
		{"config.md, config-linux.md", fields(reflect.TypeFor[specs.Spec](), "")},
		{"Values of these properties", valueNames()},
		{"runtime.md", rules},
		{"runtime.md, State", fields(reflect.TypeFor[specs.State](), "state.")},
		{"config-linux.md, container process state", fields(reflect.TypeFor[specs.ContainerProcessState](), "containerProcessState.")},
		{"features.md, features-linux.md", fields(reflect.TypeFor[features.Features](), "features.")},
	}
}

// fields are the properties of a type that are no objects themselves, but may
// lie in one: "process.cwd", "linux.devices.type".
func fields(t reflect.Type, prefix string) (list []string) {
	for _, field := range reflect.VisibleFields(t) {
		platforms := field.Tag.Get("platform")
		if field.Anonymous || platforms != "" && !slices.Contains(strings.Split(platforms, ","), "linux") {
			continue
		}
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		inner := field.Type
		for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice || inner.Kind() == reflect.Map {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct {
			list = append(list, fields(inner, prefix+name+".")...)
		} else {
			list = append(list, prefix+name)
		}
	}
	return list
}
