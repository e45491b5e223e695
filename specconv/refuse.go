package specconv

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// BadValue is what is wrong with one property.
type BadValue struct {
	File  string // "config.json"
	Path  string // JSON path, without the quotes that a purist would put around keys: "linux.resources.memory.limit"
	Value string // as it is shown to a person; "" if there is none
	Cause error
}

func (b *BadValue) Error() string {
	text := b.File + ": " + printable(b.Path) + ": "
	if b.Value != "" {
		text += b.Value + ": "
	}
	return text + b.Cause.Error()
}

// Unwrap gives the cause.
func (b *BadValue) Unwrap() error { return b.Cause }

// refuse is the error for a value in config.json. path is the value's JSON
// path.
func refuse(path string, value any, cause string, args ...any) error {
	text := fmt.Sprint(value)
	if s, ok := value.(string); ok {
		text = quote(s)
	}
	return &BadValue{configName, path, text, fmt.Errorf(cause, args...)}
}

// missing is the error for a property that has to be there.
func missing(path string) error {
	return &BadValue{File: configName, Path: path, Cause: errors.New("missing")}
}

// lacks is the error for a property that does not go without something else.
func lacks(path, what string, args ...any) error {
	return &BadValue{File: configName, Path: path, Cause: fmt.Errorf(what, args...)}
}

// quote makes a string of config.json printable, and keeps an error readable
// where the string is a megabyte long.
func quote(s string) string {
	if len(s) <= maxShown {
		return strconv.Quote(s)
	}
	return strconv.Quote(s[:maxShown]) + "..."
}

// maxShown is how many bytes of a string of config.json an error shows.
const maxShown = 256

// printable is a JSON path in one line: a key in it can be any string.
func printable(path string) string {
	odd := func(r rune) bool { return !strconv.IsPrint(r) }
	if len(path) <= maxShown && strings.IndexFunc(path, odd) < 0 {
		return path
	}
	return strings.ReplaceAll(quote(path), `"`, "")
}

// item is the JSON path of one element: list[i].
func item(list string, i int) string {
	return list + "[" + strconv.Itoa(i) + "]"
}

// checkNUL refuses a NUL byte: the kernel takes it for the end of the string,
// so what it sees would not be what was checked.
func checkNUL(path, s string) error {
	if strings.IndexByte(s, 0) >= 0 {
		return refuse(path, s, "contains a NUL byte")
	}
	return nil
}

// checkNULs is checkNUL for each element of a list.
func checkNULs(path string, list []string) error {
	var bad problems
	for i, s := range list {
		if strings.IndexByte(s, 0) >= 0 {
			bad.add(checkNUL(item(path, i), s))
		}
	}
	return bad.err()
}

// checkWord refuses what cannot be one word on a line of a cgroup file: an
// empty string, white space, and control characters.
func checkWord(path, s string) error {
	if s == "" {
		return refuse(path, s, "must not be empty")
	}
	for _, r := range s {
		if r <= ' ' || r == 0x7f {
			return refuse(path, s, "contains white space or a control character")
		}
	}
	return nil
}
