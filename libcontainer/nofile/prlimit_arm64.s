#include "textflag.h"

// func prlimit(limit, old *rlimit) int64
TEXT ·prlimit(SB), NOSPLIT, $0-24
	MOVD $261, R8         // SYS_prlimit64
	MOVD $0, R0           // pid: self
	MOVD $7, R1           // RLIMIT_NOFILE
	MOVD limit+0(FP), R2
	MOVD old+8(FP), R3
	SVC
	MOVD R0, ret+16(FP)
	RET
