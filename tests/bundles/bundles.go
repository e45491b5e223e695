// Package bundles runs each of the hand-built bundles in bundles/ as its
// README says, on a copy of them. It has tests only.
package bundles
