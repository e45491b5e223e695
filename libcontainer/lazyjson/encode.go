package lazyjson

import (
	"bytes"
	"encoding"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Marshal is json.Marshal.
func (t Types) Marshal(from any) ([]byte, error) {
	e := &encoder{compact: true, types: t}
	if v := reflect.ValueOf(from); v.IsValid() && e.value(v, 0) {
		return e.out, nil
	}
	return json.Marshal(from)
}

// MarshalIndent is json.MarshalIndent without a prefix.
func MarshalIndent(from any, indent string) ([]byte, error) {
	e := &encoder{indent: indent, types: Types{}}
	if v := reflect.ValueOf(from); v.IsValid() && e.value(v, 0) {
		return e.out, nil
	}
	return json.MarshalIndent(from, "", indent)
}

// encoder writes one document. Its methods return false for what they leave
// to encoding/json.
type encoder struct {
	out     []byte
	compact bool // all in one line
	indent  string
	types   Types
}

var (
	marshaler     = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
)

func (e *encoder) value(v reflect.Value, depth int) bool {
	if depth > maxDepth {
		return false
	}
	switch t := v.Type(); {
	case v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface:
		if v.IsNil() {
			e.write("null")
			return true
		}
		return e.value(v.Elem(), depth)
	case t.Implements(marshaler):
		return e.marshaler(v, depth)
	case t.Implements(textMarshaler) || reflect.PointerTo(t).Implements(marshaler) || reflect.PointerTo(t).Implements(textMarshaler):
		return false
	}
	switch v.Kind() {
	case reflect.Struct:
		return e.object(v, depth)
	case reflect.Map:
		return e.mapping(v, depth)
	case reflect.Slice:
		return e.array(v, depth)
	case reflect.String:
		return e.text(v.String())
	case reflect.Bool:
		e.write(strconv.FormatBool(v.Bool()))
		return true
	}
	switch {
	case v.CanInt():
		e.write(strconv.FormatInt(v.Int(), 10))
	case v.CanUint():
		e.write(strconv.FormatUint(v.Uint(), 10))
	default:
		return false
	}
	return true
}

func (e *encoder) write(s string) { e.out = append(e.out, s...) }

// marshaler writes what a type says of itself.
func (e *encoder) marshaler(v reflect.Value, depth int) bool {
	raw, err := v.Interface().(json.Marshaler).MarshalJSON()
	if err != nil {
		return false
	}
	var compact, indented bytes.Buffer
	if json.Compact(&compact, raw) != nil || bytes.ContainsAny(compact.Bytes(), "<>&\u2028\u2029") {
		return false
	}
	if e.compact {
		e.out = append(e.out, compact.Bytes()...)
		return true
	}
	if json.Indent(&indented, compact.Bytes(), strings.Repeat(e.indent, depth), e.indent) != nil {
		return false
	}
	e.out = append(e.out, indented.Bytes()...)
	return true
}

// list writes n things between two brackets, each on a line of its own if they
// are not to be in one.
func (e *encoder) list(brackets string, n, depth int, item func(i int) bool) bool {
	e.out = append(e.out, brackets[0])
	for i := range n {
		if i > 0 {
			e.write(",")
		}
		e.line(depth + 1)
		if !item(i) {
			return false
		}
	}
	if n > 0 {
		e.line(depth)
	}
	e.out = append(e.out, brackets[1])
	return true
}

func (e *encoder) line(depth int) {
	if e.compact {
		return
	}
	e.write("\n")
	for range depth {
		e.write(e.indent)
	}
}

func (e *encoder) member(name string, v reflect.Value, depth int) bool {
	if !e.text(name) {
		return false
	}
	e.write(":")
	if !e.compact {
		e.write(" ")
	}
	return e.value(v, depth+1)
}

func (e *encoder) object(v reflect.Value, depth int) bool {
	t := e.types.of(v.Type())
	if t == nil {
		return false
	}
	var present []field
	for _, f := range t.fields {
		if m := v.FieldByIndex(f.index); f.omitempty && empty(m) || f.omitzero && m.IsZero() {
			continue
		}
		present = append(present, f)
	}
	return e.list("{}", len(present), depth, func(i int) bool {
		return e.member(present[i].name, v.FieldByIndex(present[i].index), depth)
	})
}

// empty is what omitempty leaves out.
func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}

func (e *encoder) mapping(v reflect.Value, depth int) bool {
	if t := v.Type().Key(); t.Kind() != reflect.String || t.Implements(textMarshaler) {
		return false
	}
	if v.IsNil() {
		e.write("null")
		return true
	}
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	return e.list("{}", len(keys), depth, func(i int) bool {
		return e.member(keys[i].String(), v.MapIndex(keys[i]), depth)
	})
}

func (e *encoder) array(v reflect.Value, depth int) bool {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		return false // base64
	}
	if v.IsNil() {
		e.write("null")
		return true
	}
	return e.list("[]", v.Len(), depth, func(i int) bool { return e.value(v.Index(i), depth+1) })
}

func (e *encoder) text(s string) bool {
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' || strings.ContainsRune(`"\<>&`, r) }) {
		quoted, err := json.Marshal(s)
		e.out = append(e.out, quoted...)
		return err == nil
	}
	e.out = append(e.out, '"')
	e.write(s)
	e.out = append(e.out, '"')
	return true
}
