package commands

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestComplete(t *testing.T) {
	root := t.TempDir()
	tests := map[string]struct {
		words string // the last one is unfinished; "_" is an empty word
		want  string // the candidates; "..." at the end: and others
	}{
		"verbs":              {"_", "spec create start ..."},
		"verb":               {"st", "start state"},
		"hidden":             {"hoo", ""},
		"global flags":       {"--lo", "--log --log-format"},
		"value":              {"--log _", ""},
		"trace":              {"--tr", "--trace --trace-format"},
		"value of a trace":   {"--trace st", ""},
		"behind a value":     {"--log x st", "start state"},
		"value with =":       {"--log=x st", "start state"},
		"flags of a verb":    {"exec --pid", "--pid-file ..."},
		"value in a verb":    {"create --bundle _", ""},
		"flag without value": {"delete --force --fo", "--force"},
		"no container":       {"--root " + root + " state _", ""},
		"new container":      {"create _", ""},
		"signals":            {"kill box1 T", "TRAP TERM TSTP TTIN TTOU"},
		"help":               {"help sta", "start state"},
		"shells":             {"completion _", "bash fish zsh"},
		"unknown verb":       {"nothing _", ""},
		"program":            {"exec box1 --", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			e := &env{streams: Streams{os.Stdin, os.Stdout, os.Stderr}}
			var words []string
			for word := range strings.FieldsSeq(tt.words) {
				words = append(words, strings.ReplaceAll(word, "_", ""))
			}
			got := e.complete(e.app(Build{}), words)
			want := strings.Fields(tt.want)
			if n := len(want); n > 0 && want[n-1] == "..." {
				want = want[:n-1]
				got = got[:min(len(got), n-1)]
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}
