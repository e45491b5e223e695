// Package seccomp compiles linux.seccomp to a classic BPF program.
package seccomp
