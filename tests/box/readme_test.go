package box

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// literal are the lines of the seeds.
var literal = []string{
	`mocker run ubuntu:latest /bin/ls /`,
	`mocker run ubuntu:latest /bin/echo "Hello from container"`,
	`mocker run ubuntu:latest /bin/sh`,
	`mocker run ubuntu:latest /bin/ps`,
	`mocker run sh`,
	`mocker run echo "hello world!"`,
}

// session is a command of the README, and what the terminal shows after it.
type session struct {
	command string
	shown   []string
}

// sessions finds the blocks of the README that begin with a prompt of root.
func sessions(t *testing.T) []session {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var list []session
	open := false
	for line := range strings.Lines(string(text)) {
		code, ok := strings.CutPrefix(strings.TrimRight(line, "\n"), "    ")
		command, prompt := strings.CutPrefix(code, "# mocker run ")
		switch {
		case !ok:
			open = false
		case prompt:
			open = true
			list = append(list, session{command: "mocker run " + command})
		case open:
			last := &list[len(list)-1]
			last.shown = append(last.shown, code)
		}
	}
	return list
}

// What the README leaves out: colours, and the greeting of busybox's shell.
var (
	escapes  = regexp.MustCompile("\x1b\\[[0-9;]*[A-Za-z]")
	greeting = regexp.MustCompile(`\n+BusyBox .*\nEnter 'help' .*\n\n`)
)

// TestReadme types what the README shows, on a terminal, and compares.
func TestReadme(t *testing.T) {
	drive.NeedRoot(t)
	const prompt = "/ # "
	left := map[string]bool{}
	for _, line := range literal {
		left[line] = true
	}
	for _, s := range sessions(t) {
		t.Run(s.command, func(t *testing.T) {
			before := drive.TakeSnapshot(t)
			delete(left, s.command)
			term := drive.OnTerminal(t, "sh", "-c", inPath(t)+"exec "+s.command)
			for _, line := range s.shown {
				if typed, ok := strings.CutPrefix(line, prompt); ok {
					term.Expect(prompt)
					term.Type(typed + "\r")
				}
			}
			if code := term.Wait(); code != 0 {
				t.Errorf("exit %d", code)
			}
			got := escapes.ReplaceAllString(strings.ReplaceAll(term.Shown(), "\r", ""), "")
			got = greeting.ReplaceAllString("\n"+got, "\n")[1:]
			if want := strings.Join(s.shown, "\n") + "\n"; got != want {
				t.Errorf("the terminal shows\n%s\nthe README\n%s", got, want)
			}
			before.Unchanged(t)
		})
	}
	for line := range left {
		t.Errorf("not in the README: %s", line)
	}
}
