// Package conformance runs the validation suite of the OCI, runtime-tools,
// against mocker: some sixty programs that each drive a runtime through a part
// of its life and say in TAP what they find. It has tests only.
//
// It is a module of its own: what the suite depends on is no dependency of
// mocker. The suite is not copied here; its programs are built from the module
// cache ("go build tool"), and its file system for containers lies there too.
//
// Many of the programs are older than the specification or ask for what a
// machine may lack, so that no runtime passes all of them. recorded/ has what
// each of them said about mocker, runc and crun on a kind of machine, and
// reasons.json why not all of it is good; docs/conformance.md shows both. The
// tests fail when mocker does worse than is recorded, and when it does better
// without the record saying so.
//
//	make conformance                          # compare with what is recorded
//	make conformance RECORD=1                 # record it anew
//	make conformance RECORD=1 RUNTIME=runc    # record another runtime
//	make test-vm PACKAGES=tests/conformance   # on cgroup v2; RECORD and RUNTIME as above
package conformance
