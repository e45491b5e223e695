package commands

import (
	"maps"
	"testing"
)

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
