package trace

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestNothing: a recorder that is not there costs no memory, and a span has
// nothing of what kill.go would need.
func TestNothing(t *testing.T) {
	if size := unsafe.Sizeof(point{}); size != 0 {
		t.Errorf("a point takes %d bytes", size)
	}
	var r *Recorder
	failed := errors.New("failed")
	n := testing.AllocsPerRun(100, func() {
		span := r.Begin(Step, "step")
		err := r.Step("step", func() error { return failed })
		span.End(err)
		r.Whole("verb").End(nil)
		r.Call(Call{})
		r.Program(1, nil)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
	if err := r.Step("step", func() error { return failed }); !errors.Is(err, failed) {
		t.Errorf("got %v", err)
	}
}

func TestWrite(t *testing.T) {
	r := New(time.Now().Add(-time.Millisecond))
	whole := r.Whole("mocker create")
	_ = r.Step("mount", func() error { return errors.New(`a "quoted" error`) })
	r.Call(Call{PID: 7, Name: "open", Object: "/x", Number: 257, Begin: r.begin + 1500, End: r.begin + 2501, Timed: true, Result: 3})
	r.Call(Call{PID: 8, Name: "munmap", Begin: r.begin + 9, End: r.begin, Errno: unix.EINVAL, Accepted: true})
	r.Call(Call{PID: 8, Name: "exec", Begin: r.begin - 5, Errno: 4000})
	r.Program(8, []string{"read start", "exec /bin/true"})
	unfinished := r.Begin(Step, "still going on")
	whole.End(nil)

	var chrome, lines bytes.Buffer
	if err := errors.Join(r.Write(&chrome, Chrome), r.Write(&lines, Lines)); err != nil {
		t.Fatal(err)
	}
	unfinished.End(nil)
	var list []map[string]any
	if err := json.Unmarshal(chrome.Bytes(), &list); err != nil {
		t.Fatalf("%v in %s", err, chrome.String())
	}
	if n := strings.Count(chrome.String(), "\n"); n != len(list)+2 {
		t.Errorf("%d lines for %d events", n, len(list))
	}
	n := 0
	for line := range strings.Lines(lines.String()) {
		if n++; !json.Valid([]byte(line)) {
			t.Errorf("no JSON: %s", line)
		}
	}
	if n != len(list) || n != 3*3+7 {
		t.Errorf("%d lines, %d events: want lanes for three processes and seven events", n, len(list))
	}
	for _, want := range []string{
		`{"name":"process_name","ph":"M","ts":0.000,`,
		`"args":{"error":"a \"quoted\" error"}}`,
		`{"name":"open","cat":"call","ph":"X","ts":1.500,"dur":1.001,"pid":7,"tid":7,"args":{"call":257,"object":"/x","result":3}}`,
		`{"name":"munmap","cat":"call","ph":"X","ts":0.009,"dur":0.000,"pid":8,"tid":8,"args":{"accepted":true,"call":0,"errno":"EINVAL","untimed":true}}`,
		`{"name":"exec","cat":"call","ph":"X","ts":0.000,"dur":0.000,"pid":8,"tid":8,"args":{"call":0,"errno":4000,`,
		`"ph":"i",`, `"args":{"calls":["read start","exec /bin/true"]}}`,
	} {
		if !strings.Contains(lines.String(), want) {
			t.Errorf("no %s in\n%s", want, lines.String())
		}
	}
}
