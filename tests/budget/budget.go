// Package budget holds what mocker may cost, as far as that does not depend on
// how fast the machine is: system calls outside and inside, processes, threads,
// executed programs, allocated memory, the size of the binary, and what its
// packages do before main. It has tests only; they run the built binary and
// compare what they count with testdata/budget.json.
//
// What is counted is the same on every machine: no cgroup, whose calls are as
// many as the machine has hierarchies, a fixed list of masked paths, and none
// of the calls that the Go runtime makes when it sees fit.
package budget
