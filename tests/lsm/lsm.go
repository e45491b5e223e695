// Package lsm shows what security modules of the kernel do to containers. It
// has tests only: that AppArmor profiles confine what they are asked for, and
// nothing else, on a machine that has AppArmor (the one of "make test-vm"),
// side by side with runc where that is installed; and that what the kernel
// does not have is refused, on any machine. None at hand has SELinux.
package lsm
