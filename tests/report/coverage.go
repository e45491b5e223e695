package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/coverage"
)

// level is how well a property is shown.
type level int

const (
	no level = iota
	writes
	yes
)

// levelNames are the levels in the document.
var levelNames = []string{"no", "writes", "yes"}

// evidence is what the tests of one place say about each property.
type evidence map[string]*proof

type proof struct {
	level level
	tests map[string]bool
}

// claims finds in the output of a test what it says that it shows.
func claims(text string) map[string]level {
	found := map[string]level{}
	for line := range strings.Lines(text) {
		for what, level := range map[string]level{coverage.Shown: yes, coverage.Written: writes} {
			_, list, ok := strings.Cut(line, ".go:")
			if ok {
				_, list, ok = strings.Cut(list, " "+what+": ")
			}
			if ok {
				for _, property := range strings.Split(strings.TrimSpace(list), "; ") {
					found[property] = max(found[property], level)
				}
			}
		}
	}
	return found
}

// weigh reads the results of one place. A test shows nothing unless it passed
// wherever it ran.
func weigh(path string) (evidence, error) {
	found, _, err := weighAll(path)
	return found, err
}

// weighAll is weigh, and says which packages have been run.
func weighAll(path string) (found evidence, ran map[string]bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	r, err := follow(f, io.Discard)
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", path, err)
	}
	r.end()
	ran = map[string]bool{}
	for k := range r.ended {
		ran[strings.TrimPrefix(k.pkg, module)] = true
	}
	failed := map[string]bool{}
	for k, result := range r.ended {
		if result != "pass" {
			failed[k.pkg+" "+k.test] = true
		}
	}
	found = evidence{}
	for k, list := range r.claims {
		name := k.pkg + " " + k.test
		if failed[name] || r.ended[k] == "" {
			continue
		}
		for property, level := range list {
			p := found[property]
			if p == nil {
				p = &proof{tests: map[string]bool{}}
				found[property] = p
			}
			p.level = max(p.level, level)
			p.tests[strings.TrimPrefix(name, module)] = true
		}
	}
	return found, ran, nil
}

// placeOf is the kind of machine that results are of: the name of their file.
func placeOf(path string) string { return strings.TrimSuffix(filepath.Base(path), ".json") }

// reasonMark begins the last cell of a row that nobody shows.
const reasonMark = "not shown: "

const coverageHead = `# What is shown of runtime-spec %s

Written by "make coverage" from the results of the tests, those of "make test" and "make test-vm"; nothing in it is
written by hand. A test says which properties it shows (package tests/coverage, which has the list of all from the Go
types of the specification), and it counts if the test has passed.

"yes": a container, or a command, was seen to do what the specification says. "writes": the machine lacks the hardware,
and mocker was seen to write to a file that stands for the kernel's what the kernel documents. "no": no test shows it
there; that may be since the machine cannot. Where none does anywhere the last column has the reason instead
(tests/coverage/reasons.go). "make test" and "make test-vm" fail when a row gets worse.

What an architecture of linux.seccomp means is written where the compiled program was asked, and not a kernel.
`

// writeCoverage writes the document about places, and what was found at each.
func writeCoverage(out io.Writer, version string, places []string, found []evidence) {
	fmt.Fprintf(out, coverageHead, version)
	for _, s := range coverage.Sections() {
		shown := 0
		var rows strings.Builder
		for _, property := range s.Properties {
			best := no
			fmt.Fprintf(&rows, "| %s |", property)
			tests := map[string]bool{}
			for _, e := range found {
				p := e[property]
				if p == nil {
					p = &proof{}
				}
				best = max(best, p.level)
				maps.Copy(tests, p.tests)
				fmt.Fprintf(&rows, " %s |", levelNames[p.level])
			}
			by := some(tests)
			switch why := coverage.Reason(property); {
			case best > no:
				shown++
			case why != "":
				by = reasonMark + why
			}
			fmt.Fprintf(&rows, " %s |\n", by)
		}
		fmt.Fprintf(out, "\n## %s\n\n%d of %d shown somewhere.\n\n", s.Title, shown, len(s.Properties))
		fmt.Fprintf(out, "| property | %s | shown by |\n|---|%s---|\n%s", strings.Join(places, " | "), strings.Repeat("---|", len(places)), rows.String())
	}
}

