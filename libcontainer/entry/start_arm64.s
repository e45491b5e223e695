#include "textflag.h"

// The kernel's stack: argc at 0(RSP), then argv, envp and auxv.
TEXT ·Start(SB),NOSPLIT|NOFRAME,$0
	MOVD	RSP, R0
	SUB	$32, RSP
	MOVD	R0, 8(RSP)
	MOVD	ZR, g
	CALL	·Early(SB)
	ADD	$32, RSP
	JMP	_rt0_arm64_linux(SB)
