package trace

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"time"
)

// The formats of a trace. Both have one event a line.
const (
	Chrome = "chrome" // an array, which chrome://tracing and Perfetto open
	Lines  = "jsonl"  // an object a line, which neither does, but every other tool
)

// record is an event as the trace event format has it.
type record struct {
	Name     string         `json:"name"`
	Category string         `json:"cat,omitempty"`
	Phase    string         `json:"ph"`
	Time     micros         `json:"ts"`
	Duration *micros        `json:"dur,omitempty"`
	PID      int            `json:"pid"`
	TID      int            `json:"tid"`
	Scope    string         `json:"s,omitempty"`
	Args     map[string]any `json:"args,omitempty"`
}

// micros are nanoseconds, which the format has as microseconds: a number of
// three decimals, and exactly that.
type micros int64

func (m micros) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "%d.%03d", int64(m)/1000, int64(m)%1000), nil
}

// Write writes the trace in a format. Times are counted from the beginning of
// the command, which the name of mocker's lane tells: as microseconds since
// 1970 a viewer could not tell them apart to the nanosecond.
func (r *Recorder) Write(w io.Writer, format string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now().UnixNano()
	r.memory()
	list := r.lanes()
	for i := range r.events {
		list = append(list, r.record(&r.events[i], now))
	}
	begin, between, end := "", "\n", "\n"
	if format == Chrome {
		begin, between, end = "[\n", ",\n", "\n]\n"
	}
	var out bytes.Buffer
	for i := range list {
		line, err := json.Marshal(&list[i])
		if err != nil {
			return fmt.Errorf("encode %q: %w", list[i].Name, err)
		}
		if i == 0 {
			out.WriteString(begin)
		} else {
			out.WriteString(between)
		}
		out.Write(line)
	}
	out.WriteString(end)
	_, err := w.Write(out.Bytes())
	return err
}

// memory notes what the command has allocated, the trace included.
func (r *Recorder) memory() {
	for i := range r.events {
		if e := &r.events[i]; e.category == Verb {
			var stats runtime.MemStats
			runtime.ReadMemStats(&stats)
			e.set("bytes allocated", stats.TotalAlloc)
			e.set("allocations", stats.Mallocs)
			return
		}
	}
}

func (r *Recorder) record(e *event, now int64) record {
	// A clock that is set back is no reason for a trace that cannot be opened.
	begin := max(0, e.begin-r.begin)
	rec := record{Name: e.name, Category: e.category, Phase: "X", Time: micros(begin), PID: e.pid, TID: e.pid, Args: e.args}
	if e.instant {
		rec.Phase, rec.Scope = "i", "t"
		return rec
	}
	end := e.end
	if end == 0 {
		end = now
	}
	duration := micros(max(0, end-r.begin-begin))
	rec.Duration = &duration
	return rec
}

// lanes are the names of those whose events follow: mocker itself first.
func (r *Recorder) lanes() []record {
	began := time.Unix(0, r.begin).UTC().Format(time.RFC3339Nano)
	list := r.named(r.pid, 0, "mocker", "steps, since "+began)
	for i, pid := range r.inside {
		list = append(list, r.named(pid, i+1, "inside", "system calls")...)
	}
	return list
}

func (r *Recorder) named(pid, place int, process, thread string) []record {
	return []record{
		{Name: "process_name", Phase: "M", PID: pid, TID: pid, Args: map[string]any{"name": process}},
		{Name: "process_sort_index", Phase: "M", PID: pid, TID: pid, Args: map[string]any{"sort_index": place}},
		{Name: "thread_name", Phase: "M", PID: pid, TID: pid, Args: map[string]any{"name": thread}},
	}
}
