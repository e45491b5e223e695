package drive

import (
	"encoding/json"
	"os"
	"testing"
)

// Event is one event of a trace that mocker has written.
type Event struct {
	Name string
	Cat  string // "verb", "step", "hook", "call", "last program"; "" names a lane
	Ph   string
	Ts   float64 // microseconds since the command began
	Dur  float64
	Pid  int
	Tid  int
	Args struct {
		Name    string // of a lane
		Error   string
		Errno   string
		Object  string
		Call    int
		Calls   []string
		Untimed bool
		Bytes   int `json:"bytes allocated"`
	}
}

// End is when it ended.
func (e Event) End() float64 { return e.Ts + e.Dur }

// ReadTrace reads the trace in a file, which has to be the one array that
// viewers open.
func ReadTrace(t testing.TB, file string) []Event {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var list []Event
	if err := json.Unmarshal(data, &list); err != nil {
		t.Fatalf("%s: %v: %s", file, err, data)
	}
	return list
}

// Of are the events of a category.
func Of(list []Event, category string) []Event {
	var some []Event
	for _, e := range list {
		if e.Cat == category {
			some = append(some, e)
		}
	}
	return some
}
