package state

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
)

// FuzzLoad wants of a state.json a state, which is the same when it has been
// saved and read again, or an error that names the file and the way out.
func FuzzLoad(f *testing.F) {
	st := sample("c")
	st.Format = Format
	good, err := json.Marshal(st)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)/2])
	for _, text := range []string{
		"", "null", "{}", "[]", `{"format":1,"id":"c"}`, `{"format":1,"id":"../c"}`, `{"format":2,"id":"c"}`, `{"format":1,"id":"c","init":{"pid":-1,"startTime":18446744073709551615}}`,
		`{"format":1,"id":"c","cgroupPaths":{"":"/","x":"relative"},"limits":{"a":[1]},"hooks":{"poststop":[null,{}]}}`, `{"format":1e0,"id":"c","created":"x"}`,
	} {
		f.Add([]byte(text))
	}
	d, err := Reserve(f.TempDir(), "c")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { d.Close() })
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(d.Path(stateFile), text, 0o600); err != nil {
			t.Fatal(err)
		}
		st, err := d.Load()
		if err != nil {
			if !strings.Contains(err.Error(), d.Path(stateFile)) || !strings.Contains(err.Error(), "delete --force c") {
				t.Errorf("no file or no way out in %q", err)
			}
			return
		}
		if st.ID != "c" {
			t.Errorf("the state of %q", st.ID)
		}
		st.Init.Alive() // of a pid that may be anything
		if err := d.Save(st); err != nil {
			t.Fatal(err)
		}
		again, err := d.Load()
		if err != nil {
			t.Fatalf("a second time: %v", err)
		}
		a, errA := json.Marshal(st)
		b, errB := json.Marshal(again)
		if errA == nil && errB == nil && !reflect.DeepEqual(a, b) {
			t.Errorf("saved\n%s\nread\n%s", a, b)
		}
	})
}
