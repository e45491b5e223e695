// Package security holds black-box tests that attack mocker as a hostile
// image, a hostile config.json, a hostile process or a hostile neighbour would.
// docs/security.md says what they show, and what they do not.
//
// What they aim at are canaries of their own, never the machine's files. Where
// it can be done, a test first shows that its attack works on something weak.
package security
