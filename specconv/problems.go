package specconv

import "errors"

// problems are all that is wrong with one config.json, in the order in which
// it was found. As an error they read like the first: a container is refused
// with one reason. Validate tells them all.
type problems []error

// mostProblems is where the collecting ends: a config.json can hold millions
// of them.
const mostProblems = 1000

// add takes an error, or each of several; nil is none.
func (p *problems) add(err error) {
	var list problems
	switch {
	case err == nil:
		return
	case !errors.As(err, &list):
		list = problems{err}
	}
	if room := mostProblems - len(*p); len(list) > room {
		list = list[:max(room, 0)]
	}
	*p = append(*p, list...)
}

// err is nil if there are none.
func (p problems) err() error {
	if len(p) == 0 {
		return nil
	}
	return p
}

func (p problems) Error() string { return p[0].Error() }

// Unwrap gives each of them.
func (p problems) Unwrap() []error { return p }
