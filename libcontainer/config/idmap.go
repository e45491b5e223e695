package config

// IDMap says which ids of a user namespace stand for which ids outside, as
// lines of /proc/PID/uid_map do (user_namespaces(7)). Without a user
// namespace it is nil.
type IDMap []IDRange

// IDRange maps Size ids from ContainerID on to as many from HostID on. Host
// ids are those that mocker itself sees.
type IDRange struct {
	ContainerID, HostID, Size uint32
}

// Has reports whether an id of the container is mapped. A nil map is the
// identity.
func (m IDMap) Has(id uint32) bool {
	for _, r := range m {
		if id >= r.ContainerID && id-r.ContainerID < r.Size {
			return true
		}
	}
	return m == nil
}

// Inside is the container's name for an id of the host; ok is false if it
// has none.
func (m IDMap) Inside(id uint32) (inside uint32, ok bool) {
	for _, r := range m {
		if id >= r.HostID && id-r.HostID < r.Size {
			return r.ContainerID + (id - r.HostID), true
		}
	}
	return id, m == nil
}

// Outside is the id of the host that an id of the container stands for; ok is
// false if it stands for none.
func (m IDMap) Outside(id uint32) (outside uint32, ok bool) {
	for _, r := range m {
		if id >= r.ContainerID && id-r.ContainerID < r.Size {
			return r.HostID + (id - r.ContainerID), true
		}
	}
	return id, m == nil
}

// First is the id with which a container is built: 0, the lowest id that is
// mapped where that is not.
func (m IDMap) First() uint32 {
	if m.Has(0) {
		return 0
	}
	first := m[0].ContainerID
	for _, r := range m {
		first = min(first, r.ContainerID)
	}
	return first
}
