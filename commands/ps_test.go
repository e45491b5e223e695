package commands

import (
	"strings"
	"testing"
)

func TestPSTable(t *testing.T) {
	tests := []struct {
		name, table string
		want        string // or the error
	}{
		{"as with -ef", "UID  PID CMD\nroot 1 init\nroot  22 sleep\n0 333 x 22\n", "UID  PID CMD\nroot  22 sleep\n"},
		{"no end of line", "PID\n22", "PID\n22"},
		{"threads", "PID LWP\n22 22\n22 23\n23 24\n", "PID LWP\n22 22\n22 23\n"},
		{"nobody", "PID\n", "PID\n"},
		{"blank lines", "PID\n\n22\n", "PID\n22\n"},
		{"no title", "CMD\nsleep\n", `couldn't find PID field in ps output: its title line is "CMD"`},
		{"nothing", "", `couldn't find PID field in ps output: its title line is ""`},
		{"no number", "PID\nx\n", `find the pid in ps output: "x": strconv.Atoi: parsing "x": invalid syntax`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			err := psTable(&out, test.table, []int{22})
			got := out.String()
			if err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
