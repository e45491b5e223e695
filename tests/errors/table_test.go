package errors

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/mocker-runtime/mocker/tests/coverage"
	"github.com/mocker-runtime/mocker/tests/drive"
)

const (
	document = "../../docs/errors.md"
	recorded = "testdata/runc.json" // what runc says, by the rows' input
	reviewed = "runc 1.1.5"         // the runc that was asked
)

var update = flag.Bool("update", false, "write docs/errors.md, and ask runc anew if it is installed")

// row is one line of the table.
type row struct {
	input string // what is wrong, in a user's words
	prep  func(p *place)
	call
	want   string // stderr, without "mocker: " at the beginning of each line
	code   int    // exit code; 0 stands for 1, accepted for 0
	leaves string // what is there afterwards that was not before; "" is nothing
	gone   bool   // the command takes away what prep has made
	v1     bool   // the text is that of a machine with cgroup v1
	plain  bool   // the text is that of a machine without AppArmor
	own    bool   // runc is not asked: the input is mocker's own, or it would harm the machine
}

// accepted is the code of a row whose command succeeds with a warning.
const accepted = -1

func (r *row) exit() int {
	switch r.code {
	case 0:
		return 1
	case accepted:
		return 0
	}
	return r.code
}

func rows() []row {
	var all []row
	for _, part := range parts() {
		all = append(all, part.rows...)
	}
	return all
}

// TestBadInput carries out each row: the exact text, the exit code, and a
// machine that is as it was before the command.
func TestBadInput(t *testing.T) {
	coverage.Shows(t, "create: a config.json that cannot be applied is an error and leaves nothing", "config: an invalid value of a known property is an error",
		"start: an error where process is not set", "state: an error for a container that does not exist")
	if testing.Short() {
		before := drive.TakeSnapshot(t)
		defer func() {
			newPlace(t, drive.Mocker(t), len(rows())).reap()
			before.Unchanged(t)
		}()
	}
	seen := map[string]bool{}
	for n, r := range rows() {
		if seen[r.input] {
			t.Errorf("two rows have the input %q", r.input)
		}
		seen[r.input] = true
		if testing.Short() && n%8 != 0 && strings.HasPrefix(r.want, "config.json: ") {
			continue // told before the kernel is asked anything: a few will do
		}
		t.Run(r.input, func(t *testing.T) {
			if _, err := os.Stat("/sys/fs/cgroup/cgroup.procs"); r.v1 && err == nil {
				t.Skip("needs cgroup v1: this machine has v2 alone")
			}
			if data, err := os.ReadFile("/sys/module/apparmor/parameters/enabled"); r.plain && err == nil && data[0] == 'Y' {
				t.Skip("needs a machine without AppArmor: tests/lsm has the same for one with it")
			}
			p := newPlace(t, drive.Mocker(t), n)
			empty := p.machine()
			if r.prep != nil {
				r.prep(p)
			}
			p.reap()
			before := p.machine()
			got := p.call(r.call)
			want := "mocker: " + strings.ReplaceAll(r.want, "\n", "\nmocker: ")
			if text := p.shrink(got.stderr); text != want || got.code != r.exit() || got.stdout != "" {
				t.Errorf("%s\ngot  exit %d: %s%s\nwant exit %d: %s", strings.Join(r.args, " "), got.code, got.stdout, text, r.exit(), want)
			}
			if r.leaves != "" {
				p.ok("delete", p.id)
			}
			switch {
			case r.leaves != "" || r.gone:
				p.unchanged(empty)
			default:
				p.unchanged(before)
			}
		})
	}
}

