// Package box tests `mocker run` with an image and flags, as the seeds and
// docker have it: the lines of the README, the rule for the first word, each
// flag, and that nothing is left of a container. It has tests only.
package box
