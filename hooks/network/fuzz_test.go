package network

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// FuzzStore wants of a record one that can be worked with and is the same when
// it has been saved and read again, or an error that names the file.
func FuzzStore(f *testing.F) {
	for _, text := range []string{
		"", "null", "{}", "[]", `{"leases":null}`, `{"leases":{"a":null}}`, `{"leases":{"":{}}}`, `{"leases":{"a":{"subnet":"10.0.0.0/16","address":"10.0.0.2","link":"x","mac":"y"}}}`,
		`{"leases":{"a":{"subnet":"10.0.0.0/99"}}}`, `{"leases":{"a":{"subnet":"","address":""}}}`, `{"rules":{"10.0.0.0/16":"made","":"x"}}`, `{"rules":{"10.0.0.1/16":"making"}}`,
		`{"forward":{}}`, `{"forward":{"restore":{"a":"b"}}}`, `{"leases":{"a":{"subnet":"fe80::/64","address":"fe80::1%eth0"}}}`,
	} {
		f.Add([]byte(text))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		s := &store{path: dir}
		path := filepath.Join(dir, recordName)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := s.load(); err != nil {
			if !strings.Contains(err.Error(), path) {
				t.Errorf("no file in %q", err)
			}
			return
		}
		s.rec.inUse(netip.MustParsePrefix("10.0.0.0/16"))
		data, err := json.Marshal(s.rec)
		if err != nil {
			t.Fatal(err)
		}
		again := &store{path: dir}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := again.load(); err != nil || !reflect.DeepEqual(again.rec, s.rec) {
			t.Errorf("%v: saved %s, read %+v", err, data, again.rec)
		}
	})
}
