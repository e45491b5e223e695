package namespaces

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/coverage"
	"github.com/mocker-runtime/mocker/tests/drive"
)

func TestMain(m *testing.M) { drive.Main(m) }

const document = "../../docs/namespaces.md"

var update = flag.Bool("update", false, "write docs/namespaces.md")

// modes of a namespace in a config.json.
const (
	host   = "host" // no entry
	fresh  = "new"
	joined = "joined"
)

var modes = []string{host, fresh, joined}

// kinds are the types beside the user namespace, and their files in
// /proc/PID/ns.
var kinds = []struct {
	name specs.LinuxNamespaceType
	file string
}{
	{specs.MountNamespace, "mnt"}, {specs.PIDNamespace, "pid"}, {specs.NetworkNamespace, "net"}, {specs.IPCNamespace, "ipc"},
	{specs.UTSNamespace, "uts"}, {specs.CgroupNamespace, "cgroup"}, {specs.TimeNamespace, "time"},
}

// choice is a mode for each type; host where it says nothing.
type choice map[specs.LinuxNamespaceType]string

func (c choice) of(name specs.LinuxNamespaceType) string {
	if m := c[name]; m != "" {
		return m
	}
	return host
}

func (c choice) String() string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(c)) {
		words = append(words, string(name)+" "+c[name])
	}
	return strings.Join(words, ", ")
}

// pair is the combination of a row and a column of the table. The mount
// namespace is new unless one of the two says something else.
func pair(user string, a, b cell) choice {
	c := choice{specs.UserNamespace: user, specs.MountNamespace: fresh}
	c[a.name] = a.mode
	c[b.name] = b.mode
	return c
}

type cell struct {
	name specs.LinuxNamespaceType
	mode string
}

func cells() []cell {
	var list []cell
	for _, k := range kinds {
		for _, m := range modes {
			list = append(list, cell{k.name, m})
		}
	}
	return list
}

// TestCombinations makes a container of each combination, once, and compares
// what came of it with the table.
func TestCombinations(t *testing.T) {
	coverage.Shows(t, "linux.namespaces", "linux.namespaces.type=pid", "linux.namespaces.type=network",
		"linux.namespaces.type=mount", "linux.namespaces.type=ipc", "linux.namespaces.type=uts", "linux.namespaces.type=user",
		"linux.namespaces.type=cgroup", "linux.namespaces.type=time")
	before := drive.TakeSnapshot(t)
	w := newWorld(t)
	var all []choice
	seen := map[string]bool{}
	for _, user := range modes {
		for _, a := range cells() {
			for _, b := range cells() {
				if c := pair(user, a, b); !seen[c.String()] && (a.name != b.name || a.mode == b.mode) {
					seen[c.String()] = true
					all = append(all, c)
				}
			}
		}
		for _, m := range modes[1:] { // all of them at once
			c := choice{specs.UserNamespace: user}
			for _, k := range kinds {
				c[k.name] = m
			}
			all = append(all, c)
		}
	}
	results := w.runAll(all)
	w.end()
	before.Unchanged(t)
	for _, c := range all {
		if err := results[c.String()]; err != "" && !legalError(c, err) {
			t.Errorf("%v: %s", c, err)
		}
	}
	text := markdown(results)
	if *update {
		if err := os.WriteFile(document, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if committed, err := os.ReadFile(document); err != nil || string(committed) != text {
		t.Errorf("%s is not what came out (%v): run the test with -update and look at the difference", document, err)
	}
}

// The combinations that cannot be, and what mocker says to them.
const (
	noMount      = "config.json: linux.namespaces: a user namespace needs a mount namespace beside it: in the host's it may not mount anything"
	foreignMount = "the container's user namespace does not own its mount namespace"
)

func legalError(c choice, err string) bool {
	switch c.of(specs.MountNamespace) {
	case host:
		return c.of(specs.UserNamespace) != host && err == noMount
	case joined:
		// Who may not mount in it cannot make a container in it.
		return c.of(specs.UserNamespace) == fresh && strings.Contains(err, foreignMount)
	}
	return false
}

// runAll carries out all combinations, two at a time, and gives the error of
// each, "" for those that are right.
func (w *world) runAll(all []choice) map[string]string {
	results := map[string]string{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	work := make(chan choice)
	for n := range 2 {
		wg.Go(func() {
			for c := range work {
				err := w.run(n, c)
				mu.Lock()
				results[c.String()] = err
				mu.Unlock()
			}
		})
	}
	for _, c := range all {
		work <- c
	}
	close(work)
	wg.Wait()
	return results
}

func markdown(results map[string]string) string {
	var b strings.Builder
	b.WriteString(intro)
	notes := map[string]int{}
	note := func(err string) string {
		if err == "" {
			return "ok"
		}
		if notes[err] == 0 {
			notes[err] = len(notes) + 1
		}
		return fmt.Sprint(notes[err])
	}
	for _, user := range modes {
		fmt.Fprintf(&b, "\n## User namespace: %s\n\n|  |", map[string]string{host: "the host's", fresh: "new, with maps", joined: "joined"}[user])
		line := "|---|"
		for _, col := range cells() {
			fmt.Fprintf(&b, " %s %s |", col.name, col.mode)
			line += "---|"
		}
		b.WriteString("\n" + line + "\n")
		for i, row := range cells() {
			fmt.Fprintf(&b, "| **%s %s** |", row.name, row.mode)
			for k, col := range cells() {
				switch {
				case k > i:
					b.WriteString("  |")
				case row.name == col.name && row.mode != col.mode:
					b.WriteString(" - |")
				default:
					fmt.Fprintf(&b, " %s |", note(results[pair(user, row, col).String()]))
				}
			}
			b.WriteString("\n")
		}
		for _, m := range modes[1:] {
			c := choice{specs.UserNamespace: user}
			for _, k := range kinds {
				c[k.name] = m
			}
			fmt.Fprintf(&b, "\nAll seven %s: %s.\n", m, note(results[c.String()]))
		}
	}
	b.WriteString("\n## What cannot be\n\n")
	for n := range len(notes) {
		for err, k := range notes {
			if k == n+1 {
				fmt.Fprintf(&b, "%d. `%s`\n", k, err)
			}
		}
	}
	return b.String()
}

const intro = `# Namespaces in combination

Written by ` + "`go test ./tests/namespaces -run TestCombinations -update`" + `, which makes a container of each pair below, with
the user namespace that the heading names, and looks at the links in /proc/PID/ns of its running process: new ones are
nobody else's, joined ones those of the container that they were taken from, the rest the host's. The mount namespace
is new where row and column say nothing about it; other types are then the host's. The maps are 0 to 100000, 65536 ids.

A container that joins has what it joins from a container whose user namespace is the host's, or, where it joins a user
namespace, from one whose namespaces belong to that.
`
