// The Go runtime would choose its number of threads by the limits of the cgroup
// that mocker was called in, which are the caller's. That it does not even read
// them is package nofile's doing, in a mocker that is built as the Makefile does.

//go:debug containermaxprocs=0

// Command mocker is a low-level OCI container runtime. This file only decides
// whether a container can be entered at all and the process must be sealed for
// it, and hands over to commands.
package main

import (
	"os"
	"runtime/debug"

	"github.com/mocker-runtime/mocker/commands"
	"github.com/mocker-runtime/mocker/libcontainer/seal"
)

// Set by the linker: see the Makefile.
var (
	version = "0.1.0-dev"
	commit  = ""
)

// memoryLimit is where the collector wakes up after all: only a foreground run
// lives long enough to get there.
const memoryLimit = 64 << 20

func main() {
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(memoryLimit)
	os.Exit(mocker())
}

func mocker() int {
	streams := commands.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	globals := commands.Peek(os.Args)
	if globals.EntersContainer() {
		if err := prepare(globals); err != nil {
			return commands.Fail(globals, streams, err)
		}
	} else {
		seal.Adopt()
	}
	return commands.Main(os.Args, commands.Build{Version: version, Commit: commit}, streams)
}

// prepare comes before anything else is set up, because sealing starts mocker
// anew.
func prepare(globals commands.Globals) error {
	if err := globals.CheckKernel(); err != nil {
		return err
	}
	if !seal.Needed() {
		return nil
	}
	return seal.Ensure(globals.Root)
}
