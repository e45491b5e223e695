package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

const begin, finish = "<!-- bench -->\n", "<!-- /bench -->\n"

// writeDocs replaces the table in a document.
func writeDocs(path string, r *Results) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok1 := strings.Cut(string(text), begin)
	_, after, ok2 := strings.Cut(rest, finish)
	if !ok1 || !ok2 {
		return fmt.Errorf("%s has no marks %q and %q", path, begin, finish)
	}
	return os.WriteFile(path, []byte(before+begin+table(r)+finish+after), 0o644)
}

// table is all results for people.
func table(r *Results) string {
	var b strings.Builder
	m := r.Machine
	fmt.Fprintf(&b, "\nMeasured on %s, in %.0f s: Linux %s, %d × %s, %d MiB. Load (1, 5, 15 minutes) before: %s; after: %s.\n\n",
		m.Date, r.Took, m.Kernel, m.CPUs, m.CPU, m.MemoryMiB, m.LoadBefore, m.LoadAfter)
	if !m.quiet() {
		b.WriteString("**The machine was not quiet.** Others had work to do on it, so no time here is what a\nquiet machine gives; ratios suffer less. What counts memory is not concerned.\n\n")
	}
	if m.Note != "" {
		fmt.Fprintf(&b, "%s\n\n", m.Note)
	}
	for _, rt := range r.Runtimes {
		fmt.Fprintf(&b, "- %s: %s\n", rt.Name, rt.Version)
	}
	for _, failure := range r.Failures {
		fmt.Fprintf(&b, "\n**Not measured to its end:** `%s`\n", oneLine(failure))
	}
	for _, s := range r.Series {
		seriesTable(&b, r, s)
	}
	figureTable(&b, r)
	hookTable(&b, r)
	return b.String() + "\n"
}

// row writes a line of a table.
func row(b *strings.Builder, cells ...string) {
	fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
}

func rule(b *strings.Builder, columns int) {
	fmt.Fprintf(b, "|%s\n", strings.Repeat("---|", columns))
}

// seriesTable has a row for each phase: the medians, and the ratios with their
// goals.
func seriesTable(b *strings.Builder, r *Results, s *Series) {
	own, peers := r.Runtimes[0], r.Runtimes[1:]
	fmt.Fprintf(b, "\n### Times: %s\n\n", s.title())
	if s.Note != "" {
		fmt.Fprintf(b, "Here it is %s.\n\n", s.Note)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Errors)) {
		fmt.Fprintf(b, "%s cannot run here, or not to the end: `%s`\n\n", name, oneLine(s.Errors[name]))
	}
	header := []string{"phase, ms"}
	for _, rt := range r.Runtimes {
		header = append(header, rt.Name)
	}
	for _, peer := range peers {
		header = append(header, "of "+peer.Name)
	}
	row(b, header...)
	rule(b, len(header))
	for _, phase := range phases {
		cells := []string{phase}
		for _, rt := range r.Runtimes {
			cells = append(cells, medianCell(s.Times[phase][rt.Name]))
		}
		for _, peer := range peers {
			cells = append(cells, ratioCell(s, phase, own.Name, peer.Name))
		}
		row(b, cells...)
	}
	if floor := s.Times["run"][floorName]; len(floor) > 0 {
		fmt.Fprintf(b, "\nThe floor, a C program with only the system calls: %s ms", medianCell(floor))
		if times, ok := ratio(s.Times["run"][own.Name], floor); ok {
			fmt.Fprintf(b, "; `run` takes %s", judged(times, floorGoal, times <= floorGoal))
		}
		b.WriteString(" times that.\n")
	}
}

func medianCell(list []float64) string {
	if len(list) == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", median(list))
}

func ratioCell(s *Series, phase, own, peer string) string {
	value, ok := ratio(s.Times[phase][own], s.Times[phase][peer])
	if !ok {
		return "–"
	}
	most := goalOf(s, phase, peer)
	if most == 0 {
		return fmt.Sprintf("%.2f", value)
	}
	return judged(value, most, value <= most)
}

// judged is a value with its goal. What has not reached it stands out.
func judged(value, most float64, reached bool) string {
	if reached {
		return fmt.Sprintf("%.2f (goal %g)", value, most)
	}
	return fmt.Sprintf("**%.2f** (goal %g: not reached)", value, most)
}

