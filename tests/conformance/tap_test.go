package conformance

import (
	"bufio"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// How a program of the suite ended, from good to bad.
const (
	pass  = "pass"  // all that it checked is as it should be
	fail  = "fail"  // something is not
	abort = "abort" // it gave up
	hang  = "hang"  // it had to be killed
)

var statuses = []string{"", pass, fail, abort, hang}

// outcome is what a program found.
type outcome struct {
	Status  string   `json:"status"`
	OK      int      `json:"ok"`                // checks that hold
	Skipped int      `json:"skipped,omitempty"` // of those, the ones that were not made
	NotOK   []string `json:"notOK,omitempty"`   // what does not hold, each once
	Said    string   `json:"said,omitempty"`    // its last words on stderr, if it did not pass
}

// ending is how the process of a program ended.
type ending struct {
	code   int
	killed bool // it took too long
}

var (
	testLine = regexp.MustCompile(`^(not )?ok\b *\d* *(?:- )?(.*)$`)
	skipMark = regexp.MustCompile(`(?i)^# *skip`)
	// What is different each time.
	uuid = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	temp = regexp.MustCompile(`/[^ :"]*/(ocitest|oci-pid)\d+`)
	when = regexp.MustCompile(`time="[^"]*"|^\d{4}-\d\d-\d\dT[0-9:.]+Z`)
)

func timeless(text string) string {
	text = uuid.ReplaceAllString(text, "ID")
	text = temp.ReplaceAllString(text, "BUNDLE")
	return strings.TrimSpace(when.ReplaceAllString(text, ""))
}

// read makes sense of a program's TAP and stderr.
//
// A program without a single check tells of an error in a diagnostic alone,
// and one whose check it is that something goes wrong inside the suite says
// nothing at all when all is well.
func read(tap, stderr string, end ending) outcome {
	var o outcome
	var diagnostics []string
	lines := bufio.NewScanner(strings.NewReader(tap))
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		line := lines.Text()
		if strings.TrimSpace(line) == "---" {
			diagnostics = append(diagnostics, diagnostic(lines))
			continue
		}
		m := testLine.FindStringSubmatch(line)
		switch {
		case m == nil:
		case m[1] != "":
			o.add(timeless(m[2]))
		default:
			o.OK++
			if skipMark.MatchString(m[2]) {
				o.Skipped++
			}
		}
	}
	if o.OK == 0 && len(o.NotOK) == 0 {
		for _, text := range diagnostics {
			if text != "" {
				o.add(timeless(text))
			}
		}
	}
	switch {
	case end.killed:
		o.Status = hang
	case end.code != 0:
		o.Status = abort
	case len(o.NotOK) > 0:
		o.Status = fail
	default:
		o.Status = pass
	}
	if o.Status != pass {
		o.Said = lastWords(stderr)
	}
	return o
}

func (o *outcome) add(text string) {
	if !slices.Contains(o.NotOK, text) {
		o.NotOK = append(o.NotOK, text)
	}
}

// diagnostic reads a YAML block, which is JSON here, and gives its error
// without the reference below it.
func diagnostic(lines *bufio.Scanner) string {
	var text strings.Builder
	for lines.Scan() && strings.TrimSpace(lines.Text()) != "..." {
		text.WriteString(lines.Text())
	}
	var block struct{ Error string }
	if json.Unmarshal([]byte(text.String()), &block) != nil {
		return ""
	}
	first, _, _ := strings.Cut(block.Error, "\n")
	return first
}

// lastWords are those of a runtime, or of the program itself if it panicked.
func lastWords(stderr string) string {
	var last string
	for line := range strings.Lines(stderr) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "panic:") {
			return timeless(line)
		}
		if line != "" && !strings.HasPrefix(line, "exit status ") && !strings.HasPrefix(line, "Refer to: ") {
			last = line
		}
	}
	return timeless(last)
}

