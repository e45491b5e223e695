// Command plot draws what bench has measured: "plot RESULTS.json DIRECTORY"
// writes SVG files. It is a module of its own, so that mocker does not depend
// on what it takes to draw.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// results are what is drawn of the results of bench.
type results struct {
	Runtimes []struct{ Name string }
	Series   []series
	Goals    map[string]map[string]float64
	Figures  []struct {
		Axis, View, Runtime, Error string
		Value                      float64
	}
}

type series struct {
	View   string
	Pause  int
	Docker bool
	Times  map[string]map[string][]float64
}

// phases in the order of the axis.
var phases = []string{"create + start + delete", "run", "create", "start", "state", "kill", "delete", "exec", "delete --force"}

var colors = []color.Color{
	color.RGBA{0x1b, 0x6c, 0xa8, 0xff}, color.RGBA{0xe0, 0x8e, 0x2b, 0xff},
	color.RGBA{0x7a, 0x9e, 0x4d, 0xff}, color.RGBA{0x99, 0x5d, 0x81, 0xff},
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: plot RESULTS.json DIRECTORY")
		os.Exit(1)
	}
	if err := drawAll(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintf(os.Stderr, "plot: %v\n", err)
		os.Exit(1)
	}
}

func drawAll(file, dir string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var r results
	if err := json.Unmarshal(data, &r); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if len(r.Runtimes) == 0 {
		return errors.New(file + " has no runtimes")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	plot.DefaultFont.Variant = "Sans"
	plotter.DefaultFont.Variant = "Sans"
	for _, s := range r.Series {
		if err := r.times(s, dir); err != nil {
			return err
		}
	}
	if err := r.memory(dir); err != nil {
		return err
	}
	return r.ratios(dir)
}

// name of a setting in the name of a file, and for people.
func (s series) name() (file, title string) {
	file, title = s.View, "cgroup "+s.View
	if s.Docker {
		file, title = file+"-docker", title+", Docker's seccomp profile and limits"
	}
	if s.Pause > 0 {
		file, title = file+"-pause", title+fmt.Sprintf(", %d ms of pause before each", s.Pause)
	}
	return file, title
}

// bars is a group of bars for each label, a bar for each runtime.
type bars struct {
	title, axis string
	labels      []string
	values      map[string][]float64 // by runtime; NaN where there is none
	names       []string             // of the runtimes, in order
	goals       map[string][]float64 // marks over the bars, by runtime; NaN where there is none
	line        float64              // across, if not 0
	lineName    string
}

func (b bars) draw(path string) error {
	p := plot.New()
	p.Title.Text, p.Y.Label.Text = b.title, b.axis
	p.Title.TextStyle.Font.Size = 14
	p.Title.Padding = vg.Points(10)
	p.Legend.Top = true
	p.Y.Min = 0
	width := vg.Points(42 / float64(len(b.names)))
	most := b.line
	for i, name := range b.names {
		values := make(plotter.Values, len(b.labels))
		labels := plotter.XYLabels{XYs: make(plotter.XYs, len(b.labels)), Labels: make([]string, len(b.labels))}
		for j, v := range b.values[name] {
			labels.XYs[j].X = float64(j)
			if !math.IsNaN(v) {
				values[j], labels.XYs[j].Y, labels.Labels[j] = v, v, short(v)
				most = max(most, v)
			}
		}
		chart, err := plotter.NewBarChart(values, width)
		if err != nil {
			return err
		}
		chart.Color, chart.LineStyle.Width = colors[i%len(colors)], 0
		chart.Offset = width * vg.Length(float64(i)-float64(len(b.names)-1)/2)
		numbers, err := plotter.NewLabels(labels)
		if err != nil {
			return err
		}
		numbers.Offset = vg.Point{X: chart.Offset, Y: vg.Points(2)}
		for j := range numbers.TextStyle {
			numbers.TextStyle[j].Font.Size = 7
			numbers.TextStyle[j].XAlign = text.XCenter
		}
		p.Add(chart, numbers)
		p.Legend.Add(name, chart)
	}
	p.Y.Max = most * 1.15
	if b.line > 0 {
		line := plotter.NewFunction(func(float64) float64 { return b.line })
		line.Color, line.Width, line.Dashes = color.Gray{0x60}, vg.Points(1), []vg.Length{vg.Points(4), vg.Points(3)}
		p.Add(line)
		p.Legend.Add(b.lineName, line)
	}
	if err := b.addGoals(p, width); err != nil {
		return err
	}
	p.NominalX(b.labels...)
	p.X.Min, p.X.Max = -0.6, float64(len(b.labels))-0.3
	return save(p, path, vg.Length(len(b.labels))*vg.Points(82)+vg.Points(60))
}

// addGoals marks how high a bar was meant to be.
func (b bars) addGoals(p *plot.Plot, width vg.Length) error {
	if b.goals == nil {
		return nil
	}
	for i, name := range b.names {
		var marks plotter.XYLabels
		for j, v := range b.goals[name] {
			if !math.IsNaN(v) {
				marks.XYs = append(marks.XYs, plotter.XY{X: float64(j), Y: v})
				marks.Labels = append(marks.Labels, "—")
			}
		}
		labels, err := plotter.NewLabels(marks)
		if err != nil {
			return err
		}
		labels.Offset = vg.Point{X: width * vg.Length(float64(i)-float64(len(b.names)-1)/2)}
		for j := range labels.TextStyle {
			labels.TextStyle[j].Font.Size = 22
			labels.TextStyle[j].XAlign, labels.TextStyle[j].YAlign = text.XCenter, -0.31 // where a dash is in its line
		}
		p.Add(labels)
	}
	sign, err := plotter.NewLine(plotter.XYs{{}, {}})
	if err != nil {
		return err
	}
	sign.Width = vg.Points(1.5)
	p.Legend.Add("goal", sign)
	return nil
}

// short writes a number with two digits that count.
func short(v float64) string {
	switch {
	case v >= 10:
		return fmt.Sprintf("%.0f", v)
	case v >= 1:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func save(p *plot.Plot, path string, width font.Length) error {
	canvas := vgsvg.NewWith(vgsvg.UseWH(width, vg.Points(300)))
	p.Draw(draw.New(canvas))
	var svg bytes.Buffer
	if _, err := canvas.WriteTo(&svg); err != nil {
		return err
	}
	// Few machines have the font that the library measures with.
	text := strings.ReplaceAll(svg.String(), "font-family:Liberation Sans;", "font-family:Liberation Sans,Arial,Helvetica,sans-serif;")
	return os.WriteFile(path, []byte(text), 0o644)
}

func (r results) names() (list []string) {
	for _, rt := range r.Runtimes {
		list = append(list, rt.Name)
	}
	return list
}

// times draws the medians of one setting.
func (r results) times(s series, dir string) error {
	file, title := s.name()
	b := bars{title: title, axis: "milliseconds, less is better", labels: phases, values: map[string][]float64{}, names: r.names()}
	some := false
	for _, name := range b.names {
		for _, phase := range phases {
			list := s.Times[phase][name]
			b.values[name] = append(b.values[name], median(list))
			some = some || len(list) > 0
		}
	}
	if !some {
		return nil
	}
	return b.draw(filepath.Join(dir, "times-"+file+".svg"))
}

// ratios draws the first runtime's times as parts of the others', in the first
// setting.
func (r results) ratios(dir string) error {
	if len(r.Series) == 0 || len(r.Runtimes) < 2 {
		return nil
	}
	own, s := r.Runtimes[0].Name, r.Series[0]
	_, title := s.name()
	b := bars{
		title: own + "'s time as a part of others', " + title, axis: "ratio, less is better",
		labels: phases, values: map[string][]float64{}, line: 1, lineName: "as fast", goals: map[string][]float64{},
	}
	for _, peer := range r.names()[1:] {
		name := "of " + peer
		b.names = append(b.names, name)
		for _, phase := range phases {
			var list []float64
			for i := range min(len(s.Times[phase][own]), len(s.Times[phase][peer])) {
				list = append(list, s.Times[phase][own][i]/s.Times[phase][peer][i])
			}
			b.values[name] = append(b.values[name], median(list))
			goal, ok := r.Goals[phase][peer]
			if !ok {
				goal = math.NaN()
			}
			b.goals[name] = append(b.goals[name], goal)
		}
	}
	return b.draw(filepath.Join(dir, "ratios.svg"))
}

// memory draws peaks and what a waiting container takes.
func (r results) memory(dir string) error {
	b := bars{title: "Memory", axis: "MiB, less is better", values: map[string][]float64{}, names: r.names()}
	some := false
	for _, row := range [][2]string{
		{"private memory of a container between create and start", "waiting container"},
		{"peak resident memory of create", "peak of create"},
		{"peak resident memory of start", "peak of start"},
		{"peak resident memory of run", "peak of run"},
		{"peak resident memory of exec", "peak of exec"},
		{"peak resident memory of list", "peak of list"},
		{"size of the binary", "binary"},
	} {
		b.labels = append(b.labels, row[1])
		for _, name := range b.names {
			value := math.NaN()
			for _, f := range r.Figures {
				if f.Axis == row[0] && f.Runtime == name && f.Error == "" && f.View == r.Figures[0].View {
					value, some = f.Value, true
				}
			}
			b.values[name] = append(b.values[name], value)
		}
	}
	if !some {
		return nil
	}
	return b.draw(filepath.Join(dir, "memory.svg"))
}

// median of a list, NaN of none.
func median(list []float64) float64 {
	if len(list) == 0 {
		return math.NaN()
	}
	list = slices.Sorted(slices.Values(list))
	n := len(list)
	return (list[(n-1)/2] + list[n/2]) / 2
}
