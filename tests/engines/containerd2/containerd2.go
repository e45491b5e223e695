// Package containerd2 is a current containerd as a caller of the runtime: its
// daemon by the CRI and by its own client, and go-runc, the library through
// which every containerd calls a runtime. It is a module of its own, so that
// what containerd depends on is no dependency of mocker. It has tests only;
// `make engines` builds the programs and runs this.
//
// tests/engines runs its table of scenarios on these programs too.
package containerd2