// against compares with what was recorded: what is worse and what is better.
func (o outcome) against(recorded outcome) (worse, better []string) {
	was, is := slices.Index(statuses, recorded.Status), slices.Index(statuses, o.Status)
	if is > was {
		worse = append(worse, "the status is "+o.Status+", not "+recorded.Status)
	}
	if is < was {
		better = append(better, "the status is "+o.Status+", not "+recorded.Status)
	}
	for _, text := range o.NotOK {
		if !slices.Contains(recorded.NotOK, text) {
			worse = append(worse, "not ok: "+text)
		}
	}
	for _, text := range recorded.NotOK {
		if !slices.Contains(o.NotOK, text) {
			better = append(better, "ok now: "+text)
		}
	}
	if o.OK == 0 && recorded.OK > 0 {
		worse = append(worse, "not one check was made")
	}
	return worse, better
}

func TestRead(t *testing.T) {
	const checks = "TAP version 13\nok 1 - a\nok 2 # SKIP b\nnot ok 3 - c /tmp/ocitest12/output\n  ---\n  {\"error\": \"because\"}\n  ...\nnot ok 4 - c /tmp/ocitest34/output\n1..4\n"
	for _, test := range []struct {
		name, tap, stderr string
		end               ending
		want              outcome
	}{
		{"some do not hold", checks, "first\nlast of 2f1f8c2e-0c8b-4a53-9d7c-3f4c3ad1c1d2\nexit status 1\n", ending{},
			outcome{fail, 2, 1, []string{"c BUNDLE/output"}, "last of ID"}},
		{"all hold", "TAP version 13\nok 1 - a\n1..1\n", "a warning\n", ending{}, outcome{pass, 1, 0, nil, ""}},
		{"nothing said", "", "", ending{}, outcome{pass, 0, 0, nil, ""}},
		{"gave up", "TAP version 13\n", "panic: nil\n\ngoroutine 1\n", ending{code: 2}, outcome{abort, 0, 0, nil, "panic: nil"}},
		{"killed", "ok 1 - a\n", "", ending{killed: true, code: -1}, outcome{hang, 1, 0, nil, ""}},
		{"an error but no check", "  ---\n  {\n    \"error\": \"wrong order\\nRefer to: there\"\n  }\n  ...\n1..0\n", "", ending{},
			outcome{fail, 0, 0, []string{"wrong order"}, ""}},
		{"an error of a check that holds", "ok 1 - a\n  ---\n  {\"error\": \"as expected\"}\n  ...\n1..1\n", "", ending{}, outcome{pass, 1, 0, nil, ""}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := read(test.tap, test.stderr, test.end)
			if got.Status != test.want.Status || got.OK != test.want.OK || got.Skipped != test.want.Skipped ||
				!slices.Equal(got.NotOK, test.want.NotOK) || got.Said != test.want.Said {
				t.Errorf("%+v, want %+v", got, test.want)
			}
		})
	}
}

func TestAgainst(t *testing.T) {
	for _, test := range []struct {
		name          string
		now, recorded outcome
		worse, better int
	}{
		{"as recorded", outcome{Status: fail, OK: 3, NotOK: []string{"a"}}, outcome{Status: fail, OK: 4, NotOK: []string{"a"}}, 0, 0},
		{"fails", outcome{Status: fail, NotOK: []string{"a"}, OK: 1}, outcome{Status: pass, OK: 2}, 2, 0},
		{"passes", outcome{Status: pass, OK: 2}, outcome{Status: fail, NotOK: []string{"a"}}, 0, 2},
		{"one for another", outcome{Status: fail, NotOK: []string{"a"}}, outcome{Status: fail, NotOK: []string{"b"}}, 1, 1},
		{"checks nothing any more", outcome{Status: pass}, outcome{Status: pass, OK: 1}, 1, 0},
		{"new", outcome{Status: pass, OK: 1}, outcome{}, 1, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			worse, better := test.now.against(test.recorded)
			if len(worse) != test.worse || len(better) != test.better {
				t.Errorf("worse %q, better %q", worse, better)
			}
		})
	}
}
