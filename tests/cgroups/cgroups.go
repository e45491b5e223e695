// Package cgroups drives containers from the outside and looks at their
// cgroups: limits, updates, rules for devices, delegation, threads, and how
// processes get in. It is about cgroup v2, and needs a machine that has
// nothing else, with its controllers; what holds for cgroup v1 as well runs
// there too. It has tests only.
package cgroups
