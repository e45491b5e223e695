// Package lifecycle drives a container through its life from the outside:
// create, start, state, kill, delete, run and list, what the process of a
// default bundle finds itself in, terminals, and the limits of its cgroup. It
// has tests only.
//
// With RUNTIME=runc it tests runc. What only mocker does is left out there,
// by the name mockersOwn and with the reason.
package lifecycle