// saveCoverage writes the document to its file.
func saveCoverage(document string, files []string) error {
	var places []string
	var found []evidence
	for _, path := range files {
		e, err := weigh(path)
		if err != nil {
			return err
		}
		places, found = append(places, placeOf(path)), append(found, e)
	}
	var text bytes.Buffer
	writeCoverage(&text, specs.Version, places, found)
	return os.WriteFile(document, text.Bytes(), 0o644)
}

// some are a few of the tests, in Markdown.
func some(tests map[string]bool) string {
	const most = 3
	list := slices.Sorted(maps.Keys(tests))
	rest := len(list) - most
	if rest > 0 {
		list = append(list[:most], fmt.Sprintf("and %d more", rest))
	}
	return strings.ReplaceAll(strings.Join(list, ", "), "|", "\\|")
}

// rowsOf gives the rows of the document: the property, a level for each place,
// and what shows it.
func rowsOf(document string) (places []string, rows map[string][]string, err error) {
	data, err := os.ReadFile(document)
	if err != nil {
		return nil, nil, err
	}
	rows = map[string][]string{}
	for line := range strings.Lines(string(data)) {
		row := strings.Split(strings.TrimSuffix(line, " |\n"), " | ")
		if len(row) < 3 || !strings.HasPrefix(row[0], "| ") {
			continue
		}
		if property := strings.TrimPrefix(row[0], "| "); property != "property" {
			rows[property] = row[1:]
			continue
		}
		places = row[1 : len(row)-1]
	}
	return places, rows, nil
}

// addCoverage writes the document with what it says already, and what the
// results show besides: those of a choice of tests, or of one place alone.
// "-covered" finds what of it no full run shows any more.
func addCoverage(document string, files []string) error {
	places, rows, err := rowsOf(document)
	if err != nil {
		return err
	}
	found := map[string]evidence{}
	for _, place := range places {
		found[place] = evidence{}
	}
	for property, row := range rows {
		tests := map[string]bool{}
		for name := range strings.SplitSeq(row[len(row)-1], ", ") {
			if name != "" && !strings.HasPrefix(name, "and ") && !strings.HasPrefix(row[len(row)-1], reasonMark) {
				tests[name] = true
			}
		}
		for i, place := range places {
			if level := level(slices.Index(levelNames, row[i])); level > no {
				found[place][property] = &proof{level, maps.Clone(tests)}
			}
		}
	}
	for _, path := range files {
		more, err := weigh(path)
		if err != nil {
			return err
		}
		place := placeOf(path)
		if found[place] == nil {
			places, found[place] = append(places, place), evidence{}
		}
		for property, p := range more {
			if was := found[place][property]; was != nil {
				maps.Copy(p.tests, was.tests)
				p.level = max(p.level, was.level)
			}
			found[place][property] = p
		}
	}
	var text bytes.Buffer
	list := make([]evidence, len(places))
	for i, place := range places {
		list[i] = found[place]
	}
	writeCoverage(&text, specs.Version, places, list)
	return os.WriteFile(document, text.Bytes(), 0o644)
}

// checkCoverage complains about each property that the document has as shown,
// at a place that there are results of, and they show less. ok is false then.
// Results without any of the packages that show it say nothing: not all are run
// at each place, each time.
func checkCoverage(out io.Writer, document string, files []string) (ok bool, err error) {
	found, ran := map[string]evidence{}, map[string]map[string]bool{}
	for _, path := range files {
		place := placeOf(path)
		if found[place], ran[place], err = weighAll(path); err != nil {
			return false, err
		}
	}
	places, rows, err := rowsOf(document)
	if err != nil {
		return false, err
	}
	ok = true
	for _, property := range slices.Sorted(maps.Keys(rows)) {
		row := rows[property]
		for i, place := range places {
			e := found[place]
			was := level(slices.Index(levelNames, row[i]))
			if e == nil || was <= no || !hasRun(row[len(row)-1], ran[place]) {
				continue
			}
			if p := e[property]; p == nil || p.level < was {
				ok = false
				fmt.Fprintf(out, "FAIL %s: %s was shown here by %s and is not any more\n", place, property, row[len(row)-1])
			}
		}
	}
	return ok, nil
}

// hasRun reports whether one of the packages has been run whose tests stand in
// the last cell of a row.
func hasRun(shownBy string, ran map[string]bool) bool {
	for name := range strings.SplitSeq(shownBy, ", ") {
		folder, _, _ := strings.Cut(name, " ")
		if ran[folder] {
			return true
		}
	}
	return false
}
