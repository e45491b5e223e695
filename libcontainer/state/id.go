package state

import (
	"errors"
	"fmt"
)

// maxID is NAME_MAX: an id is the name of a directory.
const maxID = 255

// ValidID checks the name of a container by runc's rule, ^[\w+-\.]+$ and
// neither "." nor "..". The "+-\." of that class is a range, so that a comma
// is allowed too. What the rule rejects can serve as a name that no
// container ever has.
func ValidID(id string) error {
	if id == "" {
		return errors.New("container id cannot be empty")
	}
	if id == "." || id == ".." {
		return fmt.Errorf("invalid container ID format: %q", id)
	}
	for i := range len(id) {
		if !validByte(id[i]) {
			return fmt.Errorf("invalid container ID format: %q", id)
		}
	}
	if len(id) > maxID {
		return fmt.Errorf("invalid container ID format: %q is longer than %d bytes", id, maxID)
	}
	return nil
}

func validByte(c byte) bool {
	switch {
	case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '_':
		return true
	}
	return '+' <= c && c <= '.'
}
