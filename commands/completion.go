package commands

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/mocker-runtime/mocker/libcontainer"
)

// The scripts ask mocker itself, by the hidden verb "complete", which words may
// stand where the cursor is: so they never know other flags than the binary
// does. Where it has nothing to say, files are completed.
var completionScripts = map[string]string{
	"bash": `_mocker() {
	local IFS=$'\n'
	COMPREPLY=($(mocker complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _mocker mocker
`,
	"zsh": `#compdef mocker
_mocker() {
	local -a found
	found=("${(@f)$(mocker complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
	if [[ -n "$found" ]]; then compadd -- $found; else _files; fi
}
if [[ "$funcstack[1]" = _mocker ]]; then _mocker; else compdef _mocker mocker; fi
`,
	"fish": `function __mocker_complete
	set -l words (commandline -opc) (commandline -ct)
	set -l found (mocker complete $words[2..-1] 2>/dev/null)
	if test -n "$found"
		printf '%s\n' $found
	else
		__fish_complete_path (commandline -ct)
	end
end
complete -c mocker -f -a '(__mocker_complete)'
`,
}

func (e *env) completionVerb() *cli.Command {
	return &cli.Command{
		Name:      "completion",
		Usage:     "print what makes a shell complete mocker's command lines",
		ArgsUsage: "bash|zsh|fish",
		Description: `completion prints a script for a shell, after which the tab key completes verbs,
flags, the ids of containers, and signals. "make install" installs it for all
three shells.

EXAMPLE
    source <(mocker completion bash)`,
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 1, 1); err != nil {
				return err
			}
			script, ok := completionScripts[c.Args().First()]
			if !ok {
				return fmt.Errorf("completion %q: want bash, zsh or fish", c.Args().First())
			}
			_, err := fmt.Fprint(e.streams.Out, script)
			return err
		},
	}
}

// completeVerb answers the scripts: its arguments are the words of a command
// line up to the cursor, the last of them unfinished.
func (e *env) completeVerb() *cli.Command {
	return &cli.Command{
		Name:            "complete",
		Hidden:          true,
		Usage:           "list the words that may stand at the end of a command line",
		ArgsUsage:       "[word]...",
		SkipFlagParsing: true,
		Action: func(c *cli.Context) error {
			words := c.Args().Slice()
			if len(words) == 0 {
				words = []string{""}
			}
			for _, word := range e.complete(c.App, words) {
				if _, err := fmt.Fprintln(e.streams.Out, word); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// complete lists what may stand in place of the last word.
func (e *env) complete(app *cli.App, words []string) []string {
	last := len(words) - 1
	line := readLine(app, words[:last])
	if line.value {
		return nil
	}
	var candidates []string
	switch {
	case strings.HasPrefix(words[last], "-") && len(line.args) == 0:
		candidates = flagWords(line.flags)
	case line.verb == nil || line.verb.Name == "help" && len(line.args) == 0:
		for _, verb := range app.Commands {
			if !verb.Hidden {
				candidates = append(candidates, verb.Name)
			}
		}
	default:
		candidates = e.arguments(line)
	}
	return startingWith(candidates, words[last])
}

// arguments lists what may be the next argument of a verb.
func (e *env) arguments(line halfLine) []string {
	switch verb, n := line.verb.Name, len(line.args); {
	case n == 0 && verb == "completion":
		return []string{"bash", "fish", "zsh"}
	case n == 0 && verb != "create" && verb != "run" && strings.HasPrefix(line.verb.ArgsUsage, "<container-id>"):
		return containerIDs(Peek(append([]string{"mocker"}, line.words...)).Root)
	case n == 1 && verb == "kill":
		return signalNames()
	}
	return nil
}

func containerIDs(root string) []string {
	states, err := libcontainer.List(root, func(error) {})
	if err != nil {
		return nil // the shell completes files instead
	}
	var ids []string
	for _, st := range states {
		ids = append(ids, st.ID)
	}
	return ids
}

// halfLine is what stands before the word to complete.
type halfLine struct {
	words []string
	verb  *cli.Command // nil: none yet
	flags []cli.Flag   // those that may follow
	args  []string     // the arguments of the verb
	value bool         // what follows is the value of a flag
}

func readLine(app *cli.App, words []string) halfLine {
	line := halfLine{words: words, flags: app.Flags}
	for _, word := range words {
		switch {
		case line.value:
			line.value = false
		case strings.HasPrefix(word, "-") && len(line.args) == 0:
			name, _, given := strings.Cut(strings.TrimLeft(word, "-"), "=")
			line.value = !given && valued(line.flags, name)
		case line.verb == nil:
			line.verb = app.Command(word)
			if line.verb == nil {
				line.value = true // unknown: nothing can be said
				return line
			}
			line.flags = line.verb.Flags
		default:
			line.args = append(line.args, word)
		}
	}
	return line
}

// valued reports whether the flag of this name has a value.
func valued(flags []cli.Flag, name string) bool {
	for _, flag := range flags {
		for _, n := range flag.Names() {
			if n == name {
				_, plain := flag.(*cli.BoolFlag)
				return !plain
			}
		}
	}
	return false
}

func flagWords(flags []cli.Flag) []string {
	var words []string
	for _, flag := range flags {
		for _, name := range flag.Names() {
			if len(name) > 1 {
				words = append(words, "--"+name)
			}
		}
	}
	return words
}

func startingWith(candidates []string, start string) []string {
	var found []string
	for _, word := range candidates {
		if strings.HasPrefix(word, start) {
			found = append(found, word)
		}
	}
	return found
}
