//go:build killpoints

package trace

import (
	"fmt"
	"os"
	"strconv"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// This is a build for tests alone: where it is told so, it kills itself right
// before or after anything that has a span, whether or not there is a recorder.
// The points are counted from 1 on, in the order in which they are passed.
const (
	killAt   = "MOCKER_KILL"      // number of the point to die at
	killList = "MOCKER_KILL_LIST" // file that gets a line for each point, "7 before step cgroup"
)

// passed is how many points have been.
var passed atomic.Int64

// point is what a span keeps to be known by at its end.
type point struct{ what string }

func begun(category, name string) point {
	p := point{category + " " + name}
	p.pass("before")
	return p
}

// ended does nothing for a span that never began.
func (p point) ended() {
	if p.what != "" {
		p.pass("after")
	}
}

// pass does not return from the point to die at. What is wrong with its
// variables ends it just as well, in a way that no test takes for that.
func (p point) pass(side string) {
	n := passed.Add(1)
	if file := os.Getenv(killList); file != "" {
		f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err == nil {
			_, err = fmt.Fprintf(f, "%d %s %s\n", n, side, p.what)
			f.Close()
		}
		if err != nil {
			panic(err)
		}
	}
	text := os.Getenv(killAt)
	if text == "" {
		return
	}
	at, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		panic(killAt + ": " + err.Error())
	}
	if n == at {
		panic(unix.Kill(os.Getpid(), unix.SIGKILL))
	}
}
