// Package validate drives `mocker validate` and `mocker features` from the
// outside: that they need no rights and make nothing, and that what they say
// is what create does. It has tests only.
package validate
