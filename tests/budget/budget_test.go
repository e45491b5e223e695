package budget

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/mocker-runtime/mocker/tests/drive"
)

var update = flag.Bool("update", false, "write testdata/budget.json as it is now")

const file = "testdata/budget.json"

const howTo = "If that is meant, write the budget anew, in the same commit: make budget"

// budget is the content of testdata/budget.json.
type budget struct {
	Binary int             `json:"bytes of the stripped binary"`
	Cgroup map[string]int  `json:"calls for a cgroup with limits per hierarchy"` // by the kind of machine, v1 or v2
	Start  start           `json:"before main"`
	Verbs  map[string]cost `json:"verbs"`
}

// start is what happens before main.
type start struct {
	Bytes    int      `json:"bytes allocated"`
	Packages []string `json:"packages that do something"`
}

// cost is what one command costs.
type cost struct {
	Outside   map[string]int `json:"system calls outside"`
	Inside    map[string]int `json:"system calls inside"`
	Processes int            `json:"processes made"`
	Threads   int            `json:"threads made"`
	Execs     int            `json:"programs executed"`
	Bytes     int            `json:"bytes allocated"`
}

func TestMain(m *testing.M) { drive.Main(m) }

// rounds are how often what is too much is counted again, before it is: a
// thread that was interrupted makes a call twice.
const rounds = 5

// TestBudget counts, and compares.
func TestBudget(t *testing.T) {
	drive.MockersOwn(t, "it is mocker's budget")
	if runtime.GOARCH != "amd64" {
		t.Skipf("needs amd64: the system calls of %s have other names", runtime.GOARCH)
	}
	t.Setenv("TMPDIR", "/tmp") // each directory of a path is looked at
	allowed := read(t)
	now := count(t)
	for round := 1; round < rounds && (*update || len(compare(allowed, now)) > 0); round++ {
		now = least(now, count(t))
	}
	if *update {
		maps.Copy(now.Cgroup, missing(allowed.Cgroup, now.Cgroup))
		write(t, now)
		return
	}
	for _, problem := range compare(allowed, now) {
		t.Error(problem)
	}
	if t.Failed() {
		t.Error(howTo)
	}
}

// TestCompare: what grows is seen, whatever it is, and what does not is not.
func TestCompare(t *testing.T) {
	allowed := read(t)
	if problems := compare(allowed, allowed); len(problems) != 0 {
		t.Fatalf("the budget exceeds itself: %q", problems)
	}
	grow := map[string]func(*budget){
		"the binary":             func(b *budget) { b.Binary += b.Binary / 10 },
		"a cgroup":               func(b *budget) { b.Cgroup["v1"] *= 2 },
		"memory before main":     func(b *budget) { b.Start.Bytes *= 2 },
		"a package":              func(b *budget) { b.Start.Packages = append(b.Start.Packages, "new") },
		"calls outside":          func(b *budget) { b.Verbs["create"].Outside["openat"]++ },
		"a new call outside":     func(b *budget) { b.Verbs["state"].Outside["new"]++ },
		"calls inside":           func(b *budget) { b.Verbs["exec"].Inside["open"]++ },
		"a new call inside":      func(b *budget) { b.Verbs["exec"].Inside["new"]++ },
		"processes":              func(b *budget) { change(b, func(c *cost) { c.Processes++ }) },
		"threads":                func(b *budget) { change(b, func(c *cost) { c.Threads += 10 }) },
		"programs":               func(b *budget) { change(b, func(c *cost) { c.Execs++ }) },
		"memory":                 func(b *budget) { change(b, func(c *cost) { c.Bytes *= 2 }) },
		"a verb without a limit": func(b *budget) { b.Verbs["new"] = cost{} },
	}
	for name, change := range grow {
		now := read(t)
		change(&now)
		if problems := compare(allowed, now); len(problems) != 1 {
			t.Errorf("%s: %d problems: %q", name, len(problems), problems)
		}
		if problems := compare(allowed, least(now, allowed)); name != "a verb without a limit" && len(problems) != 0 {
			t.Errorf("%s: the least of two is still too much: %q", name, problems)
		}
	}
}

func change(b *budget, how func(*cost)) {
	c := b.Verbs["start"]
	how(&c)
	b.Verbs["start"] = c
}

