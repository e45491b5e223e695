package lazyjson

import (
	"reflect"
	"strings"
)

// Types are what is known of the types that have been met: to read that takes
// as long as a short document. It must not be used by two at the same time.
type Types map[reflect.Type]*structType

// structType is what tags say about the members of an object.
type structType struct {
	fields []field // in the order of the type
}

type field struct {
	name      string
	index     []int // for reflect's FieldByIndex
	omitempty bool
	omitzero  bool
}

// find is the index of the field of this name, or -1.
func (t *structType) find(name string) int {
	for i := range t.fields {
		if t.fields[i].name == name {
			return i
		}
	}
	return -1
}

// folds reports whether a name is that of a field but for its case.
func (t *structType) folds(name string) bool {
	for i := range t.fields {
		if strings.EqualFold(t.fields[i].name, name) {
			return true
		}
	}
	return false
}

// of returns nil for a type whose tags have more to them than a name and
// omitempty or omitzero.
func (t Types) of(it reflect.Type) *structType {
	if known, ok := t[it]; ok {
		return known
	}
	read := readStruct(it)
	t[it] = read
	return read
}

func readStruct(t reflect.Type) *structType {
	s := &structType{}
	if !s.add(t, nil) || len(s.fields) > 64 {
		return nil
	}
	return s
}

func (s *structType) add(t reflect.Type, above []int) bool {
	for i := range t.NumField() {
		f := t.Field(i)
		index := append(above[:len(above):len(above)], i)
		tag := f.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		switch {
		case f.Anonymous && name == "" && f.IsExported() && f.Type.Kind() == reflect.Struct:
			if !s.add(f.Type, index) {
				return false
			}
			continue
		case f.Anonymous:
			return false
		case !f.IsExported() || tag == "-":
			continue
		case name == "":
			name = f.Name
		}
		member := field{name, index, options == "omitempty", options == "omitzero"}
		known := options == "" || member.omitempty || member.omitzero && !saysZero(f.Type)
		if !known || s.find(name) >= 0 {
			return false
		}
		s.fields = append(s.fields, member)
	}
	return true
}

// saysZero reports whether a type has its own idea of what is zero, which
// omitzero asks for.
func saysZero(t reflect.Type) bool {
	zero := reflect.TypeFor[interface{ IsZero() bool }]()
	return t.Implements(zero) || reflect.PointerTo(t).Implements(zero)
}
