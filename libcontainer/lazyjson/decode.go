// Package lazyjson is encoding/json for a program that reads one document and
// ends. encoding/json first prepares itself for every type that a document
// could have, which for a config.json takes fifteen times as long as reading
// it; this package looks only at the types that the document has.
//
// It is no other dialect: what it cannot do, or what is wrong, it leaves to
// encoding/json from the start, so values and errors are always those of that
// package.
package lazyjson

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxDepth of objects and arrays: deeper ones are left to encoding/json, which
// has a limit of its own.
const maxDepth = 100

// Unmarshal is json.Unmarshal.
func Unmarshal(data []byte, to any) error { return Types{}.Unmarshal(data, to) }

// Unmarshal is json.Unmarshal.
func (t Types) Unmarshal(data []byte, to any) error {
	v := reflect.ValueOf(to)
	if v.Kind() == reflect.Pointer && !v.IsNil() && v.Elem().IsZero() && utf8.Valid(data) {
		d := &decoder{data: data, types: t}
		if d.value(v.Elem(), 0) && d.peek() == 0 && d.at == len(data) {
			return nil
		}
		v.Elem().SetZero()
	}
	return json.Unmarshal(data, to)
}

// decoder reads one document. Its methods return false for what they leave to
// encoding/json, the wrong included.
type decoder struct {
	data  []byte
	at    int // the next byte
	types Types
}

