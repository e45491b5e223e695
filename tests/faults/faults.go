// Package faults holds black-box tests of what mocker leaves behind when it is
// killed at any step or system call, when one of its system calls fails, and
// when two commands work on one container at the same time.
package faults
