package inside

// addressSpaceEnds are the ends of user address spaces, rising (the kernel's
// TASK_SIZE). Nothing lies above 47 bits unless mmap is asked for it.
var addressSpaceEnds = [...]uintptr{1<<47 - 4096}
