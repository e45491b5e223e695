// Package inside is the part of mocker that stands in the container.
//
// A Go process has several threads and a runtime that cannot survive a fork,
// so mocker does not start Go in the container. Birth forks a bare child
// with clone3(2) into the new namespaces and the cgroup. The child runs one
// loop (child.go) that takes system calls from memory shared with its
// parent, executes them and writes back their results. The parent, ordinary
// Go, builds the container through it in a straight line, as if it stood
// inside: in.Fsopen("proc"), in.MoveMount(...), in.PivotRoot(...). At the
// end it hands over a last Program that ends in execve(2), and leaves.
//
// What both sides share:
//   - the region, an anonymous MAP_SHARED mapping that holds the posted
//     program, its strings and its results;
//   - the file descriptor table (CLONE_FILES), until the last program
//     unshares it: an fd opened inside is at once usable outside. Hence the
//     child holds both ends of every pipe and never sees the end of a file.
//
// Either side may die at any call. The child waits in a futex with a time
// limit and then looks at a pidfd of its parent; the parent does the same
// with the child's. PR_SET_PDEATHSIG ends the child sooner in most cases; it
// is not relied on, because a change of ids clears it.
//
// The package owns the child, the transport and the typed calls. It decides
// nothing: which calls, and in which order, is up to its callers.
package inside
