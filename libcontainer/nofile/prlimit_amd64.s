#include "textflag.h"

// func prlimit(lim *rlimit) int64
TEXT ·prlimit(SB), NOSPLIT, $0-16
	MOVQ $302, AX         // SYS_prlimit64
	MOVQ $0, DI           // pid: self
	MOVQ $7, SI           // RLIMIT_NOFILE
	MOVQ $0, DX           // no new limit
	MOVQ lim+0(FP), R10
	SYSCALL
	MOVQ AX, ret+8(FP)
	RET
