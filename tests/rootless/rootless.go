// Package rootless runs mocker as an ordinary user: with subordinate ids,
// without, and as the root of a user namespace that podman has made. It has
// tests only.
package rootless
