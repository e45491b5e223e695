// Package demo does what the README tells a newcomer to do first: `make demo`
// and `make run`. It has tests only.
package demo
