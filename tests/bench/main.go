// Command bench times mocker beside other runtimes, as a black box: it runs
// the built binaries and knows nothing of what is inside. "make bench" runs it.
//
//	bench [FLAG]... [NAME=]RUNTIME...
//
// The first runtime is the one that is compared with the others. All get the
// same bundles and take turns (A B C A B C). What it makes is in network and
// mount namespaces of its own, with an empty /run; cgroups go with the
// containers.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// options are what the command line says.
type options struct {
	rounds, pauseRounds, warmUp int
	pause                       time.Duration
	count, jobs                 int
	views, parts                string
	profile                     string
	json, docs, note            string
	render                      bool
	runtimes                    []Runtime
}

const allParts = "life,memory,crowd,calls,hook"

func parse(args []string) (*options, error) {
	o := new(options)
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.IntVar(&o.rounds, "rounds", 30, "turns of each runtime without pauses")
	f.IntVar(&o.pauseRounds, "pause-rounds", 10, "turns of each runtime with pauses")
	f.IntVar(&o.warmUp, "warm-up", 2, "turns before that, which do not count")
	f.DurationVar(&o.pause, "pause", 200*time.Millisecond, "pause before each command, where there are pauses")
	f.IntVar(&o.count, "count", 200, "containers in the crowd")
	f.IntVar(&o.jobs, "jobs", 8, "commands at a time in the crowd")
	f.StringVar(&o.views, "views", "v1,v2", "views of the cgroups: v1, v2")
	f.StringVar(&o.parts, "parts", allParts, "what is measured")
	f.StringVar(&o.profile, "profile", "libcontainer/seccomp/testdata/docker.json", "the Docker default seccomp profile, as in linux.seccomp")
	f.StringVar(&o.json, "json", "dist/bench/results.json", "file for the results")
	f.StringVar(&o.docs, "docs", "", "document whose table is replaced")
	f.StringVar(&o.note, "note", "", "what else is to be said of the machine")
	f.BoolVar(&o.render, "render", false, "measure nothing: write the table of what -json has")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	known := strings.Split(allParts, ",")
	for part := range strings.SplitSeq(o.parts, ",") {
		if !slices.Contains(known, part) {
			return nil, fmt.Errorf("-parts: %q is none of %s", part, allParts)
		}
	}
	for view := range strings.SplitSeq(o.views, ",") {
		if view != "v1" && view != "v2" {
			return nil, fmt.Errorf("-views: %q is neither v1 nor v2", view)
		}
	}
	if o.rounds < 1 || o.pauseRounds < 0 || o.warmUp < 0 || o.count < 1 || o.jobs < 1 {
		return nil, errors.New("-rounds, -count and -jobs must be 1 or more, -pause-rounds and -warm-up not below 0")
	}
	if o.render {
		return o, nil
	}
	if f.NArg() == 0 {
		return nil, errors.New("which runtimes? usage: bench [FLAG]... [NAME=]RUNTIME")
	}
	for _, arg := range f.Args() {
		r, err := findRuntime(arg)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(o.runtimes, func(other Runtime) bool { return other.Name == r.Name }) {
			return nil, fmt.Errorf("two runtimes called %s: name one of them, as in other=%s", r.Name, r.Path)
		}
		o.runtimes = append(o.runtimes, r)
	}
	return o, nil
}

func (o *options) wants(part string) bool {
	return slices.Contains(strings.Split(o.parts, ","), part)
}

func main() {
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		if view := os.Getenv(viewVariable); view != "" {
			err = inView(o, view)
		} else {
			err = measure(o)
		}
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// measure measures in each view and puts it all together.
func measure(o *options) error {
	if o.render {
		r, err := readResults(o.json)
		if err != nil || o.docs == "" {
			return err
		}
		return writeDocs(o.docs, r)
	}
	if os.Getuid() != 0 {
		return errors.New("it makes containers with cgroups and needs root")
	}
	r := &Results{Machine: thisMachine(), Runtimes: o.runtimes, Command: strings.Join(os.Args, " "), Goals: map[string]map[string]float64{}}
	for phase, g := range goals {
		r.Goals[phase] = map[string]float64{"crun": g.crun, "runc": g.runc}
	}
	r.Machine.Note = o.note
	started := time.Now()
	for view := range strings.SplitSeq(o.views, ",") {
		if why := lacks(view); why != "" {
			fmt.Fprintf(os.Stderr, "bench: no %s: %s\n", view, why)
			continue
		}
		part, err := sendInto(view)
		if err != nil {
			return fmt.Errorf("in the view %s: %w", view, err)
		}
		r.merge(part)
	}
	r.Took = time.Since(started).Seconds()
	r.Machine.LoadAfter = load()
	if err := os.MkdirAll(filepath.Dir(o.json), 0o755); err != nil {
		return err
	}
	if err := r.write(o.json); err != nil {
		return err
	}
	if o.docs == "" {
		fmt.Print(table(r))
	} else if err := writeDocs(o.docs, r); err != nil {
		return err
	}
	if len(r.Failures) > 0 {
		return errors.New("not all was measured: " + strings.Join(r.Failures, "; "))
	}
	return nil
}

// inView is what the process in a view does: all that is wanted there.
func inView(o *options, view string) (err error) {
	if err := settle(view); err != nil {
		return fmt.Errorf("prepare the namespaces: %w", err)
	}
	b, err := newBench(o, view)
	if err != nil {
		return err
	}
	defer b.close()
	for _, part := range []struct {
		name string
		do   func() error
		once bool // the view of the cgroups makes no difference to it
	}{
		{"life", b.lives, false},
		{"memory", b.memory, false},
		{"crowd", b.crowds, true},
		{"calls", b.calls, true},
		{"hook", b.hook, true},
	} {
		if !o.wants(part.name) || part.once && view != strings.Split(o.views, ",")[0] {
			continue
		}
		fmt.Fprintf(os.Stderr, "bench: %s: %s\n", view, part.name)
		if err := part.do(); err != nil {
			// What the other parts find is not lost.
			b.results.Failures = append(b.results.Failures, fmt.Sprintf("%s, %s: %v", part.name, view, err))
		}
	}
	return b.results.write(os.Getenv(partVariable))
}

// findRuntime takes NAME=PATH or a path or name.
func findRuntime(arg string) (Runtime, error) {
	name, path, named := strings.Cut(arg, "=")
	if !named {
		name, path = filepath.Base(arg), arg
	}
	found, err := exec.LookPath(path)
	if err != nil {
		return Runtime{}, err
	}
	if found, err = filepath.Abs(found); err != nil {
		return Runtime{}, err
	}
	info, err := os.Stat(found)
	if err != nil {
		return Runtime{}, err
	}
	r := Runtime{Name: name, Path: found, Size: info.Size()}
	out, err := exec.Command(found, "--version").Output()
	if err != nil {
		return Runtime{}, fmt.Errorf("%s --version: %w", found, err)
	}
	r.Version, _, _ = strings.Cut(strings.TrimSpace(string(out)), "\n")
	return r, nil
}
