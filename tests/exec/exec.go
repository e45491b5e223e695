// Package exec drives `mocker exec` from the outside: every flag, exit
// statuses, streams and terminals, what the process finds itself in beside the
// first one of its container, and what becomes of both at their ends. It has
// tests only.
//
// With RUNTIME=runc it tests runc. What only mocker does is left out there,
// by the name mockersOwn and with the reason.
package exec
