//go:build race

package inside

// The race detector turns package sync/atomic into calls of its own runtime,
// which the child does not have. Plain accesses do in its place: the compiler
// keeps them where they are, because the system calls around them are opaque
// to it, and x86 does not reorder them.
func load(p *uint32) uint32     { return *p }
func store(p *uint32, v uint32) { *p = v }
