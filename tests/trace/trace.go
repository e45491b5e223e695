// Package trace tests, as a black box, what mocker --trace writes. It has tests
// only.
package trace
