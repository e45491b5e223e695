package specconv

import (
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

// The execution domains of personality(2) that the specification has.
var domains = [...]word{
	{string(specs.PerLinux), 0},
	{string(specs.PerLinux32), 8},
}

func convertPersonality(spec *specs.Spec, cfg *config.Config) error {
	const at = "linux.personality."
	p := spec.Linux.Personality
	if p == nil {
		return nil
	}
	var bad problems
	domain, err := lookUp(at+"domain", p.Domain, domains[:])
	bad.add(err)
	if len(p.Flags) > 0 {
		bad.add(refuse(item(at+"flags", 0), string(p.Flags[0]), "the specification has no flags"))
	}
	cfg.Traits.Personality = &config.Personality{Name: string(p.Domain), Domain: uintptr(domain)}
	return bad.err()
}

var memoryModes = [...]word{
	{string(specs.MpolDefault), unix.MPOL_DEFAULT},
	{string(specs.MpolBind), unix.MPOL_BIND},
	{string(specs.MpolInterleave), unix.MPOL_INTERLEAVE},
	{string(specs.MpolWeightedInterleave), unix.MPOL_WEIGHTED_INTERLEAVE},
	{string(specs.MpolPreferred), unix.MPOL_PREFERRED},
	{string(specs.MpolPreferredMany), unix.MPOL_PREFERRED_MANY},
	{string(specs.MpolLocal), unix.MPOL_LOCAL},
}

var memoryFlags = [...]word{
	{string(specs.MpolFNumaBalancing), unix.MPOL_F_NUMA_BALANCING},
	{string(specs.MpolFRelativeNodes), unix.MPOL_F_RELATIVE_NODES},
	{string(specs.MpolFStaticNodes), unix.MPOL_F_STATIC_NODES},
}

// maxNodes is the most memory nodes that a kernel can be built for
// (MAX_NUMNODES).
const maxNodes = 1024

func convertMemoryPolicy(spec *specs.Spec, cfg *config.Config) error {
	const at = "linux.memoryPolicy."
	m := spec.Linux.MemoryPolicy
	if m == nil {
		return nil
	}
	var bad problems
	mode, err := lookUp(at+"mode", m.Mode, memoryModes[:])
	bad.add(err)
	flags, err := union(at+"flags", m.Flags, memoryFlags[:])
	bad.add(err)
	nodes, err := numberSet(at+"nodes", m.Nodes, maxNodes)
	bad.add(err)
	if err := bad.err(); err != nil {
		return err // the combination says nothing
	}
	const both = unix.MPOL_F_RELATIVE_NODES | unix.MPOL_F_STATIC_NODES
	switch {
	case flags&both == both:
		return refuse(at+"flags", string(specs.MpolFStaticNodes), "contradicts %s", specs.MpolFRelativeNodes)
	case mode == unix.MPOL_DEFAULT && flags != 0:
		return refuse(item(at+"flags", 0), string(m.Flags[0]), "%s has no flags", m.Mode)
	case (mode == unix.MPOL_DEFAULT || mode == unix.MPOL_LOCAL) && nodes != nil:
		return refuse(at+"nodes", m.Nodes, "%s has no nodes", m.Mode)
	case mode != unix.MPOL_DEFAULT && mode != unix.MPOL_LOCAL && mode != unix.MPOL_PREFERRED && nodes == nil:
		return missing(at + "nodes")
	}
	cfg.Traits.MemoryPolicy = &config.MemoryPolicy{Name: string(m.Mode), Mode: int(mode | flags), Nodes: nodes}
	return nil
}
