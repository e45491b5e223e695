// Package house holds mocker's architecture: which room may import which,
// where raw system calls live, and how big a file or a function may grow. It
// has tests only; they read the source and run nothing of it.
package house
