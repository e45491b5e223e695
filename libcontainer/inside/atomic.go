//go:build !race

package inside

import "sync/atomic"

// load and store are inlined to one instruction each.
func load(p *uint32) uint32     { return atomic.LoadUint32(p) }
func store(p *uint32, v uint32) { atomic.StoreUint32(p, v) }
