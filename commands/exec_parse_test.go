package commands

import (
	"maps"
	"testing"
)

// TestParseID: what could be taken for root by mistake is refused
// (CVE-2026-30892).
func TestParseID(t *testing.T) {
	for text, want := range map[string]uint32{"0": 0, "1": 1, "007": 7, "4294967294": 4294967294} {
		if got, ok := parseID(text); got != want || !ok {
			t.Errorf("parseID(%q) = %d, %t", text, got, ok)
		}
	}
	for _, text := range []string{"", "-1", "+1", "1x", "x", " 1", "1 ", "0x1", "1_0", "1.0", "4294967295", "4294967296", "root"} {
		if got, ok := parseID(text); ok {
			t.Errorf("parseID(%q) = %d", text, got)
		}
	}
}

func TestParseCgroups(t *testing.T) {
	for _, test := range []struct {
		values []string
		want   map[string]string
		err    string
	}{
		{nil, nil, ""},
		{[]string{"/a/b"}, map[string]string{"": "/a/b"}, ""},
		{[]string{"cpu:a"}, map[string]string{"cpu": "a"}, ""},
		{[]string{"cpu,memory:a", "pids:b:c"}, map[string]string{"cpu": "a", "memory": "a", "pids": "b:c"}, ""},
		{[]string{"cpu:a", "b"}, nil, `--cgroup "b": one of several needs controllers, as in cpu,memory:PATH`},
		{[]string{"a", "b"}, nil, `--cgroup "a": one of several needs controllers, as in cpu,memory:PATH`},
		{[]string{":a"}, nil, `--cgroup ":a": an empty name of a controller`},
		{[]string{"cpu,:a"}, nil, `--cgroup "cpu,:a": an empty name of a controller`},
		{[]string{"cpu:a", "cpu:b"}, nil, `--cgroup "cpu:b": controller cpu is given twice`},
	} {
		got, err := parseCgroups(test.values)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if !maps.Equal(got, test.want) || text != test.err {
			t.Errorf("%q: %v, %q; want %v, %q", test.values, got, text, test.want, test.err)
		}
	}
}

// TestExecFails: what exec itself could not do has an exit code of its own.
func TestExecFails(t *testing.T) {
	for _, line := range [][]string{{"exec"}, {"exec", "--frobnicate"}, {"exec", "none-such", "true"}, {"--root", "", "exec", "x", "y"}} {
		if got := call(t, line...); got.code != 255 || got.out != "" {
			t.Errorf("%q: %+v", line, got)
		}
	}
}
