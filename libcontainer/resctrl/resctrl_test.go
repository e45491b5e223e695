package resctrl

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

// The directories of these tests only stand for a resctrl file system: what is
// shown is what is written where.

// files are the files below a directory, "path: content" each.
func files(t *testing.T, root string) string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		name, _ := filepath.Rel(root, path)
		list = append(list, name+": "+string(data))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(list, "|")
}

// class makes a class of service that is there before.
func class(t *testing.T, root, name, schemata string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(root, name, "mon_groups"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, name, "schemata"), []byte(schemata), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestRules(t *testing.T) {
	const there = "    L3:0=7ff;1=00f\nMB:0=100\n"
	for _, row := range []struct {
		name   string
		rdt    config.RDT
		before string // schemata of the class "a"; "": there is none
		during string // files, once a process is in it
		after  string // and when the container is gone
		refuse string // instead of all that
	}{
		{"nothing", config.RDT{}, "", "box/tasks: 7", "", ""},
		{"lines in order", config.RDT{Schemata: []string{"L3:0=1", "MB:0=2", "L3:0=3"}}, "", "box/schemata: L3:0=1\nMB:0=2\nL3:0=3\n|box/tasks: 7", "", ""},
		{"a new class stays", config.RDT{Class: "a", Schemata: []string{"L3:0=1"}}, "", "a/schemata: L3:0=1\n|a/tasks: 7", "a/schemata: L3:0=1\n|a/tasks: 7", ""},
		{"a class that is there", config.RDT{Class: "a"}, there, "a/schemata: " + there + "|a/tasks: 7", "a/schemata: " + there + "|a/tasks: 7", ""},
		{"one that fits", config.RDT{Class: "a", Schemata: []string{"L3:1=F", "MB:0=100"}}, there, "a/schemata: " + there + "|a/tasks: 7", "a/schemata: " + there + "|a/tasks: 7", ""},
		{"one that does not fit", config.RDT{Class: "a", Schemata: []string{"L3:1=1f"}}, there, "", "",
			`linux.intelRdt: the class of service ROOT/a is there already, and its schemata "L3:0=7ff;1=00f MB:0=100" is not the one asked for, "L3:1=1f"`},
		{"one that lacks a cache", config.RDT{Class: "a", Schemata: []string{"L3:2=1"}}, there, "", "",
			`linux.intelRdt: the class of service ROOT/a is there already, and its schemata "L3:0=7ff;1=00f MB:0=100" is not the one asked for, "L3:2=1"`},
		{"one that is missing", config.RDT{Class: "b"}, there, "", "",
			`linux.intelRdt.closID: "b": no such class of service in ROOT, and no schemata to make one`},
		{"the default class", config.RDT{Class: "/"}, there, "a/schemata: " + there + "|tasks: 7", "a/schemata: " + there + "|tasks: 7", ""},
		{"a monitoring group", config.RDT{Monitor: true}, "", "box/mon_groups/box/tasks: 7|box/tasks: 7", "", ""},
		{"one of a class", config.RDT{Class: "a", Monitor: true}, there, "a/mon_groups/box/tasks: 7|a/schemata: " + there + "|a/tasks: 7", "a/schemata: " + there + "|a/tasks: 7", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			root := t.TempDir()
			if row.before != "" {
				class(t, root, "a", row.before)
			}
			g, err := Plan(root, "box", &row.rdt)
			if row.refuse != "" {
				if want := strings.ReplaceAll(row.refuse, "ROOT", root); err == nil || err.Error() != want {
					t.Errorf("got  %v\nwant %s", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := Make(g, &row.rdt); err != nil {
				t.Fatal(err)
			}
			if err := Attach(g, 7); err != nil {
				t.Fatal(err)
			}
			if got := files(t, root); got != row.during {
				t.Errorf("got  %q\nwant %q", got, row.during)
			}
			for range 2 { // a delete may be tried again
				if err := Remove(g); err != nil {
					t.Fatal(err)
				}
			}
			if got := files(t, root); got != row.after {
				t.Errorf("afterwards %q\nwant       %q", got, row.after)
			}
		})
	}
}

// TestOthers: a directory of the container's name that somebody else has made
// is used, and stays.
func TestOthers(t *testing.T) {
	root := t.TempDir()
	class(t, root, "box", "")
	rdt := &config.RDT{Schemata: []string{"L3:0=1"}}
	g, err := Plan(root, "box", rdt)
	if err != nil {
		t.Fatal(err)
	}
	if err := Make(g, rdt); err != nil {
		t.Fatal(err)
	}
	if err := Remove(g); err != nil {
		t.Fatal(err)
	}
	if got, want := files(t, root), "box/schemata: L3:0=1\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, err := Plan(root, "info", rdt); err == nil {
		t.Error("a container takes resctrl's own directory")
	}
}

// TestFailure: what the kernel says is passed on, and a class that cannot be
// set up is not left.
func TestFailure(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "info"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "info/last_cmd_status"), []byte("out of CLOSIDs\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	rdt := &config.RDT{Class: "a", Monitor: true, Schemata: []string{"L3:0=1"}}
	g, err := Plan(root, "box", rdt)
	if err != nil {
		t.Fatal(err)
	}
	g.Monitor = filepath.Join(root, "info/last_cmd_status/x")
	err = Make(g, rdt)
	if want := "make monitoring group " + g.Monitor + ": not a directory (out of CLOSIDs)"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if _, err := os.Stat(g.Dir); !os.IsNotExist(err) {
		t.Errorf("the class is left: %v", err)
	}
}
