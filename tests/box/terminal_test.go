package box

import (
	"strings"
	"testing"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// TestTerminal: a box has a terminal if the caller has, or as it is told.
func TestTerminal(t *testing.T) {
	drive.NeedRoot(t)
	for _, row := range []struct{ flags, redirect, want string }{
		{"", "", "yes yes yes xterm"},
		{"", "</dev/null", "no yes yes -"},
		{"", "| cat", "yes no yes -"},
		{"-it", "| cat", "yes yes yes xterm"},
		{"-ti", "</dev/null", "yes yes yes xterm"},
		{"--tty=false", "", "yes yes yes -"}, // the caller's own
		{"--interactive=false", "", "no yes yes -"},
		{"-i -t --rm -e X=1", "", "yes yes yes xterm"},
		{"-ite X=1", "", "yes yes yes xterm"},
	} {
		const script = `for fd in 0 1 2; do [ -t $fd ] && printf "yes " || printf "no "; done; echo ${TERM--}`
		term := drive.OnTerminal(t, "sh", "-c", inPath(t)+"unset TERM; mocker run --network none "+row.flags+" sh -c '"+script+"' "+row.redirect)
		if code := term.Wait(); code != 0 || strings.TrimSpace(term.Shown()) != row.want {
			t.Errorf("%q %q: exit %d, %q, want %q", row.flags, row.redirect, code, term.Shown(), row.want)
		}
	}
}

// TestKeyboard: Ctrl-C is the container's, as is the size of the window.
func TestKeyboard(t *testing.T) {
	drive.NeedRoot(t)
	before := drive.TakeSnapshot(t)
	term := drive.OnTerminal(t, "sh", "-c", inPath(t)+"exec mocker run --network none --name "+newName(t)+" sh")
	term.Expect("/ # ")
	term.Type("stty size\r")
	term.Expect("24 80\r\n")
	term.Type("sh -c 'echo begun; exec sleep 100'\r")
	term.Expect("begun\r\n")
	term.Type("\x03")
	term.Expect("/ # ")
	term.Type("exit 7\r")
	if code := term.Wait(); code != 7 {
		t.Errorf("exit %d\n%s", code, term.Shown())
	}
	before.Unchanged(t)
}
