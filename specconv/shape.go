package specconv

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// shape compares a config.json with the Go types of the specification. It
// finds what the decoder of encoding/json passes over: the second value of a
// wrong type, and properties that have to be there and look like a zero where
// they are not. In those types, they are the ones without "omitempty".
type shape struct {
	dec      *json.Decoder
	types    map[reflect.Type][]property
	word     string // the value that was read last, if it is a string
	bad      problems
	warnings []string
}

// property is one field of a Go type of the specification.
type property struct {
	name     string // in JSON
	typ      reflect.Type
	required bool
}

// checkShape takes what is valid JSON, and an object.
func checkShape(data []byte) (bad problems, warnings []string) {
	s := &shape{dec: json.NewDecoder(bytes.NewReader(data)), types: map[reflect.Type][]property{}}
	s.dec.UseNumber()
	s.value("", reflect.TypeFor[specs.Spec]())
	return s.bad, s.warnings
}

// mayBeAbsent reports whether a property without "omitempty" need not be
// there. kind is the "type" of the object that it is missing in.
func mayBeAbsent(path, kind string) bool {
	path = withoutIndexes(path)
	switch path {
	case "process.user", "linux.memoryPolicy.nodes":
		return true
	case "linux.devices.major", "linux.devices.minor":
		return kind == "p" || kind == ""
	}
	platform, _, _ := strings.Cut(path, ".")
	switch platform {
	case "solaris", "windows", "vm", "zos", "freebsd": // are ignored
		return true
	}
	return false
}

// properties are those of a Go type, with those of the types in it.
func (s *shape) properties(t reflect.Type) []property {
	list, ok := s.types[t]
	if ok {
		return list
	}
	for _, f := range reflect.VisibleFields(t) {
		if f.Anonymous {
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		list = append(list, property{name: name, typ: f.Type, required: options != "omitempty"})
	}
	s.types[t] = list
	return list
}

// value reads one value that is at a path, and reports whether there is one
// other than null. A nil type takes anything.
func (s *shape) value(path string, t reflect.Type) bool {
	if t == nil {
		var any json.RawMessage
		return s.dec.Decode(&any) == nil && string(any) != "null"
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	token, err := s.dec.Token()
	s.word, _ = token.(string)
	switch {
	case err != nil || token == nil: // null leaves everything as it is
		return false
	case token == json.Delim('{'):
		s.object(path, t)
	case token == json.Delim('['):
		s.array(path, t)
	case !fits(token, t):
		s.mismatch(path, token, t)
	}
	return true
}

func fits(token json.Token, t reflect.Type) bool {
	switch v := token.(type) {
	case string:
		return t.Kind() == reflect.String
	case bool:
		return t.Kind() == reflect.Bool
	case json.Number:
		if t.Kind() >= reflect.Int && t.Kind() <= reflect.Int64 {
			_, err := strconv.ParseInt(v.String(), 10, t.Bits())
			return err == nil
		}
		if t.Kind() >= reflect.Uint && t.Kind() <= reflect.Uint64 {
			_, err := strconv.ParseUint(v.String(), 10, t.Bits())
			return err == nil
		}
	}
	return false
}

func (s *shape) mismatch(path string, token json.Token, t reflect.Type) {
	var got string
	switch v := token.(type) {
	case json.Delim:
		got = "an object"
		if v == '[' {
			got = "an array"
		}
	case string:
		got = "a string"
	case bool:
		got = "true or false"
	case json.Number:
		got = "a number"
		if t.Kind() != reflect.String {
			got = "number " + strings.ReplaceAll(quote(v.String()), `"`, "")
		}
	}
	s.bad.add(lacks(path, "got %s, want %s", got, wanted(t)))
}

func (s *shape) array(path string, t reflect.Type) {
	var elem reflect.Type
	if t.Kind() == reflect.Slice {
		elem = t.Elem()
	} else {
		s.mismatch(path, json.Delim('['), t)
	}
	for i := 0; s.dec.More(); i++ {
		s.value(item(path, i), elem)
	}
	_, _ = s.dec.Token() // the end of it
}

func (s *shape) object(path string, t reflect.Type) {
	var known []property
	var elem reflect.Type
	switch t.Kind() {
	case reflect.Struct:
		known = s.properties(t)
	case reflect.Map:
		elem = t.Elem()
	default:
		s.mismatch(path, json.Delim('{'), t)
	}
	given := map[string]bool{} // false: it is null
	kind := ""
	for s.dec.More() {
		key, err := s.dec.Token()
		if err != nil {
			return
		}
		name, _ := key.(string)
		typ := elem
		if p := s.lookUp(known, path, name); p != nil {
			name, typ = p.name, p.typ
		}
		at := member(path, name)
		if _, twice := given[name]; twice {
			s.warn(at, "given twice, and not every runtime takes the same one")
		}
		s.word = ""
		given[name] = s.value(at, typ)
		if name == "type" {
			kind = s.word
		}
	}
	_, _ = s.dec.Token() // the end of it
	for _, p := range known {
		if at := member(path, p.name); p.required && !given[p.name] && !mayBeAbsent(at, kind) {
			s.bad.add(missing(at))
		}
	}
}

// lookUp finds a property as the decoder does, which does not care about
// upper and lower case.
func (s *shape) lookUp(known []property, path, name string) *property {
	for i := range known {
		if p := &known[i]; p.name == name {
			return p
		}
	}
	for i := range known {
		if p := &known[i]; strings.EqualFold(p.name, name) {
			s.warn(member(path, name), "taken for "+p.name+", which other runtimes do not do")
			return p
		}
	}
	return nil
}

func (s *shape) warn(path, text string) {
	if len(s.warnings) < mostProblems {
		s.warnings = append(s.warnings, lacks(path, "%s", text).Error())
	}
}

// member is the JSON path of a property.
func member(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
