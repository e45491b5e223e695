// Package benchmarks times mocker beside other runtimes, as a black box: it
// runs the built binaries and knows nothing of what is inside. It has
// benchmarks only; "make bench" runs them.
package benchmarks
