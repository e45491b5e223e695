package commands

import (
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
)

// unbuilt are the verbs of runc that mocker will have and does not have yet.
const unbuilt = " checkpoint restore "

// usageError turns a flag that cannot be parsed into one line. cli would print
// the whole help on stdout, which belongs to answers.
func usageError(c *cli.Context, err error, isVerb bool) error {
	message := err.Error()
	help := "mocker --help"
	if isVerb {
		message = c.Command.Name + ": " + message
		help = "mocker help " + c.Command.Name
	}
	if near := nearestFlag(err, c.Command.Flags); near != "" {
		return fmt.Errorf("%s (did you mean %s?)", message, near)
	}
	return fmt.Errorf("%s (see %q)", message, help)
}

// unknownVerb names the verbs that were possibly meant.
func unknownVerb(name string, verbs []*cli.Command) error {
	if strings.Contains(unbuilt, " "+name+" ") {
		return fmt.Errorf("command %q is not built yet (see \"mocker --help\")", name)
	}
	var names []string
	for _, verb := range verbs {
		if !verb.Hidden {
			names = append(names, verb.Name)
		}
	}
	if near := nearest(name, names); near != nil {
		return fmt.Errorf("unknown command %q (did you mean %s?)", name, strings.Join(near, " or "))
	}
	return fmt.Errorf("unknown command %q (see \"mocker --help\")", name)
}

// nearestFlag finds the flag that was possibly meant when err is about one
// that does not exist.
func nearestFlag(err error, flags []cli.Flag) string {
	_, name, ok := strings.Cut(err.Error(), "flag provided but not defined: -")
	if !ok {
		return ""
	}
	var names []string
	for _, flag := range flags {
		names = append(names, flag.Names()...)
	}
	near := nearest(strings.TrimLeft(name, "-"), names)
	for i := range near {
		near[i] = "--" + near[i]
	}
	return strings.Join(near, " or ")
}

// nearest returns the candidates that need the fewest edits to become word,
// none when even those have little in common with it.
func nearest(word string, candidates []string) []string {
	var best []string
	least := len(word)/3 + 1
	for _, candidate := range candidates {
		if len(candidate) < 2 {
			continue // -b is near to every short word
		}
		switch edits := distance(word, candidate); {
		case edits > least:
		case edits < least:
			best, least = []string{candidate}, edits
		default:
			best = append(best, candidate)
		}
	}
	return best
}

// distance counts the single-character edits between two words (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// wantArgs checks the number of arguments of a verb, in runc's words.
func wantArgs(c *cli.Context, least, most int) error {
	n := c.NArg()
	var want string
	switch {
	case n >= least && n <= most:
		return nil
	case least == most:
		want = fmt.Sprintf("exactly %d", least)
	case n < least:
		want = fmt.Sprintf("a minimum of %d", least)
	default:
		want = fmt.Sprintf("a maximum of %d", most)
	}
	text := fmt.Sprintf("%q requires %s argument(s) (usage: mocker %s", c.Command.Name, want, c.Command.Name)
	if c.Command.ArgsUsage != "" {
		text += " " + c.Command.ArgsUsage
	}
	for _, arg := range c.Args().Tail() {
		if strings.HasPrefix(arg, "-") {
			return fmt.Errorf("%s; flags such as %q come before the arguments)", text, arg)
		}
	}
	return errors.New(text + ")")
}
