package devcg

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	devices "github.com/opencontainers/cgroups/devices/config"
	"golang.org/x/sys/unix"
)

// rules reads "+ c 1:3 rw; - a *:* rwm": + allows.
func rules(t testing.TB, text string) []*devices.Rule {
	t.Helper()
	var list []*devices.Rule
	for part := range strings.SplitSeq(text, ";") {
		fields := strings.FieldsFunc(part, func(r rune) bool { return r == ' ' || r == ':' })
		if len(fields) == 0 {
			continue
		}
		rule := &devices.Rule{Allow: fields[0] == "+", Type: devices.Type(fields[1][0]), Permissions: devices.Permissions(fields[4])}
		for i, to := range []*int64{&rule.Major, &rule.Minor} {
			if *to = devices.Wildcard; fields[2+i] != "*" {
				if _, err := fmt.Sscan(fields[2+i], to); err != nil {
					t.Fatal(err)
				}
			}
		}
		list = append(list, rule)
	}
	return list
}

const denyAll, allowAll = "- a *:* rwm; ", "+ a *:* rwm; "

func TestCompile(t *testing.T) {
	for _, row := range []struct{ rules, want string }{
		{"", `false ""`},
		{denyAll, `false ""`},
		{allowAll, `true ""`},
		{"+ c 1:3 rwm", `false "c 1:3 rwm"`},
		{"+ b 8:* mr; + c 1:3 w; + c 1:3 r", `false "b 8:* rm, c 1:3 rw"`},
		{"+ c 1:3 rw; + a *:* rwm; - c 1:5 m; - a *:* rwm; + c 1:7 r", `false "c 1:7 r"`},
		{"- c 1:3 rw", `false ""`},
		{"+ c 1:3 rwm; - c 1:3 w", `false "c 1:3 rm"`},
		{"+ c 1:3 w; - c 1:3 w", `false ""`},
		// Denied are many, of which some had been allowed.
		{"+ c 1:3 rw; + c 1:5 rw; + b 1:3 rw; + c 2:3 rw; - c 1:* w", `false "c 1:3 r, c 1:5 r, b 1:3 rw, c 2:3 rw"`},
		{"+ c 1:3 rw; + c *:3 w; + c 1:* m; - c *:* rw", `false "c 1:* m"`},
		{"+ c 1:* rw; - c *:3 m", `false "c 1:* rw"`},
		{"+ c 1:* rw; - c 2:3 rw", `false "c 1:* rw"`},
		{"+ c *:* rw; - c 1:3 w", `"c *:* rw" is allowed, and a part of it, "c 1:3 w", denied later: there are no exceptions from exceptions`},
		{"+ c 1:* rw; - c *:3 wm", `"c 1:* rw" is allowed, and a part of it, "c *:3 wm", denied later: there are no exceptions from exceptions`},
		// Allowed are many, of which some had been denied.
		{allowAll + "- c 1:3 rwm; - b 1:3 rw; + c 1:3 m", `true "c 1:3 rw, b 1:3 rw"`},
		{allowAll + "- c 1:3 rwm; + c *:* m; + c *:3 m", `true "c 1:3 rwm"`},
		{allowAll + "- c 1:* rwm; + c *:3 m; + c 2:3 rw", `true "c 1:* rwm"`},
		{allowAll + "- c 1:* rwm; + c 1:3 m", `"c 1:* rwm" is denied, and a part of it, "c 1:3 m", allowed later: there are no exceptions from exceptions`},
		{"+ c *:* rw; - c 1:3 w; - a *:* rwm; + c 1:7 r", `false "c 1:7 r"`},
		// What is no rule.
		{"+ c 1:3 rx", `rule "c 1:3 rx": the access is not a set of r, w and m`},
		{"+ c 1:3 rr", `rule "c 1:3 rr": the access is not a set of r, w and m`},
		{"+ p 1:3 r", `rule "p 1:3 r": 'p' is not a type of device`},
		{"- a 1:* rwm", `rule "a 1:* rwm": type a means every device and every access`},
		{"- a *:1 rwm", `rule "a *:1 rwm": type a means every device and every access`},
		{"- a *:* rw", `rule "a *:* rw": type a means every device and every access`},
		{"+ c 4294967295:3 r", `rule "c 4294967295:3 r": 4294967295 is not a device number`},
		{"+ c 3:-2 r", `rule "c 3:-2 r": -2 is not a device number`},
	} {
		p, err := compile(rules(t, row.rules))
		texts := make([]string, len(p.exceptions))
		for i, x := range p.exceptions {
			texts[i] = x.String()
		}
		got := fmt.Sprintf("%t %q", p.allow, strings.Join(texts, ", "))
		if err != nil {
			got = err.Error()
		}
		if got != row.want {
			t.Errorf("%s:\ngot  %s\nwant %s", row.rules, got, row.want)
		}
	}
	if _, err := compile([]*devices.Rule{{Type: devices.CharDevice, Allow: true}}); err == nil {
		t.Error("a rule without access")
	}
}

