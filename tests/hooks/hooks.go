// Package hooks drives containers that have OCI hooks, from the outside: when
// each of the six kinds runs, in which namespaces, as whom and with what, and
// what comes of those that fail, hang, fork or do not listen. It has tests
// only.
//
// With RUNTIME=runc it tests runc. What only mocker does is left out there,
// by the name mockersOwn and with the reason.
package hooks
