// Package network drives the built mocker on the busybox bundle, the network
// hook and all: what is to be seen inside and outside, the way to the
// internet, a hundred containers at once, crashes, and other runtimes that run
// the same hook. It has tests only, and knows nothing of what is inside.
package network
