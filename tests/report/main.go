// Command report turns what "go test -json" says on stdin into something to
// read: failures as they come, with their output, and at the end what was
// skipped and why, and one line "N passed, N failed, N skipped". It exits with
// 1 when anything failed or nothing ran.
//
// A line that starts with "# " opens a section: the same test may run again in
// another one, under the race detector for example.
//
// "report -table FILE..." makes one table of what was kept of several runs,
// each on another kind of machine.
//
// "report -coverage DOCUMENT FILE..." writes docs/spec-coverage.md from what was
// kept of runs, "report -coverage-more DOCUMENT FILE..." adds to it what was kept
// of a choice of tests, and "report -covered DOCUMENT FILE..." complains about what they
// show less of than it says.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
)

func main() {
	var ok bool
	var err error
	what := ""
	if len(os.Args) > 2 {
		what = os.Args[1]
	}
	switch what {
	case "-table":
		ok, err = table(os.Args[2:], os.Stdout)
	case "-coverage":
		ok, err = true, saveCoverage(os.Args[2], os.Args[3:])
	case "-coverage-more":
		ok, err = true, addCoverage(os.Args[2], os.Args[3:])
	case "-covered":
		ok, err = checkCoverage(os.Stdout, os.Args[2], os.Args[3:])
	default:
		ok, err = report(os.Stdin, os.Stdout)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "report: %v\n", err)
	}
	if !ok || err != nil {
		os.Exit(1)
	}
}

// event is one line of test2json (go doc test2json).
type event struct {
	Action     string
	Package    string
	ImportPath string // of build events
	Test       string
	Output     string
	Elapsed    float64
}

// key names a test, or a package where the test is "".
type key struct{ section, pkg, test string }

func (k key) String() string {
	name := k.pkg
	if k.test != "" {
		name += " " + k.test
	}
	if k.section != "" {
		name += " (" + k.section + ")"
	}
	return name
}

type reporter struct {
	out     io.Writer
	section string
	output  map[key]*strings.Builder // of tests that have not ended
	ended   map[key]string           // action that ended it
	parents map[key]bool             // tests that have subtests
	blamed  map[key]bool             // parents and packages whose failure is told already
	reasons map[key]string           // of the skipped ones
	claims  map[key]map[string]level // properties of runtime-spec that a test says it shows
}

// report reads events until they end; ok is false when the tests are not to
// be trusted to have passed.
func report(in io.Reader, out io.Writer) (ok bool, err error) {
	r, err := follow(in, out)
	if err != nil {
		return false, fmt.Errorf("read test events: %w", err)
	}
	return r.end(), nil
}

// follow reads events until they end.
func follow(in io.Reader, out io.Writer) (*reporter, error) {
	r := &reporter{
		out:     out,
		output:  map[key]*strings.Builder{},
		ended:   map[key]string{},
		parents: map[key]bool{},
		blamed:  map[key]bool{},
		reasons: map[key]string{},
		claims:  map[key]map[string]level{},
	}
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			r.line(line)
		}
		if err == io.EOF {
			return r, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func (r *reporter) line(line []byte) {
	if name, ok := bytes.CutPrefix(line, []byte("# ")); ok {
		r.section = strings.TrimSpace(string(name))
		fmt.Fprintf(r.out, "== %s\n", r.section)
		return
	}
	var e event
	if json.Unmarshal(line, &e) != nil || e.Action == "" {
		fmt.Fprintf(r.out, "%s", line)
		return
	}
	r.event(e)
}

func (r *reporter) event(e event) {
	k := key{r.section, e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "run":
		r.output[k] = &strings.Builder{}
		if i := strings.LastIndexByte(e.Test, '/'); i > 0 {
			r.parents[key{k.section, k.pkg, e.Test[:i]}] = true
		}
	case "start":
		r.output[k] = &strings.Builder{}
	case "output":
		if text := r.output[k]; text != nil {
			text.WriteString(e.Output)
		}
	case "pass", "fail", "skip":
		r.finish(k, e)
	}
}

func (r *reporter) finish(k key, e event) {
	text := ""
	if b := r.output[k]; b != nil {
		text = b.String()
	}
	delete(r.output, k)
	if list := claims(text); len(list) > 0 {
		r.claims[k] = list
	}
	switch {
	case k.test == "":
		r.finishPackage(k, e, text)
		return
	case e.Action == "fail":
		if !r.blamed[k] {
			fmt.Fprintf(r.out, "FAIL %s\n%s", k, indent(text))
		}
		r.blame(k)
	case e.Action == "skip":
		r.reasons[k] = reason(text)
	}
	r.ended[k] = e.Action
}

// finishPackage tells how a package went. One that failed without a test that
// did (it does not compile, it panicked, it ran out of time) is a failure.
func (r *reporter) finishPackage(k key, e event, text string) {
	if e.Action == "fail" && !r.blamed[k] {
		fmt.Fprintf(r.out, "FAIL %s\n%s", k, indent(text))
		r.ended[k] = "fail"
	}
	if e.Action == "skip" {
		return // it has no test files
	}
	fmt.Fprintf(r.out, "%-4s %s (%.1fs)\n", e.Action, k.pkg, e.Elapsed)
}

// blame remembers that the failure of the parents and the package of a test is
// its failure.
func (r *reporter) blame(k key) {
	for test := k.test; test != ""; {
		i := max(strings.LastIndexByte(test, '/'), 0)
		test = test[:i]
		r.blamed[key{k.section, k.pkg, test}] = true
	}
}

// end prints the summary.
func (r *reporter) end() bool {
	for _, k := range sorted(r.output) {
		if k.test != "" {
			fmt.Fprintf(r.out, "FAIL %s: did not end\n%s", k, indent(r.output[k].String()))
			r.ended[k] = "fail"
		}
	}
	count := map[string]int{}
	var skipped []key
	for _, k := range sorted(r.ended) {
		if !r.counts(k) {
			continue
		}
		action := r.ended[k]
		count[action]++
		if action == "skip" {
			skipped = append(skipped, k)
		}
	}
	for _, k := range skipped {
		fmt.Fprintf(r.out, "skip %s: %s\n", k, r.reasons[k])
	}
	if len(r.ended) == 0 {
		fmt.Fprintln(r.out, "no test ran")
	}
	fmt.Fprintf(r.out, "%d passed, %d failed, %d skipped\n", count["pass"], count["fail"], count["skip"])
	return count["fail"] == 0 && count["pass"] > 0
}

// counts reports whether a test stands for itself: a parent is the sum of its
// subtests, and counts only when it has a failure of its own.
func (r *reporter) counts(k key) bool {
	return !r.parents[k] || r.ended[k] != "pass" && !r.blamed[k]
}

func sorted[V any](m map[key]V) []key {
	keys := make([]key, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool { return keys[i].String() < keys[j].String() })
	return keys
}

// reason finds in the output of a skipped test the text given to Skip.
func reason(text string) string {
	var said []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") {
			continue
		}
		// "file_test.go:12: the reason"
		if where, why, ok := strings.Cut(line, ": "); ok && strings.Contains(where, ".go:") {
			line = why
		}
		said = append(said, line)
	}
	if len(said) == 0 {
		return "no reason given"
	}
	return strings.Join(said, " ")
}

func indent(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "=== ") {
			b.WriteString("    " + strings.TrimSuffix(line, "\n") + "\n")
		}
	}
	return b.String()
}