// oneLine keeps an error from breaking the document.
func oneLine(text string) string {
	text = strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "`", "'")
	if len(text) > 200 {
		text = text[:200] + "..."
	}
	return text
}

// figureTable has a row for each axis and view.
func figureTable(b *strings.Builder, r *Results) {
	own := r.Runtimes[0].Name
	var rows [][]string
	var notes []string
	told := map[string]bool{}
	for _, a := range axes() {
		for _, view := range []string{"v1", "v2"} {
			values, unit := map[string]float64{}, ""
			for _, f := range r.Figures {
				if f.Axis != a.name || f.View != view {
					continue
				}
				unit = f.Unit
				if f.Error == "" {
					values[f.Runtime] = f.Value
					continue
				}
				cause := fmt.Sprintf("%s, cgroup %s: `%s`", f.Runtime, view, oneLine(f.Error))
				if !told[cause] { // several rows may lack something for one reason
					notes = append(notes, a.name+", "+cause)
				}
				told[cause] = true
			}
			if unit != "" {
				rows = append(rows, figureRow(r, a, view, unit, values))
			}
		}
	}
	if len(rows) == 0 {
		return
	}
	b.WriteString("\n### Memory, size, system calls, crowds\n\n")
	for _, f := range r.Figures {
		if f.Axis == crowdSize {
			fmt.Fprintf(b, "The crowd is %g %s.\n\n", f.Value, f.Unit)
		}
	}
	header := []string{"what", "view", "unit"}
	for _, rt := range r.Runtimes {
		header = append(header, rt.Name)
	}
	header = append(header, "goal for "+own)
	row(b, header...)
	rule(b, len(header))
	for _, cells := range rows {
		row(b, cells...)
	}
	if len(notes) > 0 {
		b.WriteString("\nNot measured:\n\n")
		for _, note := range notes {
			fmt.Fprintf(b, "- %s\n", note)
		}
	}
}

func figureRow(r *Results, a axis, view, unit string, values map[string]float64) []string {
	cells := []string{a.name, view, unit}
	for _, rt := range r.Runtimes {
		value, ok := values[rt.Name]
		switch {
		case !ok:
			cells = append(cells, "–")
		case unit == "KiB" || unit == "ns" && value >= 1000:
			cells = append(cells, fmt.Sprintf("%.0f", value))
		case value < 0.1:
			cells = append(cells, fmt.Sprintf("%.3f", value))
		default:
			cells = append(cells, fmt.Sprintf("%.2f", value))
		}
	}
	return append(cells, verdict(a, r.Runtimes[0].Name, values))
}

// verdict says what the goal is and whether it was reached.
func verdict(a axis, own string, values map[string]float64) string {
	value, ok := values[own]
	goal := a.goal
	var reached bool
	switch {
	case a.reached != nil:
		peers := maps.Clone(values)
		delete(peers, own)
		var known bool
		reached, known = a.reached(value, peers)
		ok = ok && known
	case a.most > 0:
		goal, reached = fmt.Sprintf("%g or less", a.most), value <= a.most
	default:
		return ""
	}
	switch {
	case !ok:
		return goal + ": not measured"
	case reached:
		return goal + ": reached"
	}
	return "**" + goal + ": not reached**"
}

// hookTable compares the network hook with the script.
func hookTable(b *strings.Builder, r *Results) {
	values := map[string]map[string]float64{}
	var order, whose []string
	for _, f := range r.Figures {
		if !slices.Contains([]string{hookRun, hookFirst, hookNext, hookDown, hookLast, hookStart, hookLinks, hookRules}, f.Axis) || f.Error != "" {
			continue
		}
		if values[f.Axis] == nil {
			values[f.Axis] = map[string]float64{}
			order = append(order, f.Axis)
		}
		if !slices.Contains(whose, f.Runtime) {
			whose = append(whose, f.Runtime)
		}
		values[f.Axis][f.Runtime] = f.Value
	}
	if len(order) == 0 {
		return
	}
	b.WriteString("\n### The network hook\n\nThe goal is to be ahead of the script.\n\n")
	row(b, append([]string{"ms"}, whose...)...)
	rule(b, len(whose)+1)
	for _, axis := range order {
		cells := []string{axis}
		for _, name := range whose {
			if value, ok := values[axis][name]; ok {
				cells = append(cells, fmt.Sprintf("%.2f", value))
			} else {
				cells = append(cells, "–")
			}
		}
		row(b, cells...)
	}
}