// TestDocument holds docs/errors.md to the rows, and with -update writes it.
func TestDocument(t *testing.T) {
	said := map[string]string{}
	data, err := os.ReadFile(recorded)
	if err == nil {
		err = json.Unmarshal(data, &said)
	}
	if err != nil && !*update {
		t.Fatal(err)
	}
	if runc, err := exec.LookPath("runc"); *update && err == nil {
		said = askRunc(t, runc)
	}
	text := markdown(t, said)
	if *update {
		if err := os.WriteFile(document, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	committed, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(committed) {
		t.Errorf("docs/errors.md is not what the rows say: go test ./tests/errors -run TestDocument -update")
	}
}

// askRunc gives runc the same input, and records what it says.
func askRunc(t *testing.T, runc string) map[string]string {
	t.Helper()
	said := map[string]string{}
	for n, r := range rows() {
		if r.own {
			continue
		}
		t.Run(r.input, func(t *testing.T) {
			p := newPlace(t, runc, n)
			if r.prep != nil {
				r.prep(p)
			}
			got := p.call(r.call)
			said[r.input] = fmt.Sprintf("%s (exit %d)", plain(p.shrink(got.stderr)), got.code)
		})
	}
	data, err := json.MarshalIndent(said, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(recorded, append(data, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
	return said
}

// plain takes the messages out of runc's log lines, and out of them what is
// another one with every run.
func plain(stderr string) string {
	var said []string
	for line := range strings.Lines(stderr) {
		line = strings.TrimSpace(line)
		if _, rest, ok := strings.Cut(line, " msg="); ok && strings.HasPrefix(line, "time=") {
			line = rest
			if s, err := strconv.Unquote(rest); err == nil {
				line = s
			}
		}
		if line != "" {
			said = append(said, strings.ReplaceAll(line, "\n", " "))
		}
	}
	text := strings.Join(said, "; ")
	for _, number := range []struct{ pattern, name string }{
		{`nsexec(-\d)?\[\d+\]`, "nsexec"},
		{`(/sys/fs/cgroup/\w+)/\S*\$ID`, "$1/.../$$ID"},
		{`/proc/self/fd/\d+`, "/proc/self/fd/N"},
		{`/proc/\d+/`, "/proc/PID/"},
		{`fd \d+`, "fd N"},
		{`#\d+`, "#N"},
	} {
		text = regexp.MustCompile(number.pattern).ReplaceAllString(text, number.name)
	}
	const most = 300
	if len(text) > most {
		text = text[:most] + "..."
	}
	if text == "" {
		text = "nothing"
	}
	return text
}

// markdown is docs/errors.md.
func markdown(t *testing.T, said map[string]string) string {
	var b strings.Builder
	b.WriteString("# What mocker says to bad input\n\n" +
		"Each line of an answer begins with `mocker: `, which is left out here. Nothing goes to stdout. `$BUNDLE` is the bundle,\n" +
		"`$ID` the container, `$DIR` another directory. \"Left behind\" is the difference between the machine before the\n" +
		"command and after it: links, routes, rules, sysctls, cgroups, mounts, processes, keyrings, state and temporary files.\n\n" +
		"`go test ./tests/errors` carries out each line of these tables, and `-run TestDocument -update` writes this file.\n")
	for _, part := range parts() {
		fmt.Fprintf(&b, "\n## %s\n\n| input | mocker says | exit | left behind | what %s says |\n|---|---|---|---|---|\n", part.title, reviewed)
		for _, r := range part.rows {
			runc, ok := said[r.input]
			switch {
			case r.own:
				runc = "–"
			case !ok:
				t.Errorf("what runc says to %q was not recorded: run with -update where runc is installed", r.input)
			}
			leaves := r.leaves
			if leaves == "" {
				leaves = "nothing"
			}
			fmt.Fprintf(&b, "| %s: `%s` | %s | %d | %s | %s |\n",
				cell(r.input), cell(strings.Join(quoted(r.args), " ")), cell(r.want), r.exit(), leaves, cell(runc))
		}
	}
	return b.String()
}

func quoted(args []string) []string {
	var list []string
	for _, arg := range args {
		if arg == "" || strings.ContainsAny(arg, " ") {
			arg = "'" + arg + "'"
		}
		list = append(list, arg)
	}
	return list
}

// cell makes a text fit for a cell of a Markdown table.
func cell(text string) string {
	return strings.NewReplacer(strings.Repeat("x", 256), "xxx...", "\n", "<br>", "|", `\|`, "<", "&lt;", ">", "&gt;", "*", `\*`).Replace(text)
}