func read(t *testing.T) budget {
	t.Helper()
	var b budget
	data, err := os.ReadFile(file)
	if os.IsNotExist(err) && *update {
		return b
	}
	if err == nil {
		err = json.Unmarshal(data, &b)
	}
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return b
}

func write(t *testing.T, b budget) {
	t.Helper()
	data, err := json.MarshalIndent(b, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(data, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

// missing are the entries of one map that another has not.
func missing(from, in map[string]int) map[string]int {
	rest := maps.Clone(from)
	maps.DeleteFunc(rest, func(key string, _ int) bool { _, ok := in[key]; return ok })
	return rest
}

// compare lists what is more than is allowed.
func compare(allowed, now budget) (problems []string) {
	more := func(what string, got, most int) {
		if got > most {
			problems = append(problems, fmt.Sprintf("%s: %d, %d allowed", what, got, most))
		}
	}
	more("bytes of the stripped binary", now.Binary, percent(allowed.Binary, 2)) // other patches of Go
	for place, n := range now.Cgroup {
		more("calls for a cgroup on "+place+", for each hierarchy", n, percent(allowed.Cgroup[place], 10))
	}
	more("bytes allocated before main", now.Start.Bytes, percent(allowed.Start.Bytes, 5))
	for _, name := range now.Start.Packages {
		if !slices.Contains(allowed.Start.Packages, name) {
			problems = append(problems, fmt.Sprintf("package %s does something before main", name))
		}
	}
	for _, verb := range slices.Sorted(maps.Keys(now.Verbs)) {
		got, limit := now.Verbs[verb], allowed.Verbs[verb]
		if reflect.DeepEqual(limit, cost{}) {
			problems = append(problems, verb+": has no budget")
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(got.Outside)) {
			more(verb+": "+name, got.Outside[name], limit.Outside[name])
		}
		for _, name := range slices.Sorted(maps.Keys(got.Inside)) {
			more(verb+": "+name+" inside", got.Inside[name], limit.Inside[name])
		}
		more(verb+": processes", got.Processes, limit.Processes)
		more(verb+": threads", got.Threads, limit.Threads+3) // the runtime makes one when all others are in a call
		more(verb+": programs executed", got.Execs, limit.Execs)
		more(verb+": bytes allocated", got.Bytes, percent(limit.Bytes, 10))
	}
	return problems
}

// percent is n and so many percent.
func percent(n, more int) int { return n + n*more/100 }

// least is the lesser of two counts, one by one.
func least(a, b budget) budget {
	c := budget{
		Binary: min(a.Binary, b.Binary), Cgroup: leastOf(a.Cgroup, b.Cgroup),
		Start: start{Bytes: min(a.Start.Bytes, b.Start.Bytes)}, Verbs: map[string]cost{},
	}
	for _, name := range a.Start.Packages {
		if slices.Contains(b.Start.Packages, name) {
			c.Start.Packages = append(c.Start.Packages, name)
		}
	}
	for verb, x := range a.Verbs {
		y, ok := b.Verbs[verb]
		if !ok {
			y = x
		}
		c.Verbs[verb] = cost{
			Outside: leastOf(x.Outside, y.Outside), Inside: leastOf(x.Inside, y.Inside),
			Processes: min(x.Processes, y.Processes), Threads: min(x.Threads, y.Threads),
			Execs: min(x.Execs, y.Execs), Bytes: min(x.Bytes, y.Bytes),
		}
	}
	return c
}

func leastOf(a, b map[string]int) map[string]int {
	c := map[string]int{}
	for name, n := range a {
		if n = min(n, b[name]); n > 0 {
			c[name] = n
		}
	}
	return c
}

// isRuntimes reports whether the Go runtime makes a call when it sees fit, or
// the length of the machine's files decides how often it is made.
func isRuntimes(name string) bool {
	return strings.HasPrefix(name, "rt_sig") || strings.HasPrefix(name, "sched_") || strings.HasPrefix(name, "epoll_") ||
		slices.Contains([]string{
			"futex", "nanosleep", "madvise", "mmap", "munmap", "mprotect", "brk", "clone", "getpid", "gettid", "tgkill",
			"sigaltstack", "restart_syscall", "set_robust_list", "clock_gettime", "exit", "read", "pread64", "getdents64",
		}, name)
}