// peek skips white space and returns the byte behind it, 0 at the end.
func (d *decoder) peek() byte {
	for ; d.at < len(d.data); d.at++ {
		switch c := d.data[d.at]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// take skips white space and the byte c behind it.
func (d *decoder) take(c byte) bool {
	if d.peek() != c {
		return false
	}
	d.at++
	return true
}

// word takes one of JSON's three words.
func (d *decoder) word(word string) bool {
	if !bytes.HasPrefix(d.data[d.at:], []byte(word)) {
		return false
	}
	d.at += len(word)
	return true
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// value reads any value into v.
func (d *decoder) value(v reflect.Value, depth int) bool {
	if depth > maxDepth {
		return false
	}
	switch {
	case v.Kind() == reflect.Pointer && d.peek() != 'n':
		v.Set(reflect.New(v.Type().Elem()))
		return d.value(v.Elem(), depth+1)
	case v.Kind() != reflect.Pointer && v.Addr().Type().Implements(unmarshaler):
		raw, ok := d.raw(depth)
		return ok && v.Addr().Interface().(json.Unmarshaler).UnmarshalJSON(raw) == nil
	}
	switch d.peek() {
	case 'n':
		// Each member is read once: what null would reset is zero already.
		return d.word("null")
	case '{':
		if v.Kind() == reflect.Map {
			return d.mapping(v, depth)
		}
		return v.Kind() == reflect.Struct && d.object(v, depth)
	case '[':
		return v.Kind() == reflect.Slice && d.array(v, depth)
	case '"':
		s, ok := d.text()
		if !ok || v.Kind() != reflect.String {
			return false
		}
		v.SetString(s)
		return true
	case 't', 'f':
		return v.Kind() == reflect.Bool && d.boolean(v)
	}
	return d.number(v)
}

func (d *decoder) boolean(v reflect.Value) bool {
	truth := d.data[d.at] == 't'
	v.SetBool(truth)
	return d.word(strconv.FormatBool(truth))
}

// members calls member for each member of an object, behind its colon.
func (d *decoder) members(member func(name string) bool) bool {
	if !d.take('{') {
		return false
	}
	if d.take('}') {
		return true
	}
	for {
		if d.peek() != '"' {
			return false
		}
		name, ok := d.text()
		if !ok || !d.take(':') || !member(name) {
			return false
		}
		if !d.take(',') {
			return d.take('}')
		}
	}
}

func (d *decoder) object(v reflect.Value, depth int) bool {
	t := d.types.of(v.Type())
	if t == nil {
		return false
	}
	var seen uint64
	return d.members(func(name string) bool {
		i := t.find(name)
		if i < 0 {
			// encoding/json takes "Mounts" for "mounts".
			return !t.folds(name) && d.skip(depth+1)
		}
		if seen&(1<<i) != 0 {
			return false // encoding/json merges the two
		}
		seen |= 1 << i
		return d.value(v.FieldByIndex(t.fields[i].index), depth+1)
	})
}

func (d *decoder) mapping(v reflect.Value, depth int) bool {
	t := v.Type()
	if t.Key().Kind() != reflect.String || reflect.PointerTo(t.Key()).NumMethod() > 0 {
		return false
	}
	v.Set(reflect.MakeMap(t))
	return d.members(func(name string) bool {
		key := reflect.ValueOf(name).Convert(t.Key())
		if v.MapIndex(key).IsValid() {
			return false
		}
		value := reflect.New(t.Elem()).Elem()
		ok := d.value(value, depth+1)
		v.SetMapIndex(key, value)
		return ok
	})
}

func (d *decoder) array(v reflect.Value, depth int) bool {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		return false // base64
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	d.at++
	if d.take(']') {
		return true
	}
	for i := 0; ; i++ {
		v.Grow(1)
		v.SetLen(i + 1)
		if !d.value(v.Index(i), depth+1) {
			return false
		}
		if !d.take(',') {
			return d.take(']')
		}
	}
}

// text reads a string.
func (d *decoder) text() (string, bool) {
	begin := d.at
	escaped := false
	for i := begin + 1; i < len(d.data); i++ {
		switch c := d.data[i]; {
		case c == '"':
			d.at = i + 1
			if !escaped {
				return string(d.data[begin+1 : i]), true
			}
			var s string
			err := json.Unmarshal(d.data[begin:d.at], &s)
			return s, err == nil
		case c == '\\':
			escaped = true
			i++
		case c < ' ':
			return "", false
		}
	}
	return "", false
}

func (d *decoder) number(v reflect.Value) bool {
	text, ok := d.digits()
	if !ok {
		return false
	}
	switch kind := v.Kind(); {
	case v.CanInt():
		n, err := strconv.ParseInt(text, 10, v.Type().Bits())
		v.SetInt(n)
		return err == nil
	case v.CanUint():
		n, err := strconv.ParseUint(text, 10, v.Type().Bits())
		v.SetUint(n)
		return err == nil
	case kind == reflect.Float32 || kind == reflect.Float64:
		n, err := strconv.ParseFloat(text, v.Type().Bits())
		v.SetFloat(n)
		return err == nil
	}
	return false
}

// digits takes a number by JSON's grammar: strconv would take more.
func (d *decoder) digits() (string, bool) {
	d.peek()
	begin := d.at
	run := func() bool {
		first := d.at
		for d.at < len(d.data) && '0' <= d.data[d.at] && d.data[d.at] <= '9' {
			d.at++
		}
		return d.at > first
	}
	next := func(any string) bool {
		if d.at < len(d.data) && strings.IndexByte(any, d.data[d.at]) >= 0 {
			d.at++
			return true
		}
		return false
	}
	next("-")
	ok := next("0") || run()
	if next(".") {
		ok = run() && ok
	}
	if next("eE") {
		next("+-")
		ok = run() && ok
	}
	return string(d.data[begin:d.at]), ok
}

// raw takes any value as it stands.
func (d *decoder) raw(depth int) ([]byte, bool) {
	d.peek()
	begin := d.at
	ok := d.skip(depth)
	return d.data[begin:d.at], ok
}

// skip takes any value.
func (d *decoder) skip(depth int) bool {
	if depth > maxDepth {
		return false
	}
	switch d.peek() {
	case '{':
		return d.members(func(string) bool { return d.skip(depth + 1) })
	case '[':
		d.at++
		if d.take(']') {
			return true
		}
		for d.skip(depth + 1) {
			if !d.take(',') {
				return d.take(']')
			}
		}
		return false
	case '"':
		_, ok := d.text()
		return ok
	case 't':
		return d.word("true")
	case 'f':
		return d.word("false")
	case 'n':
		return d.word("null")
	}
	_, ok := d.digits()
	return ok
}
