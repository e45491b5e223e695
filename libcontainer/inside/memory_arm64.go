package inside

// addressSpaceEnds are the ends of user address spaces, rising (the kernel's
// TASK_SIZE, by CONFIG_ARM64_VA_BITS). A kernel with a smaller one answers
// EINVAL to the rest.
var addressSpaceEnds = [...]uintptr{1 << 36, 1 << 39, 1 << 42, 1 << 47, 1 << 48}
