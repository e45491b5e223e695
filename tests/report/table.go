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

// results are those of one kind of machine, by package and test.
type results map[string]string

// table prints, in Markdown, every test that did not simply pass on all kinds
// of machines; each file is what "go test -json" said on one, and is called
// after it. ok is false when a test failed on any, or passed on none: then
// nobody knows whether it would.
func table(files []string, out io.Writer) (ok bool, err error) {
	var places []string
	var columns []results
	names := map[string]bool{}
	for _, path := range files {
		column, err := load(path)
		if err != nil {
			return false, err
		}
		places = append(places, strings.TrimSuffix(filepath.Base(path), ".json"))
		columns = append(columns, column)
		for name := range column {
			names[name] = true
		}
	}
	fmt.Fprintf(out, "| test | %s |\n|---|%s\n", strings.Join(places, " | "), strings.Repeat("---|", len(places)))
	ok = len(names) > 0
	passed := 0
	for _, name := range slices.Sorted(maps.Keys(names)) {
		row := make([]string, len(columns))
		for i, column := range columns {
			row[i] = column[name]
		}
		if !slices.ContainsFunc(row, func(result string) bool { return result != "pass" }) {
			passed++
			continue
		}
		if slices.Contains(row, "fail") || !slices.Contains(row, "pass") {
			ok = false
		}
		fmt.Fprintf(out, "| %s | %s |\n", strings.ReplaceAll(name, "|", "\\|"), strings.Join(row, " | "))
	}
	fmt.Fprintf(out, "\n%d other tests passed everywhere\n", passed)
	return ok, nil
}

// load reads what was kept of a run. A test that ran in several sections has
// the worst of its results, but a skip is as good as not to have run there.
func load(path string) (results, error) {
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
	column := results{}
	for k, result := range r.ended {
		if !r.counts(k) {
			result = "pass" // its subtests have rows of their own
		}
		name := strings.TrimSpace(k.pkg + " " + k.test)
		if weight(result) > weight(column[name]) {
			column[name] = result
		}
	}
	return column, nil
}

func weight(result string) int {
	return slices.Index([]string{"", "skip", "pass", "fail"}, result)
}
