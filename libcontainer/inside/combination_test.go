package inside

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// kinds are the namespaces that a container can share with the host, have of
// its own, or join. Time namespaces are entered by execve and not by clone3.
var kinds = []struct {
	name string
	flag uintptr
}{
	{"user", unix.CLONE_NEWUSER}, {"mnt", unix.CLONE_NEWNS}, {"pid", unix.CLONE_NEWPID}, {"net", unix.CLONE_NEWNET},
	{"ipc", unix.CLONE_NEWIPC}, {"uts", unix.CLONE_NEWUTS}, {"cgroup", unix.CLONE_NEWCGROUP},
}

const (
	shared = iota
	fresh
	joined
)

// TestEveryCombination enters each of the 2,187 combinations of shared, new
// and joined namespaces as root: at birth where none is joined, else by a bare
// birth, one setns on a pidfd, and a hand-over into the new ones.
func TestEveryCombination(t *testing.T) {
	needRoot(t)
	// One to join that owns its namespaces, and one whose namespaces belong
	// to a user namespace of its own.
	var all uintptr
	for _, k := range kinds {
		all |= k.flag
	}
	owned, plain := birth(t, all), birth(t, all&^unix.CLONE_NEWUSER)
	count := 1
	for range kinds {
		count *= 3
	}
	step := 1
	if testing.Short() {
		step = 13
	}
	for n := 0; n < count; n += step {
		choice := make([]int, len(kinds))
		for i, rest := 0, n; i < len(kinds); i, rest = i+1, rest/3 {
			choice[i] = rest % 3
		}
		target := plain
		if choice[0] == joined {
			target = owned
		}
		if err := enter(t, target, choice); err != nil {
			t.Errorf("%s: %v", describe(choice), err)
		}
	}
}

func describe(choice []int) string {
	var words []string
	for i, k := range kinds {
		words = append(words, k.name+" "+[]string{"shared", "new", "joined"}[choice[i]])
	}
	return strings.Join(words, ", ")
}

func enter(t *testing.T, target *Child, choice []int) error {
	var created, entered uintptr
	for i, k := range kinds {
		switch choice[i] {
		case fresh:
			created |= k.flag
		case joined:
			entered |= k.flag
		}
	}
	atBirth := created
	if entered != 0 {
		atBirth = 0
	}
	in, err := New(Birth{Namespaces: atBirth, CgroupFD: -1})
	if err != nil {
		return err
	}
	defer in.Release()
	defer in.Close()
	defer in.Kill()
	if entered != 0 {
		if err := in.Setns(target.Pidfd, "target", entered); err != nil {
			return err
		}
		if err := in.HandOver(created); err != nil {
			return err
		}
	}
	if _, err := in.call1("getpid", "", unix.SYS_GETPID); err != nil {
		return err
	}
	var wrong []error
	for i, k := range kinds {
		got := fresh
		switch link(t, in.PID, k.name) {
		case link(t, os.Getpid(), k.name):
			got = shared
		case link(t, target.PID, k.name):
			got = joined
		}
		if got != choice[i] {
			wrong = append(wrong, fmt.Errorf("the %s namespace is not", k.name))
		}
	}
	return errors.Join(wrong...)
}
