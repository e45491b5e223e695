package specconv

import "strings"

// word is a name of config.json and the kernel's number for it.
type word struct {
	name  string
	value uint64
}

// lookUp finds the number of a name that has to be given.
func lookUp[S ~string](at string, given S, words []word) (uint64, error) {
	if given == "" {
		return 0, missing(at)
	}
	for _, w := range words {
		if w.name == string(given) {
			return w.value, nil
		}
	}
	return 0, refuse(at, string(given), "not one of %s", nameWords(words))
}

// union is lookUp for a list of flags.
func union[S ~string](at string, given []S, words []word) (flags uint64, err error) {
	var bad problems
	for i, name := range given {
		flag, err := lookUp(item(at, i), name, words)
		bad.add(err)
		flags |= flag
	}
	return flags, bad.err()
}

// wordNames lists the names of a table.
func wordNames(words []word) []string {
	names := make([]string, len(words))
	for i, w := range words {
		names[i] = w.name
	}
	return names
}

func nameWords(words []word) string { return strings.Join(wordNames(words), ", ") }
