#include "textflag.h"

// The kernel's stack: argc at 0(SP), then argv, envp and auxv. What calls Go
// reads g from the thread's storage, which nobody has set up yet.
TEXT ·Start(SB),NOSPLIT|NOFRAME,$0
	MOVQ	SP, BX
	MOVQ	$158, AX // arch_prctl
	MOVQ	$0x1002, DI // ARCH_SET_FS
	LEAQ	·memory+64(SB), SI
	SYSCALL
	ANDQ	$~15, SP
	SUBQ	$16, SP
	MOVQ	BX, 0(SP)
	MOVQ	BX, 8(SP)
	CALL	·Early(SB)
	MOVQ	8(SP), SP
	JMP	_rt0_amd64_linux(SB)
