package errors

import (
	"github.com/opencontainers/runtime-spec/specs-go"
)

// namespace is an edit that puts an entry in the place of the type's.
func namespace(kind specs.LinuxNamespaceType, path string) func(*specs.Spec) {
	return func(s *specs.Spec) {
		for i := range s.Linux.Namespaces {
			if s.Linux.Namespaces[i].Type == kind {
				s.Linux.Namespaces[i].Path = path
				return
			}
		}
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: kind, Path: path})
	}
}

// mapped gives a container a user namespace with these ids.
func mapped(ids ...specs.LinuxIDMapping) func(*specs.Spec) {
	return func(s *specs.Spec) {
		namespace(specs.UserNamespace, "")(s)
		s.Linux.UIDMappings, s.Linux.GIDMappings = ids, ids
	}
}

func both(edits ...func(*specs.Spec)) func(*specs.Spec) {
	return func(s *specs.Spec) {
		for _, edit := range edits {
			edit(s)
		}
	}
}

func namespaces() []row {
	one := func(input, want string, edit func(*specs.Spec)) row {
		return row{input: input, call: create, prep: with(edit), want: want}
	}
	ids := func(inside, outside, size uint32) specs.LinuxIDMapping {
		return specs.LinuxIDMapping{ContainerID: inside, HostID: outside, Size: size}
	}
	many := ids(0, 100000, 65536)
	return []row{
		one("a user namespace without maps",
			"config.json: linux.uidMappings: missing, and linux.namespaces has a new user namespace", namespace(specs.UserNamespace, "")),
		one("maps without a user namespace",
			"config.json: linux.uidMappings: needs a user namespace in linux.namespaces", func(s *specs.Spec) { s.Linux.UIDMappings = []specs.LinuxIDMapping{many} }),
		one("a map of no ids",
			"config.json: linux.uidMappings[0].size: 0: no ids", mapped(ids(0, 100000, 0))),
		one("maps that overlap",
			`config.json: linux.uidMappings[1]: "5 200000 1": overlaps linux.uidMappings[0]`, mapped(many, ids(5, 200000, 1))),
		one("a user that is not mapped",
			"config.json: process.user.uid: 70000: not mapped by linux.uidMappings", both(mapped(many), func(s *specs.Spec) { s.Process.User.UID = 70000 })),
		one("a group that is not mapped",
			"config.json: process.user.additionalGids[0]: 70000: not mapped by linux.gidMappings", both(mapped(many), func(s *specs.Spec) { s.Process.User.AdditionalGids = []uint32{70000} })),
		one("a terminal's group that is not mapped",
			`config.json: mounts[2].options[5]: "gid=5": not mapped by linux.gidMappings`, mapped(ids(0, 100000, 1))),
		one("mocker's own user namespace, joined",
			`config.json: linux.namespaces[5].path: "/proc/self/ns/user": mocker's own user namespace, which a container has without an entry`, both(func(s *specs.Spec) { s.Linux.Namespaces = five(s) }, namespace(specs.UserNamespace, "/proc/self/ns/user"))),
		one("a new sysfs in the host's network, with a user namespace",
			"rootfs: mounts[5] (sysfs on /sys): fsopen sysfs: operation not permitted (the container's user namespace does not own its network namespace: bind-mount /sys instead)", both(mapped(many), without(specs.NetworkNamespace))),
		one("a new procfs in the host's pid namespace, with a user namespace",
			"rootfs: mounts[0] (proc on /proc): fsconfig create: operation not permitted (the container's user namespace does not own its pid namespace: bind-mount /proc instead)", both(mapped(many), without(specs.PIDNamespace))),
		one("clocks without a time namespace",
			"config.json: linux.timeOffsets: needs a time namespace in linux.namespaces", func(s *specs.Spec) {
				s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"monotonic": {Secs: 1}}
			}),
		one("a clock that does not exist",
			`config.json: linux.timeOffsets: "realtime": not one of monotonic, boottime`, both(namespace(specs.TimeNamespace, ""), func(s *specs.Spec) {
				s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"realtime": {Secs: 1}}
			})),
		one("a clock before its beginning",
			`namespaces: linux.timeOffsets.boottime: write "boottime -1000000000 0" to timens_offsets: numerical result out of range (the clock would stand before 0, or too far ahead)`, both(namespace(specs.TimeNamespace, ""), func(s *specs.Spec) {
				s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Secs: -1000000000}}
			})),
		notRunc(one("the host's mount namespace, joined", // runc makes its root the container's
			`config.json: linux.namespaces[4].path: "/proc/self/ns/mnt": the host's mount namespace, whose root would become the container's`, namespace(specs.MountNamespace, "/proc/self/ns/mnt"))),
		one("a pid namespace of another type",
			"namespaces: join the pid namespace /proc/self/ns/net: a namespace of another type: invalid argument", namespace(specs.PIDNamespace, "/proc/self/ns/net")),
		one("a user namespace that is no namespace",
			"namespaces: join the user namespace /dev/null: not a namespace file: invalid argument", namespace(specs.UserNamespace, "/dev/null")),
	}
}

// without takes a namespace away, and with it what config.json says of it.
func without(kind specs.LinuxNamespaceType) func(*specs.Spec) {
	return func(s *specs.Spec) {
		var rest []specs.LinuxNamespace
		for _, ns := range s.Linux.Namespaces {
			if ns.Type != kind {
				rest = append(rest, ns)
			}
		}
		s.Linux.Namespaces = rest
	}
}

// notRunc is a row that runc is not asked about.
func notRunc(r row) row {
	r.own = true
	return r
}
