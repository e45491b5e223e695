// Command escapes writes the table of published escapes into a document:
// "escapes DOCUMENT FILE..." takes what tests/security has recorded of each
// runtime (ATTACKS=FILE), and replaces what stands between two marks.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// record is a line of what tests/security records.
type record struct{ Attack, Way, Result, Test, Runtime string }

const begin, end = "<!-- escapes -->\n", "<!-- /escapes -->\n"

var (
	runtimes = []string{"mocker", "runc", "crun"}
	ways     = []string{"run", "create", "exec", "userns", "rootless", "overlay"}
	// worst comes first: a cell says the worst of its tests.
	worst = []string{"falls", "differs", "holds", "not run"}
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: escapes DOCUMENT FILE...")
		os.Exit(1)
	}
	if err := write(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintf(os.Stderr, "escapes: %v\n", err)
		os.Exit(1)
	}
}

func write(document string, files []string) error {
	records, err := read(files)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	before, rest, ok1 := strings.Cut(string(text), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		return fmt.Errorf("%s has no marks %q and %q", document, begin, end)
	}
	return os.WriteFile(document, []byte(before+begin+table(records)+end+after), 0o644)
}

func read(files []string) (list []record, err error) {
	for _, path := range files {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			var r record
			if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			r.Runtime = filepath.Base(r.Runtime)
			list = append(list, r)
		}
	}
	if len(list) == 0 {
		return nil, errors.New("nothing has been recorded")
	}
	return list, nil
}

// table is a row for each attack: how often it was tried in each way, and what
// came of it with each runtime.
func table(records []record) string {
	type key struct{ attack, way, runtime string }
	cells := map[key][]string{}
	var attacks []string
	for _, r := range records {
		k := key{r.Attack, r.Way, r.Runtime}
		cells[k] = append(cells[k], r.Result)
		if !slices.Contains(attacks, r.Attack) {
			attacks = append(attacks, r.Attack)
		}
	}
	slices.Sort(attacks)
	var b strings.Builder
	fmt.Fprintf(&b, "| attack | runtime | %s |\n|---|---|%s\n", strings.Join(ways, " | "), strings.Repeat("---|", len(ways)))
	for _, attack := range attacks {
		for i, runtime := range runtimes {
			name := attack
			if i > 0 {
				name = ""
			}
			fmt.Fprintf(&b, "| %s | %s |", name, runtime)
			for _, way := range ways {
				fmt.Fprintf(&b, " %s |", cell(cells[key{attack, way, runtime}]))
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

// cell is the worst of some results, with how many of them were so: "holds 4",
// "falls 1 of 4".
func cell(results []string) string {
	for _, what := range worst {
		n := 0
		for _, r := range results {
			if r == what {
				n++
			}
		}
		switch {
		case n == 0:
			continue
		case what == "falls":
			what = "**falls**"
		}
		if n < len(results) {
			return fmt.Sprintf("%s %d of %d", what, n, len(results))
		}
		return fmt.Sprintf("%s %d", what, n)
	}
	return ""
}
