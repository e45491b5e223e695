package main

import (
	"bufio"
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
	failed := map[string]bool{}
	for k, result := range r.ended {
		if result != "pass" {
			failed[k.pkg+" "+k.test] = true
		}
	}
	found := evidence{}
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
	return found, nil
}

// placeOf is the kind of machine that results are of: the name of their file.
func placeOf(path string) string { return strings.TrimSuffix(filepath.Base(path), ".json") }

const coverageHead = `# What is shown of runtime-spec %s

Written by "make coverage" from the results of the tests, those of "make test" and "make test-vm"; nothing in it is
written by hand. A test says which properties it shows (package tests/coverage, which has the list of all from the Go
types of the specification), and it counts if the test has passed.

"yes": a container, or a command, was seen to do what the specification says. "writes": the machine lacks the hardware,
and mocker was seen to write to a file that stands for the kernel's what the kernel documents. "no": no test shows it
there; that may be since the machine cannot. "make test" and "make test-vm" fail when a row gets worse.
`

// writeCoverage writes the document about the places of some results.
func writeCoverage(out io.Writer, version string, files []string) error {
	var places []string
	var found []evidence
	for _, path := range files {
		e, err := weigh(path)
		if err != nil {
			return err
		}
		places, found = append(places, placeOf(path)), append(found, e)
	}
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
			if best > no {
				shown++
			}
			fmt.Fprintf(&rows, " %s |\n", some(tests))
		}
		fmt.Fprintf(out, "\n## %s\n\n%d of %d shown somewhere.\n\n", s.Title, shown, len(s.Properties))
		fmt.Fprintf(out, "| property | %s | shown by |\n|---|%s---|\n%s", strings.Join(places, " | "), strings.Repeat("---|", len(places)), rows.String())
	}
	return nil
}

// saveCoverage writes the document to its file.
func saveCoverage(document string, files []string) error {
	var text bytes.Buffer
	if err := writeCoverage(&text, specs.Version, files); err != nil {
		return err
	}
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

// checkCoverage complains about each property that the document has as shown,
// at a place that there are results of, and they show less. ok is false then.
func checkCoverage(out io.Writer, document string, files []string) (ok bool, err error) {
	found := map[string]evidence{}
	for _, path := range files {
		if found[placeOf(path)], err = weigh(path); err != nil {
			return false, err
		}
	}
	f, err := os.Open(document)
	if err != nil {
		return false, err
	}
	defer f.Close()
	ok = true
	var places []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		row := strings.Split(lines.Text(), " | ")
		if len(row) < 3 || !strings.HasPrefix(row[0], "| ") {
			continue
		}
		property := strings.TrimPrefix(row[0], "| ")
		if property == "property" {
			places = row[1 : len(row)-1]
			continue
		}
		for i, place := range places {
			e := found[place]
			was := level(slices.Index(levelNames, row[1+i]))
			if e == nil || was <= no {
				continue
			}
			if p := e[property]; p == nil || p.level < was {
				ok = false
				fmt.Fprintf(out, "FAIL %s: %s was shown here by %s and is not any more\n", place, property, strings.TrimSuffix(row[len(row)-1], " |"))
			}
		}
	}
	return ok, nil
}
