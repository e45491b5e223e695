package specconv

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/lazyjson"
)

// configName is the file of a bundle that describes the container (bundle.md).
const configName = "config.json"

// maxConfig bounds the size of a config.json in bytes. The largest that
// engines write, with all of seccomp in them, stay below one MiB.
const maxConfig = 32 << 20

// Load reads config.json of a bundle. Properties that the specification does
// not have are ignored, as it demands. An error names the file, and in it line
// and column or the JSON path of what is wrong.
func Load(bundle string) (*specs.Spec, error) {
	data, err := readBundle(bundle)
	if err != nil {
		return nil, err
	}
	spec, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", filepath.Join(bundle, configName), err)
	}
	return spec, nil
}

// readBundle reads the bytes of a bundle's config.json.
func readBundle(bundle string) ([]byte, error) {
	name := filepath.Join(bundle, configName)
	data, err := readConfig(name, regular)
	if errors.Is(err, fs.ErrNotExist) {
		if _, statErr := os.Stat(bundle); statErr != nil {
			return nil, fmt.Errorf("open bundle %s: %w", bundle, bare(statErr))
		}
		// runc's words, which callers look for.
		return nil, fmt.Errorf("load %s: JSON specification file %s not found", name, configName)
	}
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", name, bare(err))
	}
	return data, nil
}

// LoadProcess reads a process.json: what stands under "process" in a
// config.json. It may be a pipe: /dev/stdin.
func LoadProcess(name string) (*specs.Process, error) {
	data, err := readConfig(name, regularOrPipe)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", name, bare(err))
	}
	p := &specs.Process{}
	if err := decode(data, p); err != nil {
		return nil, fmt.Errorf("load %s: %w", name, err)
	}
	return p, nil
}

// What readConfig takes.
const (
	regular       = false
	regularOrPipe = true
)

func readConfig(name string, pipe bool) ([]byte, error) {
	// O_NONBLOCK: a fifo must not hang the open.
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() && !(pipe && st.Mode()&fs.ModeNamedPipe != 0) {
		return nil, errors.New("not a regular file")
	}
	if st.Size() <= maxConfig {
		// The size is no promise: the file may grow, or be in /proc.
		var data bytes.Buffer
		data.Grow(int(st.Size()) + bytes.MinRead)
		_, err := data.ReadFrom(io.LimitReader(f, maxConfig+1))
		if err != nil || data.Len() <= maxConfig {
			return data.Bytes(), err
		}
	}
	return nil, fmt.Errorf("larger than %d MiB", maxConfig>>20)
}

func parse(data []byte) (*specs.Spec, error) {
	spec := &specs.Spec{}
	if err := decode(data, spec); err != nil {
		return nil, err
	}
	return spec, nil
}

// decode reads one JSON object and nothing after it.
func decode(data []byte, to any) error {
	if i := invalidUTF8(data); i >= 0 {
		return fmt.Errorf("%s: not UTF-8", position(data, i))
	}
	err := lazyjson.Unmarshal(data, to)
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("%s: %w", position(data, syntaxOffset(data, syntax)), err)
	case errors.As(err, &typ):
		return typeError(data, typ)
	case err != nil:
		return err
	}
	// null decodes into anything without an error.
	if !bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) {
		return errors.New("line 1, column 1: got null, want an object")
	}
	return nil
}

// syntaxOffset is the index of the byte that is wrong, or the end where the
// text stops too early; the decoder counts the bytes that it has read.
func syntaxOffset(data []byte, e *json.SyntaxError) int {
	if e.Error() == "unexpected end of JSON input" {
		return len(data)
	}
	return int(e.Offset) - 1
}

// invalidUTF8 is the index of the first byte that is not UTF-8, or -1. The
// decoder would quietly replace it, and change a path.
func invalidUTF8(data []byte) int {
	if utf8.Valid(data) {
		return -1
	}
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

// position names the place of a byte as editors count: from 1, columns in
// bytes.
func position(data []byte, offset int) string {
	offset = min(max(offset, 0), len(data))
	before := data[:offset]
	line := 1 + bytes.Count(before, []byte("\n"))
	column := offset - bytes.LastIndexByte(before, '\n')
	return "line " + strconv.Itoa(line) + ", column " + strconv.Itoa(column)
}

func typeError(data []byte, e *json.UnmarshalTypeError) error {
	at := position(data, int(e.Offset)-1)
	if field := jsonField(e.Field); field != "" {
		at += ": " + field
	}
	return fmt.Errorf("%s: got %s, want %s", at, article(e.Value), wanted(e.Type))
}

// jsonField drops the names of embedded Go structs from a decoder's path;
// they are not in the file.
func jsonField(field string) string {
	return strings.ReplaceAll(field, "LinuxBlockIODevice.", "")
}

// article makes the decoder's word for a JSON value readable: "number 1.5" is
// a value already, "array" becomes "an array".
func article(value string) string {
	switch {
	case value == "array" || value == "object":
		return "an " + value
	case value == "bool":
		return "true or false"
	case strings.Contains(value, " "):
		return value
	}
	return "a " + value
}

// wanted says in JSON's terms what fits a Go type.
func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return wanted(t.Elem())
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "an integer from 0 to " + strconv.FormatUint(1<<t.Bits()-1, 10)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		limit := uint64(1) << (t.Bits() - 1)
		return "an integer from -" + strconv.FormatUint(limit, 10) + " to " + strconv.FormatUint(limit-1, 10)
	}
	return t.String()
}
