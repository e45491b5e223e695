#include "textflag.h"

// func prlimit(limit, old *rlimit) int64
TEXT ·prlimit(SB), NOSPLIT, $0-24
	MOVQ $302, AX         // SYS_prlimit64
	MOVQ $0, DI           // pid: self
	MOVQ $7, SI           // RLIMIT_NOFILE
	MOVQ limit+0(FP), DX
	MOVQ old+8(FP), R10
	SYSCALL
	MOVQ AX, ret+16(FP)
	RET
