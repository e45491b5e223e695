package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// example has one setting, in which mocker takes half of runc's time for all
// phases but run, and crun could do nothing.
func example() *Results {
	s := &Series{View: "v1", Times: map[string]map[string][]float64{}, Errors: map[string]string{"crun": "crun create:\n`no`"}}
	for _, phase := range phases {
		s.Times[phase] = map[string][]float64{"mocker": {1, 2}, "runc": {2, 4}}
	}
	s.Times["run"] = map[string][]float64{"mocker": {1, 1}, "runc": {10, 10}, floorName: {0.4, 0.4}}
	return &Results{
		Failures: []string{"hook, v1: no\niptables"},
		Runtimes: []Runtime{{Name: "mocker"}, {Name: "runc"}, {Name: "crun"}},
		Series:   []*Series{s},
		Figures: []Figure{
			{Axis: size, View: "v1", Runtime: "mocker", Value: 7.5, Unit: "MiB"},
			{Axis: size, View: "v1", Runtime: "runc", Value: 9, Unit: "MiB"},
			{Axis: waiting, View: "v1", Runtime: "mocker", Value: 0.75, Unit: "MiB"},
			{Axis: listing, View: "v1", Runtime: "mocker", Unit: "ms", Error: "too\tslow"},
			{Axis: callDocker, View: "v1", Runtime: "mocker", Value: 200, Unit: "ns"},
			{Axis: throughput, View: "v1", Runtime: "mocker", Value: 10, Unit: "/s"},
			{Axis: throughput, View: "v1", Runtime: "crun", Value: 6, Unit: "/s"},
			{Axis: hookFirst, View: "v1", Runtime: "mocker", Value: 3, Unit: "ms"},
			{Axis: hookFirst, View: "v1", Runtime: scriptName, Value: 4, Unit: "ms"},
		},
	}
}

func TestTable(t *testing.T) {
	text := table(example())
	for _, want := range []string{
		"| phase, ms | mocker | runc | crun | of runc | of crun |\n",
		"| create | 1.50 | 3.00 | – | **0.50** (goal 0.25: not reached) | – |\n",
		"| run | 1.00 | 10.00 | – | 0.10 (goal 0.3) | – |\n",
		"crun cannot run here, or not to the end: `crun create: 'no'`\n",
		"the system calls: 0.40 ms; `run` takes **2.50** (goal 2: not reached) times that.\n",
		"| size of the binary | v1 | MiB | 7.50 | 9.00 | – | 8 or less: reached |\n",
		waiting + " | v1 | MiB | 0.75 | – | – | **0.5 or less: not reached** |\n",
		listing + " | v1 | ms | – | – | – | 60 or less: not measured |\n",
		"- " + listing + ", mocker, cgroup v1: `too slow`\n",
		callDocker + " | v1 | ns | 200.00 | – | – | not slower than another: not measured |\n",
		throughput + " | v1 | /s | 10.00 | – | 6.00 | **twice crun's: not reached** |\n",
		"\n**Not measured to its end:** `hook, v1: no iptables`\n",
		"| " + hookFirst + " | 3.00 | 4.00 |\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it lacks %q:\n%s", want, text)
		}
	}
}

func TestGoals(t *testing.T) {
	for _, phase := range phases {
		if goalOf(&Series{}, phase, "crun") == 0 || goalOf(&Series{}, phase, "runc") == 0 {
			t.Errorf("%s has no goal", phase)
		}
	}
	for _, s := range []*Series{{Pause: 200}, {Docker: true}} {
		if got := goalOf(s, sum, "runc"); got != hard.runc {
			t.Errorf("%s: goal %v, not %v", s.title(), got, hard.runc)
		}
	}
	if got := goalOf(&Series{}, sum, "youki"); got != 0 {
		t.Errorf("a goal of %v for a runtime that the issue does not name", got)
	}
}

func TestWriteDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/benchmarks.md")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(path, page, 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time the table is replaced
		if err := writeDocs(path, example()); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(got), "| size of the binary |"); n != 1 {
		t.Errorf("%d tables", n)
	}
	if err := os.WriteFile(path, []byte("no marks"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := writeDocs(path, example()); err == nil {
		t.Error("a document without marks was written to")
	}
}

func TestOptions(t *testing.T) {
	o, err := parse([]string{"-parts", "life,hook", "-views", "v1", "-count", "1000", "first=true", "true"})
	if err != nil {
		t.Fatal(err)
	}
	names := []string{o.runtimes[0].Name, o.runtimes[1].Name}
	if !slices.Equal(names, []string{"first", "true"}) || o.count != 1000 || !o.wants("hook") || o.wants("crowd") {
		t.Errorf("%v %+v", names, o)
	}
	for _, c := range []struct{ args, want string }{
		{"-parts lives true", `"lives"`},
		{"-views v3 true", `"v3"`},
		{"-rounds 0 true", "-rounds"},
		{"true true", "two runtimes called true"},
		{"no-such-runtime", "no-such-runtime"},
		{"", "which runtimes"},
	} {
		if _, err := parse(strings.Fields(c.args)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, which does not name %s", c.args, err, c.want)
		}
	}
}

func TestQuiet(t *testing.T) {
	for load, want := range map[string]bool{"0.08 2.00 3.00": true, "0.50 0.10 0.00": false, "7.16 5.12 7.35": false, "": false} {
		r := example()
		r.Machine.LoadBefore = load
		if said := !strings.Contains(table(r), "not quiet"); said != want {
			t.Errorf("load %q counts as quiet: %v", load, said)
		}
	}
}
