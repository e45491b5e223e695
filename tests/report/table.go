package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// module is cut from the names of packages.
const module = "github.com/mocker-runtime/mocker/"

// name is a test wherever it ran; test is "" for a package as such.
type name struct{ pkg, test string }

// place is what was kept of one kind of machine.
type place struct {
	name    string
	results map[name]string // pass, fail, skip
	sums    map[name]bool   // tests that are the sum of their subtests
	reasons map[name]string // of the skipped ones
	count   map[string]map[string]int
}

// table prints, in Markdown, how many tests of each package passed on each
// kind of machine, and a line for every test that failed or was skipped on
// any; each file is what "go test -json" said on one, and is called after it.
// A test that was not to run somewhere counts for nothing there. ok is false
// when a test failed on any machine, or passed on none: then nobody knows
// whether it would.
func table(files []string, out io.Writer) (ok bool, err error) {
	var places []*place
	for _, path := range files {
		p, err := load(path)
		if err != nil {
			return false, err
		}
		places = append(places, p)
	}
	header := ""
	for _, p := range places {
		header += " " + p.name + " |"
	}
	header += "\n|---|" + strings.Repeat("---|", len(places))

	fmt.Fprintf(out, "| package |%s\n", header)
	for _, pkg := range packages(places) {
		fmt.Fprintf(out, "| %s |", pkg)
		for _, p := range places {
			fmt.Fprintf(out, " %s |", counts(p.count[pkg]))
		}
		fmt.Fprintln(out)
	}
	return exceptions(places, header, out), nil
}

func packages(places []*place) []string {
	all := map[string]bool{}
	for _, p := range places {
		for pkg := range p.count {
			all[pkg] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// counts is a cell: "12", "12, 3 skipped", and where there were none "".
func counts(n map[string]int) string {
	var parts []string
	for _, result := range []struct{ action, word string }{{"pass", ""}, {"fail", " failed"}, {"skip", " skipped"}} {
		if n[result.action] > 0 || result.action == "pass" && len(n) > 0 {
			parts = append(parts, fmt.Sprint(n[result.action], result.word))
		}
	}
	return strings.Join(parts, ", ")
}

// exceptions prints the tests that did not pass wherever they were to run, and
// the sum. It reports whether each passed somewhere and failed nowhere.
func exceptions(places []*place, header string, out io.Writer) bool {
	all := map[name]bool{}
	for _, p := range places {
		for n := range p.results {
			all[n] = true
		}
	}
	byName := func(a, b name) int { return strings.Compare(a.pkg+" "+a.test, b.pkg+" "+b.test) }
	failed, skipped, nowhere := 0, 0, 0
	fmt.Fprintf(out, "\n| test |%s---|\n", strings.Replace(header, "\n", " reason |\n", 1))
	for _, n := range slices.SortedFunc(maps.Keys(all), byName) {
		seen := map[string]bool{}
		row, reasons := "", []string{}
		for _, p := range places {
			result := p.results[n]
			if result == "" && p.sums[n] {
				result = "pass" // skipped elsewhere, it has no subtests there
			}
			seen[result] = true
			row += " " + result + " |"
			if why := p.reasons[n]; result == "skip" && !slices.Contains(reasons, why) {
				reasons = append(reasons, why)
			}
		}
		switch {
		case seen["fail"]:
			failed++
		case !seen["skip"]:
			continue
		case seen["pass"]:
			skipped++
		default:
			nowhere++
			reasons = append(reasons, "PASSED NOWHERE")
		}
		fmt.Fprintf(out, "| %s |%s %s |\n", cell(strings.TrimSpace(n.pkg+" "+n.test)), row, cell(strings.Join(reasons, "; ")))
	}
	fmt.Fprintf(out, "\n%d passed wherever they ran, %d passed somewhere and were skipped elsewhere, %d passed nowhere, %d failed\n",
		len(all)-failed-skipped-nowhere, skipped, nowhere, failed)
	return len(all) > 0 && failed == 0 && nowhere == 0
}

// cell makes a text fit into a table of Markdown.
func cell(text string) string { return strings.ReplaceAll(text, "|", "\\|") }

// load reads what was kept of a run. A test that ran in several sections has
// the worst of its results, but a skip is as good as not to have run there.
func load(path string) (*place, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := follow(f, io.Discard)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	r.end()
	p := &place{
		name:    strings.TrimSuffix(filepath.Base(path), ".json"),
		results: map[name]string{}, sums: map[name]bool{}, reasons: map[name]string{}, count: map[string]map[string]int{},
	}
	for k, result := range r.ended {
		n := name{strings.TrimPrefix(k.pkg, module), k.test}
		if !r.counts(k) {
			p.sums[n] = true
			continue
		}
		if weight(result) > weight(p.results[n]) {
			p.results[n], p.reasons[n] = result, r.reasons[k]
		}
	}
	for n, result := range p.results {
		if p.count[n.pkg] == nil {
			p.count[n.pkg] = map[string]int{}
		}
		p.count[n.pkg][result]++
	}
	return p, nil
}

func weight(result string) int {
	return slices.Index([]string{"", "skip", "pass", "fail"}, result)
}
