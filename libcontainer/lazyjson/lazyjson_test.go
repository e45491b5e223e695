package lazyjson

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// odd has what the types of the OCI do not have.
type odd struct {
	Plain    int
	Renamed  int `json:"renamed"`
	Ignored  int `json:"-"`
	Small    int8
	Unsigned uint16
	Float    float32
	Bytes    []byte
	Raw      json.RawMessage
	Time     time.Time
	When     *time.Time
	Any      any
	Keys     map[int]string
	Deep     map[string]map[string][]*odd
	Named    map[specs.LinuxNamespaceType]bool
	Quoted   *quoted
	Array    [2]int
	Pointer  **int
}

type quoted struct {
	N int `json:",string"`
}

var documents = []string{
	`{}`, `null`, `[]`, `"x"`, `1`, ``, ` `, `{`, `}`, `{}}`, `{} x`, "\ufeff{}", `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{"a" 1}`,
	`{"Plain":1}`, `{"plain":1}`, `{"PLAIN":1,"Plain":2}`, `{"Plain":1,"Plain":2}`, `{"Renamed":1}`, `{"renamed":01}`, `{"renamed":-0}`,
	`{"Ignored":1,"private":2,"-":3}`, `{"Small":127}`, `{"Small":128}`, `{"Small":1.0}`, `{"Small":1e1}`, `{"Small":"1"}`, `{"Unsigned":-1}`,
	`{"Float":1.5e3}`, `{"Float":1e99}`, `{"Float":.5}`, `{"Float":5.}`, `{"Float":+5}`, `{"Float":1e}`, `{"Float":0x10}`, `{"Float":NaN}`,
	`{"Bytes":"AAEC"}`, `{"Bytes":[1,2]}`, `{"Raw": {"a" : [1, 2 ] } }`, `{"Raw":null}`, `{"Time":"2026-01-02T03:04:05Z"}`, `{"Time":1}`, `{"Time":null,"When":null}`,
	`{"When":"2026-01-02T03:04:05Z"}`, `{"Any":{"a":[1,null,true]}}`, `{"Keys":{"1":"a"}}`, `{"Keys":{"x":"a"}}`,
	`{"Deep":{"a":{"b":[null,{"Plain":1},{}],"c":[],"d":null}}}`, `{"Deep":{"a":{},"a":{}}}`, `{"Named":{"pid":true,"x":false}}`, `{"Named":{"pid":1}}`,
	`{"Quoted":{"N":"1"}}`, `{"Array":[1,2,3]}`, `{"Pointer":1}`, `{"Pointer":null}`,
	`{"x":"\u00e4\n\"\\\ud83d\ude00\ud83d","y":"\x"}`, `{"\u0050lain":1}`, `{"x":tru}`, `{"x":nul}`, `{"x":truex}`, "{\"x\":\"\n\"}", "{\"x\":\"\xff\"}",
	`{"x":[1,[2,{"y":[]}],"z",-1.5E+3,true,false,null]}`, `{"x":[1,]}`, `{"x":[,1]}`, `{"x":[1 2]}`, `{"x":"`, `{"x":"\`, `{"Plain":tru}`, `{"Plain":null}`, `{"Plain":true}`,
}

func FuzzUnmarshal(f *testing.F) {
	for _, doc := range documents {
		f.Add([]byte(doc))
	}
	configs, _ := filepath.Glob("../../bundles/*/config.json")
	more, _ := filepath.Glob("../../specconv/testdata/*.json")
	for _, name := range append(configs, more...) {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		same[odd](t, data)
		same[specs.Spec](t, data)
	})
}

// same fails unless encoding/json makes the same of the data.
func same[T any](t *testing.T, data []byte) {
	t.Helper()
	var got, want T
	gotErr, wantErr := Unmarshal(data, &got), json.Unmarshal(data, &want)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s\ngot  %+v\nwant %+v", data, got, want)
	}
	if (gotErr == nil) != (wantErr == nil) || gotErr != nil && gotErr.Error() != wantErr.Error() {
		t.Errorf("%s\ngot error  %v\nwant error %v", data, gotErr, wantErr)
	}
	if wantErr != nil {
		return
	}
	gotText, gotErr := MarshalIndent(&got, "  ")
	wantText, wantErr := json.MarshalIndent(&want, "", "  ")
	if string(gotText) != string(wantText) || (gotErr == nil) != (wantErr == nil) {
		t.Errorf("%s\ngot  %s, %v\nwant %s, %v", data, gotText, gotErr, wantText, wantErr)
	}
	gotText, gotErr = Types{}.Marshal(&got)
	wantText, wantErr = json.Marshal(&want)
	if string(gotText) != string(wantText) || (gotErr == nil) != (wantErr == nil) {
		t.Errorf("%s\ngot  %s, %v\nwant %s, %v", data, gotText, gotErr, wantText, wantErr)
	}
}

// Were everything left to encoding/json, the tests above would pass.
func TestConfigsAreRead(t *testing.T) {
	configs, err := filepath.Glob("../../bundles/*/config.json")
	if err != nil || len(configs) == 0 {
		t.Fatal(configs, err)
	}
	for _, name := range configs {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		d := &decoder{data: data, types: Types{}}
		spec := &specs.Spec{}
		if !d.value(reflect.ValueOf(spec).Elem(), 0) {
			t.Errorf("%s was left to encoding/json at byte %d", name, d.at)
		}
		e := &encoder{types: Types{}}
		if !e.value(reflect.ValueOf(spec), 0) {
			t.Errorf("%s is written by encoding/json after %s", name, e.out)
		}
	}
}

func TestDepth(t *testing.T) {
	data := []byte{}
	for range 20000 {
		data = append(data, '[')
	}
	same[odd](t, data)
	same[odd](t, append([]byte(`{"Any":`), data...))
	same[odd](t, append([]byte(`{"x":`), data...))
}

func BenchmarkUnmarshal(b *testing.B) {
	data, err := os.ReadFile("../../bundles/shell/config.json")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := Unmarshal(data, &specs.Spec{}); err != nil {
			b.Fatal(err)
		}
	}
}

type zeros struct {
	Text   string            `json:"text,omitzero"`
	Number *int              `json:"number,omitzero"`
	List   []string          `json:"list,omitzero"`
	Map    map[string]string `json:"map,omitzero"`
	Inner  struct{ A int }   `json:"inner,omitzero"`
}

// TestOmitZero: nil is left out, empty is not, unlike with omitempty.
func TestOmitZero(t *testing.T) {
	zero := 0
	for _, from := range []zeros{
		{},
		{Text: "x", Number: &zero, List: []string{}, Map: map[string]string{}},
		{List: []string{""}, Map: map[string]string{"a": ""}, Inner: struct{ A int }{1}},
	} {
		want, err := json.MarshalIndent(from, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		e := &encoder{indent: " ", types: Types{}}
		if !e.value(reflect.ValueOf(from), 0) || string(e.out) != string(want) {
			t.Errorf("got %s, want %s", e.out, want)
		}
	}
	e := &encoder{types: Types{}}
	if v := reflect.ValueOf(struct {
		At time.Time `json:",omitzero"`
	}{}); e.value(v, 0) {
		t.Errorf("what time.Time says is zero was not asked for: %s", e.out)
	}
}
