// Package namespaces makes containers of the eight namespaces, each new,
// joined or the host's, in every combination of three of which one is the
// user namespace, and looks where their processes are. The results are the
// table of docs/namespaces.md.
package namespaces
