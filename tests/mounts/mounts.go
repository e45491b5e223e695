// Package mounts shows what each mount of config.json is to a container: every
// option on every kind of file system as /proc/self/mountinfo has it, sources
// and targets of all kinds, propagation as seen from both sides, id-mapped
// mounts, cgroups. It has tests only; docs/mounts.md says the same in words.
//
// With RUNTIME=runc it tests runc. What that does not do, or does otherwise,
// is left out there with the reason.
package mounts