func TestLines(t *testing.T) {
	for _, row := range []struct{ have, want, lines string }{
		{denyAll, denyAll, ""},
		{allowAll, denyAll, "deny a *:* rwm"},
		{denyAll, allowAll, "allow a *:* rwm"},
		// What is denied cannot be read.
		{allowAll, allowAll + "- c 1:3 w", "allow a *:* rwm; deny c 1:3 w"},
		{"+ c 9:9 r", "+ c 9:9 r; + b 1:1 w; + c 1:3 w", "allow b 1:1 w; allow c 1:3 w"},
		{"+ c 9:9 rm; + c 1:3 rw", "+ c 1:3 wm", "allow c 1:3 m; deny c 9:9 rm; deny c 1:3 r"},
	} {
		have, err := compile(rules(t, row.have))
		if err != nil {
			t.Fatal(err)
		}
		want, err := compile(rules(t, row.want))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, l := range have.lines(want) {
			got = append(got, strings.TrimPrefix(l.file, "devices.")+" "+l.text)
		}
		if strings.Join(got, "; ") != row.lines {
			t.Errorf("from %s to %s: %q, want %s", row.have, row.want, got, row.lines)
		}
	}
}

func TestParse(t *testing.T) {
	text := "c *:* m\nb 8:* rw\nc 1:3 rwm\n"
	p, err := parse(text)
	if got := p.String(); err != nil || got != `"c *:* m, b 8:* rw, c 1:3 rwm"` {
		t.Errorf("%s, %v", got, err)
	}
	for text, want := range map[string]string{"": `""`, "a *:* rwm\n": `"a *:* rwm"`} {
		if p, err := parse(text); err != nil || p.String() != want {
			t.Errorf("%q: %s, %v", text, p, err)
		}
	}
	for _, text := range []string{
		"c 1:3 rwm\na *:* rwm\n", "a 1:* rwm\n", "x 1:3 r\n", "c 1:3 \n", "c 1:3\n", "c 1 r\n", "c -1:3 r\n", "c 1:4294967296 r\n", "c 1:3 rx\n", "c 1:3 mr\n", "\n",
	} {
		if p, err := parse(text); err == nil {
			t.Errorf("%q: %v", text, p)
		}
	}
}

func TestShows(t *testing.T) {
	for _, row := range []struct {
		list, want string
		ok         bool
	}{
		{"c 1:3 r\nb 1:3 w\n", "+ b 1:3 w; + c 1:3 r", true},
		{"c 1:3 r\n", "+ b 1:3 w; + c 1:3 r", false},
		{"c 1:3 r\nb 1:3 w\n", "+ c 1:3 r", false},
		{"c 1:3 rw\n", "+ c 1:3 r", false},
		{"a *:* rwm\n", "+ c 1:3 r", false},
		{"a *:* rwm\n", allowAll + "- c 1:3 r", true},
		{"", allowAll, false},
	} {
		have, err := parse(row.list)
		if err != nil {
			t.Fatal(err)
		}
		want, err := compile(rules(t, row.want))
		if err != nil {
			t.Fatal(err)
		}
		if err := have.shows(want); (err == nil) != row.ok {
			t.Errorf("%q for %s: %v", row.list, row.want, err)
		}
	}
}

// TestLoad: the verifier takes programs of all shapes, and says why it does not
// take one.
func TestLoad(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("this test loads programs and needs root")
	}
	for _, text := range []string{
		"", allowAll, "+ c 1:3 rwm; + b *:* m; + c 4294967294:* rw", allowAll + "- c 1:3 rwm; - b 8:* w; - c *:* m",
		strings.Join(slices.Collect(func(yield func(string) bool) {
			for i := range 1000 {
				if !yield(fmt.Sprintf("+ c 1:%d rw", i)) {
					return
				}
			}
		}), ";"),
	} {
		p, err := compile(rules(t, text))
		if err != nil {
			t.Fatal(err)
		}
		fd, err := load(p.program())
		if err != nil {
			t.Errorf("%.100s: %v", text, err)
			continue
		}
		_ = unix.Close(fd)
	}
	_, err := load([]instruction{compute32(unix.BPF_MOV, verdict, 1)})
	if err == nil || !strings.HasPrefix(err.Error(), "BPF_PROG_LOAD: invalid argument: ") || !strings.Contains(err.Error(), "last insn is not an exit") {
		t.Errorf("a program without an end: %v", err)
	}
}
