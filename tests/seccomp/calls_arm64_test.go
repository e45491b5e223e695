package seccomp

import "golang.org/x/sys/unix"

const sysMkdir = unix.SYS_MKDIRAT // there is no mkdir
