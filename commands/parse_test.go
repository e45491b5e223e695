package commands

import (
	"errors"
	"slices"
	"syscall"
	"testing"

	"github.com/urfave/cli/v2"
)

func TestParseSignal(t *testing.T) {
	tests := []struct {
		text string
		want syscall.Signal // -1: refused
	}{
		{"TERM", syscall.SIGTERM},
		{"SIGTERM", syscall.SIGTERM},
		{"term", syscall.SIGTERM},
		{"sigkill", syscall.SIGKILL},
		{"15", syscall.SIGTERM},
		{"0", 0},
		{"64", 64},
		{"SIGRTMIN", 34},
		{"SIGRTMIN+3", 37},
		{"rtmin+30", 64},
		{"RTMAX", 64},
		{"RTMAX-14", 50},
		{"RTMIN+31", -1},
		{"RTMAX-31", -1},
		{"RTMIN-1", -1},
		{"RTMAX+1", -1},
		{"RTMIN3", -1},
		{"RTMIN+x", -1},
		{"65", -1},
		{"-9", -1},
		{"", -1},
		{"SIG", -1},
		{"SIGSIGTERM", -1},
		{"FOO", -1},
	}
	for _, test := range tests {
		got, err := parseSignal(test.text)
		if test.want == -1 {
			if err == nil {
				t.Errorf("parseSignal(%q) = %d, want an error", test.text, got)
			}
			continue
		}
		if err != nil || got != test.want {
			t.Errorf("parseSignal(%q) = %d, %v, want %d", test.text, got, err, test.want)
		}
	}
}

func TestForwarded(t *testing.T) {
	refused := []syscall.Signal{0, syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGCHLD, syscall.SIGPIPE, syscall.SIGURG, syscall.SIGWINCH, 32, 33, 65}
	for n := syscall.Signal(0); n <= 65; n++ {
		if forwarded(n) == slices.Contains(refused, n) {
			t.Errorf("forwarded(%d) = %t", n, forwarded(n))
		}
	}
}

func TestPeek(t *testing.T) {
	tests := []struct {
		args []string
		want Globals
	}{
		{nil, Globals{Root: "/run/mocker"}},
		{[]string{"create", "x"}, Globals{Verb: "create", Args: true, Root: "/run/mocker"}},
		{[]string{"run"}, Globals{Verb: "run", Root: "/run/mocker"}},
		{[]string{"--root", "/a", "--root=/b", "list"}, Globals{Verb: "list", Root: "/b"}},
		{[]string{"-root", "/a/../c", "run", "--root", "/d", "x"}, Globals{Verb: "run", Args: true, Root: "/c"}},
		{
			[]string{"--log", "create", "--log-format=json", "--debug", "--rootless", "false", "--systemd-cgroup", "start", "x"},
			Globals{Verb: "start", Args: true, Root: "/run/mocker", Log: "create", JSON: true, Debug: true},
		},
		{[]string{"--debug=false", "--", "run", "x"}, Globals{Verb: "run", Args: true, Root: "/run/mocker"}},
		{[]string{"--root"}, Globals{Root: "/run/mocker"}},
	}
	for _, test := range tests {
		if got := Peek(append([]string{"mocker"}, test.args...)); got != test.want {
			t.Errorf("Peek(%q) = %+v, want %+v", test.args, got, test.want)
		}
	}
}

func TestEntersContainer(t *testing.T) {
	for _, test := range []struct {
		g    Globals
		want bool
	}{
		{Globals{Verb: "create", Args: true}, true},
		{Globals{Verb: "run", Args: true}, true},
		{Globals{Verb: "run"}, false},
		{Globals{Verb: "state", Args: true}, false},
	} {
		if got := test.g.EntersContainer(); got != test.want {
			t.Errorf("%+v: got %t", test.g, got)
		}
	}
}

// TestPeekKnowsTheFlags: Peek and cli must agree on which flags take a value,
// or they would see different verbs.
func TestPeekKnowsTheFlags(t *testing.T) {
	for _, flag := range globalFlags() {
		_, isBool := flag.(*cli.BoolFlag)
		for _, name := range flag.Names() {
			if takesValue(name) == isBool {
				t.Errorf("--%s: takesValue is %t", name, takesValue(name))
			}
		}
	}
}

func TestCheckConsole(t *testing.T) {
	const noSocket = "cannot allocate tty if mocker will detach without setting console socket"
	const noUse = "cannot use console socket if mocker will not detach or allocate tty"
	tests := []struct {
		detached, terminal bool
		socket             string
		want               string
	}{
		{true, true, "/s", ""},
		{true, true, "", noSocket},
		{true, false, "", ""},
		{true, false, "/s", noUse},
		{false, true, "", ""},
		{false, true, "/s", noUse},
		{false, false, "", ""},
		{false, false, "/s", noUse},
	}
	for _, test := range tests {
		got := ""
		if err := checkConsole(test.detached, test.terminal, test.socket); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%+v: got %q", test, got)
		}
	}
}

func TestOneLine(t *testing.T) {
	if got := oneLine(errors.New("hook x: exit status 1:\n  a \r\nb\n")); got != "hook x: exit status 1:; a; b" {
		t.Errorf("got %q", got)
	}
}
