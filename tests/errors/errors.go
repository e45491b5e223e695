// Package errors is the table of bad input: what a user or an engine gets
// wrong, the exact text that mocker answers with, its exit code and what it
// leaves behind, beside what runc says to the same. It has tests only; they
// hold docs/errors.md, the table for readers, to what really happens.
package errors
