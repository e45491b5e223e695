// Package containerd2 is a current containerd as a caller of the runtime:
// go-runc, the library through which every containerd calls a runtime, with each
// of its functions. And a containerd under a kubelet, Debian's, by the CRI. It is
// a module of its own, so that what containerd depends on is no dependency of
// mocker. It has tests only; `make engines` builds the programs and runs this.
//
// tests/engines runs its table of scenarios on the daemon and the shim, too.
package containerd2
