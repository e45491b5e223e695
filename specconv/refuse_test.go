package specconv

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// badValues are changes to the example and the error that each must give,
// whole, after "config.json: ". DIR stands for the bundle.
var badValues = [...]struct {
	path, json, want string
}{
	{"ociVersion", ``, `ociVersion: missing`},
	{"ociVersion", `"2.0.0"`, `ociVersion: "2.0.0": not supported: mocker reads 1.0 to 1.3`},
	{"ociVersion", `"1.4.0"`, `ociVersion: "1.4.0": not supported: mocker reads 1.0 to 1.3`},
	{"ociVersion", `"0.9.0"`, `ociVersion: "0.9.0": not supported: mocker reads 1.0 to 1.3`},
	{"ociVersion", `"1.0"`, `ociVersion: "1.0": not a semantic version such as "1.3.0"`},
	{"ociVersion", `"v1.0.0"`, `ociVersion: "v1.0.0": not a semantic version such as "1.3.0"`},
	{"ociVersion", `"1.0.0-"`, `ociVersion: "1.0.0-": not a semantic version such as "1.3.0"`},
	{"ociVersion", `"1.0.0+a..b"`, `ociVersion: "1.0.0+a..b": not a semantic version such as "1.3.0"`},
	{"ociVersion", `"1.00.0"`, `ociVersion: "1.00.0": not a semantic version such as "1.3.0"`},
	{"ociVersion", `"1.-1.0"`, `ociVersion: "1.-1.0": not a semantic version such as "1.3.0"`},

	{"root", ``, `root: missing`},
	{"root.path", `""`, `root.path: missing`},
	{"root.path", `"nowhere"`, `root.path: "DIR/nowhere": no such file or directory`},
	{"root.path", `"/no/such/rootfs"`, `root.path: "/no/such/rootfs": no such file or directory`},
	{"root.path", `"file"`, `root.path: "DIR/file": not a directory`},
	{"root.path", `"file/below"`, `root.path: "DIR/file/below": not a directory`},
	{"root.path", `"loop"`, `root.path: "DIR/loop": too many levels of symbolic links`},
	{"root.path", `"/"`, `root.path: "/": the host's own root directory`},
	{"root.path", `"slash"`, `root.path: "DIR/slash": the host's own root directory`},
	{"root.path", `"root\u0000fs"`, `root.path: "root\x00fs": contains a NUL byte`},
	{"linux.rootfsPropagation", `"public"`, `linux.rootfsPropagation: "public": not one of private, slave, shared, unbindable, with or without a leading r`},

	{"hostname", `"a\u0000b"`, `hostname: "a\x00b": contains a NUL byte`},
	{"hostname", `"` + long65 + `"`, `hostname: "` + long65 + `": longer than 64 bytes`},
	{"domainname", `"` + long65 + `"`, `domainname: "` + long65 + `": longer than 64 bytes`},
	{"linux.namespaces", `[{"type":"mount"}]`, `hostname: "runc": needs a uts namespace other than the host's in linux.namespaces`},
	{"linux.namespaces", `[{"type":"mount"},{"type":"uts","path":"/proc/self/ns/uts"}]`, `hostname: "runc": needs a uts namespace other than the host's in linux.namespaces`},

	{"linux.namespaces", `[{"type":"pid"},{"type":"uts"},{"type":"user"}]`, `linux.namespaces: a user namespace needs a mount namespace beside it: in the host's it may not mount anything`},
	{"linux.namespaces", `[{"type":"mount"},{"type":"pid"},{"type":"pid"}]`, `linux.namespaces[2].type: "pid": given twice`},
	{"linux.namespaces", `[{"type":"net"}]`, `linux.namespaces[0].type: "net": not a namespace type`},
	{"linux.namespaces", `[{}]`, `linux.namespaces[0].type: "": not a namespace type`},
	{"linux.namespaces", `[{"type":"mount","path":"/proc/self/ns/mnt"}]`, `linux.namespaces[0].path: "/proc/self/ns/mnt": the host's mount namespace, whose root would become the container's`},
	{"linux.namespaces", `[{"type":"mount"},{"type":"user","path":"/proc/self/ns/user"}]`, `linux.namespaces[1].path: "/proc/self/ns/user": mocker's own user namespace, which a container has without an entry`},
	{"linux.namespaces", `[{"type":"mount"},{"type":"uts"},{"type":"user"}]`, `linux.uidMappings: missing, and linux.namespaces has a new user namespace`},
	{"linux.namespaces", `[{"type":"network","path":"netns"}]`, `linux.namespaces[0].path: "netns": not an absolute path`},
	{"linux.namespaces", `[{"type":"network","path":"/a\u0000"}]`, `linux.namespaces[0].path: "/a\x00": contains a NUL byte`},

	{"process.apparmorProfile", `"docker\u0000default"`, `process.apparmorProfile: "docker\x00default": contains a control character`},
	{"process.apparmorProfile", `"` + strings.Repeat("x", 4001) + `"`, `process.apparmorProfile: "` + strings.Repeat("x", 256) + `"...: longer than 4000 bytes`},
	{"process.selinuxLabel", `"system_u:system_r:x\n"`, `process.selinuxLabel: "system_u:system_r:x\n": contains a control character`},
	{"linux.uidMappings", `[{"containerID":0,"hostID":0,"size":1}]`, `linux.uidMappings: needs a user namespace in linux.namespaces`},
	{"linux.gidMappings", `[{"containerID":0,"hostID":0,"size":1}]`, `linux.gidMappings: needs a user namespace in linux.namespaces`},
	{"linux.seccomp", `{"syscalls":[{"names":["x"],"action":"SCMP_ACT_ERRNO"}]}`, `linux.seccomp.defaultAction: "": unknown action`},
	{"linux.seccomp", `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["x"],"action":"SCMP_ACT_ERRNO","errnoRet":5000}]}`, `linux.seccomp.syscalls[0].errnoRet: 5000: above 4095`},
	{"linux.seccomp", `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["x"],"action":"SCMP_ACT_NOTIFY"}]}`, `linux.seccomp.listenerPath: missing`},
	{"linux.seccomp", `{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/a\u0000","syscalls":[{"names":["x"],"action":"SCMP_ACT_NOTIFY"}]}`, `linux.seccomp.listenerPath: "/a\x00": contains a NUL byte`},
	{"linux.mountLabel", `"x\u0000"`, `linux.mountLabel: "x\x00": contains a control character`},
	{"linux.mountLabel", `"x\",ro"`, `linux.mountLabel: "x\",ro": contains a quotation mark`},
	{"linux.timeOffsets", `{"monotonic":{"secs":1}}`, `linux.timeOffsets: needs a time namespace in linux.namespaces`},

	{"process.scheduler", `{}`, `process.scheduler.policy: missing`},
	{"process.scheduler", `{"policy":"SCHED_NORMAL"}`, `process.scheduler.policy: "SCHED_NORMAL": not one of SCHED_OTHER, SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_ISO, SCHED_IDLE, SCHED_DEADLINE`},
	{"process.scheduler", `{"policy":"SCHED_ISO"}`, `process.scheduler.policy: "SCHED_ISO": no Linux kernel has it`},
	{"process.scheduler", `{"policy":"SCHED_OTHER","nice":20}`, `process.scheduler.nice: 20: not between -20 and 19`},
	{"process.scheduler", `{"policy":"SCHED_BATCH","priority":1}`, `process.scheduler.priority: 1: only SCHED_FIFO and SCHED_RR have priorities`},
	{"process.scheduler", `{"policy":"SCHED_FIFO"}`, `process.scheduler.priority: 0: not between 1 and 99, as it is with SCHED_FIFO`},
	{"process.scheduler", `{"policy":"SCHED_RR","priority":100}`, `process.scheduler.priority: 100: not between 1 and 99, as it is with SCHED_RR`},
	{"process.scheduler", `{"policy":"SCHED_IDLE","flags":["SCHED_FLAG_RECLAIM","x"]}`, `process.scheduler.flags[1]: "x": not one of SCHED_FLAG_RESET_ON_FORK, SCHED_FLAG_RECLAIM, SCHED_FLAG_DL_OVERRUN, SCHED_FLAG_KEEP_POLICY, SCHED_FLAG_KEEP_PARAMS, SCHED_FLAG_UTIL_CLAMP_MIN, SCHED_FLAG_UTIL_CLAMP_MAX`},
	{"process.scheduler", `{"policy":"SCHED_OTHER","period":1}`, `process.scheduler.period: 1: only SCHED_DEADLINE has one`},
	{"process.scheduler", `{"policy":"SCHED_DEADLINE","runtime":1023,"deadline":1023}`, `process.scheduler.runtime: 1023: less than 1024 nanoseconds`},
	{"process.scheduler", `{"policy":"SCHED_DEADLINE","runtime":2048,"deadline":2047}`, `process.scheduler.deadline: 2047: less than the runtime 2048`},
	{"process.scheduler", `{"policy":"SCHED_DEADLINE","runtime":2048,"deadline":2049,"period":2048}`, `process.scheduler.period: 2048: less than the deadline 2049`},
	{"process.ioPriority", `{"priority":1}`, `process.ioPriority.class: missing`},
	{"process.ioPriority", `{"class":"IOPRIO_CLASS_NONE"}`, `process.ioPriority.class: "IOPRIO_CLASS_NONE": not one of IOPRIO_CLASS_RT, IOPRIO_CLASS_BE, IOPRIO_CLASS_IDLE`},
	{"process.ioPriority", `{"class":"IOPRIO_CLASS_RT","priority":8}`, `process.ioPriority.priority: 8: not between 0 and 7`},
	{"process.ioPriority", `{"class":"IOPRIO_CLASS_RT","priority":-1}`, `process.ioPriority.priority: -1: not between 0 and 7`},
	{"process.execCPUAffinity", `{"initial":"0-"}`, `process.execCPUAffinity.initial: "0-": "0-" is neither a number nor a range such as 0-3`},
	{"process.execCPUAffinity", `{"final":"3-2"}`, `process.execCPUAffinity.final: "3-2": "3-2" is neither a number nor a range such as 0-3`},
	{"process.execCPUAffinity", `{"final":"1,8192"}`, `process.execCPUAffinity.final: "1,8192": more than 8191, the most that a kernel can have`},
	{"process.execCPUAffinity", `{"final":", "}`, `process.execCPUAffinity.final: ", ": no number in it`},
	{"linux.personality", `{}`, `linux.personality.domain: missing`},
	{"linux.personality", `{"domain":"BSD"}`, `linux.personality.domain: "BSD": not one of LINUX, LINUX32`},
	{"linux.personality", `{"domain":"LINUX","flags":["ADDR_NO_RANDOMIZE"]}`, `linux.personality.flags[0]: "ADDR_NO_RANDOMIZE": the specification has no flags`},
	{"linux.memoryPolicy", `{"nodes":"0"}`, `linux.memoryPolicy.mode: missing`},
	{"linux.memoryPolicy", `{"mode":"MPOL_X"}`, `linux.memoryPolicy.mode: "MPOL_X": not one of MPOL_DEFAULT, MPOL_BIND, MPOL_INTERLEAVE, MPOL_WEIGHTED_INTERLEAVE, MPOL_PREFERRED, MPOL_PREFERRED_MANY, MPOL_LOCAL`},
	{"linux.memoryPolicy", `{"mode":"MPOL_BIND"}`, `linux.memoryPolicy.nodes: missing`},
	{"linux.memoryPolicy", `{"mode":"MPOL_LOCAL","nodes":"0"}`, `linux.memoryPolicy.nodes: "0": MPOL_LOCAL has no nodes`},
	{"linux.memoryPolicy", `{"mode":"MPOL_BIND","nodes":"1024"}`, `linux.memoryPolicy.nodes: "1024": more than 1023, the most that a kernel can have`},
	{"linux.memoryPolicy", `{"mode":"MPOL_BIND","nodes":"0","flags":["MPOL_F_X"]}`, `linux.memoryPolicy.flags[0]: "MPOL_F_X": not one of MPOL_F_NUMA_BALANCING, MPOL_F_RELATIVE_NODES, MPOL_F_STATIC_NODES`},
	{"linux.memoryPolicy", `{"mode":"MPOL_BIND","nodes":"0","flags":["MPOL_F_STATIC_NODES","MPOL_F_RELATIVE_NODES"]}`, `linux.memoryPolicy.flags: "MPOL_F_STATIC_NODES": contradicts MPOL_F_RELATIVE_NODES`},
	{"linux.memoryPolicy", `{"mode":"MPOL_DEFAULT","flags":["MPOL_F_STATIC_NODES"]}`, `linux.memoryPolicy.flags[0]: "MPOL_F_STATIC_NODES": MPOL_DEFAULT has no flags`},
	{"linux.netDevices", `{"":{}}`, `linux.netDevices: "": not the name of a network device`},
	{"linux.netDevices", `{"a/b":{}}`, `linux.netDevices: "a/b": not the name of a network device`},
	{"linux.netDevices", `{"eth%d":{}}`, `linux.netDevices: "eth%d": not the name of a network device`},
	{"linux.netDevices", `{"0123456789abcdef":{}}`, `linux.netDevices: "0123456789abcdef": longer than 15 bytes`},
	{"linux.netDevices", `{"eth0":{"name":".."}}`, `linux.netDevices.eth0.name: "..": not the name of a network device`},
	{"linux.netDevices", `{"eth0":{"name":"a%d%d"}}`, `linux.netDevices.eth0.name: "a%d%d": not the name of a network device`},
	{"linux.netDevices", `{"eth0":{"name":"lo"}}`, `linux.netDevices.eth0.name: "lo": a network namespace has its own`},
	{"linux.netDevices", `{"eth0":{"name":"x"},"eth1":{"name":"x"}}`, `linux.netDevices.eth1.name: "x": the name of eth0 already`},
	{"linux.intelRdt", `{"closID":".."}`, `linux.intelRdt.closID: "..": not the name of a class of service`},
	{"linux.intelRdt", `{"closID":"a/b"}`, `linux.intelRdt.closID: "a/b": not the name of a class of service`},
	{"linux.intelRdt", `{"closID":"info"}`, `linux.intelRdt.closID: "info": not the name of a class of service`},
	{"linux.intelRdt", `{"l3CacheSchema":"7f0"}`, `linux.intelRdt.l3CacheSchema: "7f0": not in the form RESOURCE:ID=VALUE;ID=VALUE`},
	{"linux.intelRdt", `{"memBwSchema":"L3:0=7f0"}`, `linux.intelRdt.memBwSchema: "L3:0=7f0": does not begin with "MB:"`},
	{"linux.intelRdt", `{"schemata":["L3:0=1","MB:0=1\nL3:0=2"]}`, `linux.intelRdt.schemata[1]: "MB:0=1\nL3:0=2": contains a line break or a NUL byte`},

	{"process.args", ``, `process.args: missing`},
	{"process.args", `[]`, `process.args: missing`},
	{"process.args", `[""]`, `process.args[0]: "": executable file not found in $PATH`},
	{"process.args", `["sh","a\u0000b"]`, `process.args[1]: "a\x00b": contains a NUL byte`},
	{"process.env", `["A=1","B"]`, `process.env[1]: "B": no "=" in it`},
	{"process.env", `[""]`, `process.env[0]: "": no "=" in it`},
	{"process.env", `["=1"]`, `process.env[0]: "=1": no name before the "="`},
	{"process.env", `["A=\u0000"]`, `process.env[0]: "A=\x00": contains a NUL byte`},
	{"process.cwd", ``, `process.cwd: missing`},
	{"process.cwd", `""`, `process.cwd: missing`},
	{"process.cwd", `"relative"`, `process.cwd: "relative": not an absolute path`},
	{"process.cwd", `"./x"`, `process.cwd: "./x": not an absolute path`},
	{"process.cwd", `"/\u0000"`, `process.cwd: "/\x00": contains a NUL byte`},
	{"process.user.uid", `4294967295`, `process.user.uid: 4294967295: not a valid id`},
	{"process.user.gid", `4294967295`, `process.user.gid: 4294967295: not a valid id`},
	{"process.user.additionalGids", `[1,4294967295]`, `process.user.additionalGids[1]: 4294967295: not a valid id`},
	{"process.user.additionalGids", `[0` + strings.Repeat(",0", 65536) + `]`, `process.user.additionalGids: 65537: more than 65536 groups`},
	{"process.user.umask", `512`, `process.user.umask: 512: more than the permission bits, which end at 511 (0777)`},
	{"process.consoleSize", `{"height":65536,"width":1}`, `process.consoleSize.height: 65536: more than 65535`},
	{"process.consoleSize", `{"height":1,"width":65536}`, `process.consoleSize.width: 65536: more than 65535`},
	{"process.oomScoreAdj", `1001`, `process.oomScoreAdj: 1001: not between -1000 and 1000`},
	{"process.oomScoreAdj", `-1001`, `process.oomScoreAdj: -1001: not between -1000 and 1000`},
	{"process.rlimits", `[{"type":"NOFILE","hard":1,"soft":1}]`, `process.rlimits[0].type: "NOFILE": not a resource limit`},
	{"process.rlimits", `[{"type":"rlimit_nofile","hard":1,"soft":1}]`, `process.rlimits[0].type: "rlimit_nofile": not a resource limit`},
	{"process.rlimits", `[{"hard":1,"soft":1}]`, `process.rlimits[0].type: missing`},
	{"process.rlimits", `[{"type":"RLIMIT_AS","hard":1,"soft":2}]`, `process.rlimits[0].soft: 2: more than the hard limit 1`},
	{"process.rlimits", `[{"type":"RLIMIT_AS"},{"type":"RLIMIT_AS"}]`, `process.rlimits[1].type: "RLIMIT_AS": given twice`},

	{"mounts", `[{"type":"tmpfs"}]`, `mounts[0].destination: missing`},
	{"mounts", `[{"destination":"/a","type":"tmpfs"},{"destination":"/","type":"tmpfs"}]`, `mounts[1].destination: "/": the container's root directory, which root.path gives`},
	{"mounts", `[{"destination":"a/../..","type":"tmpfs"}]`, `mounts[0].destination: "a/../..": the container's root directory, which root.path gives`},
	{"mounts", `[{"destination":"/a\u0000","type":"tmpfs"}]`, `mounts[0].destination: "/a\x00": contains a NUL byte`},
	{"mounts", `[{"destination":"/a"}]`, `mounts[0].type: missing`},
	{"mounts", `[{"destination":"/a","type":"tmpfs\u0000"}]`, `mounts[0].type: "tmpfs\x00": contains a NUL byte`},
	{"mounts", `[{"destination":"/a","type":"tmpfs","source":"\u0000"}]`, `mounts[0].source: "\x00": contains a NUL byte`},
	{"mounts", `[{"destination":"/a","type":"tmpfs","options":["ro","size=1\u0000"]}]`, `mounts[0].options[1]: "size=1\x00": contains a NUL byte`},
	{"mounts", `[{"destination":"/a","type":"bind"}]`, `mounts[0].source: missing`},
	{"mounts", `[{"destination":"/a","options":["rbind"]}]`, `mounts[0].source: missing`},
	{"mounts", `[{"destination":"/a","type":"bind","source":"/b","options":["bind","uid=1"]}]`, `mounts[0].options[1]: "uid=1": a bind mount takes no file system options`},
	{"mounts", `[{"destination":"/a","type":"none","source":"/b","options":["zork","rbind"]}]`, `mounts[0].options[0]: "zork": a bind mount takes no file system options`},
	{"mounts", `[{"destination":"/a","source":"/b","options":["bind,sync"]}]`, `mounts[0].options[0]: "sync": a bind mount cannot change its file system`},
	{"mounts", `[{"destination":"/a","source":"/b","options":["bind","lazytime"]}]`, `mounts[0].options[1]: "lazytime": a bind mount cannot change its file system`},
	{"mounts", `[{"destination":"/a","source":"/b","options":["bind","dirsync"]}]`, `mounts[0].options[1]: "dirsync": a bind mount cannot change its file system`},
	{"mounts", `[{"destination":"/a","source":"/b","options":["bind","tmpcopyup"]}]`, `mounts[0].options[1]: "tmpcopyup": only a tmpfs can start with a copy`},
	{"mounts", `[{"destination":"/a","type":"proc","options":["tmpcopyup"]}]`, `mounts[0].options[0]: "tmpcopyup": only a tmpfs can start with a copy`},
	{"mounts", `[{"destination":"/a","type":"proc","options":["hidepid=2","remount"]}]`, `mounts[0].options: "hidepid=2": an option of a file system that is the host's as well, and no remount's to change`},
	{"mounts", `[{"destination":"/a","type":"tmpfs"},{"destination":"/a","type":"bind","source":"/x"},{"destination":"/a","type":"tmpfs","options":["remount","size=1m"]}]`, `mounts[2].options: "size=1m": an option of a file system that is the host's as well, and no remount's to change`},
	{"mounts", `[{"destination":"/a","type":"cgroup"},{"destination":"/a","options":["remount","sync"]}]`, `mounts[1].options: "sync": an option of a file system that is the host's as well, and no remount's to change`},
	{"mounts", `[{"destination":"/a","type":"tmpfs"},{"destination":"/a","type":"tmpfs","options":["remount","tmpcopyup"]}]`, `mounts[1].options: "remount": cannot go with tmpcopyup`},
	{"mounts", `[{"destination":"/a","type":"bind","source":"/x","options":["remount","idmap"]}]`, `mounts[0].options: "remount": cannot go with idmap or ridmap: ids are mapped when something is mounted`},
	{"mounts", `[{"destination":"/a","type":"bind","source":"/x","options":["remount"],"uidMappings":[{"size":1}]}]`, `mounts[0].uidMappings: only a bind mount can be id-mapped`},
	{"mounts", `[{"destination":"/a","source":"/b","options":["bind","idmap"]}]`, `mounts[0].options: an id-mapped mount needs uidMappings and gidMappings, or a user namespace in linux.namespaces to take them from`},
	{"mounts", `[{"destination":"/a","source":"/b","options":["rbind","ridmap"]}]`, `mounts[0].options: an id-mapped mount needs uidMappings and gidMappings, or a user namespace in linux.namespaces to take them from`},
	{"mounts", `[{"destination":"/a","type":"tmpfs","options":["idmap"]}]`, `mounts[0].options[0]: "idmap": only a bind mount can be id-mapped`},
	{"mounts", `[{"destination":"/a","type":"tmpfs","gidMappings":[{"size":1}]}]`, `mounts[0].gidMappings: only a bind mount can be id-mapped`},
	{"mounts", `[{"destination":"/a","source":"/b","options":["bind"],"uidMappings":[{"size":1}]}]`, `mounts[0].gidMappings: missing`},
	{"mounts", `[{"destination":"/a","source":"/b","options":["bind"],"gidMappings":[{"size":1}]}]`, `mounts[0].uidMappings: missing`},
	{"mounts", `[{"destination":"/a","source":"/b","options":["bind"],"uidMappings":[{"size":1},{"containerID":5,"hostID":9}],"gidMappings":[{"size":1}]}]`, `mounts[0].uidMappings[1].size: 0: no ids`},
	{"mounts", `[{"destination":"/a","source":"/b","options":["bind","idmap=uids=0-1-2"]}]`, `mounts[0].gidMappings: missing`},
	{"mounts", `[{"destination":"/a","source":"/b","options":["bind","idmap=0:1:2"]}]`, `mounts[0].options[1]: "idmap=0:1:2": want idmap=uids=FILE-HOST-SIZE#...;gids=FILE-HOST-SIZE#...`},
	{"mounts", `[{"destination":"/a","source":"/b","options":["bind","idmap=uids=0-1"]}]`, `mounts[0].options[1]: "idmap=uids=0-1": "0-1": want FILE-HOST-SIZE`},
	{"mounts", `[{"destination":"/a","source":"/b","options":["bind","idmap=uids=0-1--1"]}]`, `mounts[0].options[1]: "idmap=uids=0-1--1": "0-1--1": want FILE-HOST-SIZE`},
	{"mounts", `[{"destination":"/a","source":"/b","options":["bind","idmap=uids=0-4294967296-1"]}]`, `mounts[0].options[1]: "idmap=uids=0-4294967296-1": "0-4294967296-1": want three numbers below 4294967296`},
	{"mounts", `[{"destination":"/a","source":"/b","options":["bind","idmap=uids=@0-1-1"]}]`, `mounts[0].gidMappings: missing`},
	{"mounts", `[{"destination":"/a","source":"/b","options":["bind","ridmap=x"]}]`, `mounts[0].options[1]: "ridmap=x": a bind mount takes no file system options`},
	{"mounts", `[{"destination":"/a","type":"cgroup","options":["memory"]}]`, `mounts[0].options[0]: "memory": the container gets the host's hierarchies, whose options cannot be changed`},
	{"mounts", `[{"destination":"/a","type":"cgroup2","options":["sync"]}]`, `mounts[0].options[0]: "sync": a cgroup2 mount cannot change its file system`},
	{"mounts", `[{"destination":"/a","type":"tmpfs","options":["X-mount.owner=1"]}]`, `mounts[0].options[0]: "X-mount.owner=1": an option that mount(8) carries out, and no other program`},

	{"linux.devices", `[{"type":"c"}]`, `linux.devices[0].path: missing`},
	{"linux.devices", `[{"path":"dev/x","type":"c"}]`, `linux.devices[0].path: "dev/x": not an absolute path`},
	{"linux.devices", `[{"path":"/..","type":"c"}]`, `linux.devices[0].path: "/..": the container's root directory`},
	{"linux.devices", `[{"path":"/dev/x"}]`, `linux.devices[0].type: missing`},
	{"linux.devices", `[{"path":"/dev/x","type":"a"}]`, `linux.devices[0].type: "a": not one of c, u, b, p`},
	{"linux.devices", `[{"path":"/dev/x","type":"c","major":4096}]`, `linux.devices[0].major: 4096: not between 0 and 4095`},
	{"linux.devices", `[{"path":"/dev/x","type":"c","minor":4294967295}]`, `linux.devices[0].minor: 4294967295: not between 0 and 1048575`},
	{"linux.devices", `[{"path":"/dev/x","type":"b","minor":-1}]`, `linux.devices[0].minor: -1: not between 0 and 1048575`},
	{"linux.devices", `[{"path":"/dev/x","type":"c","fileMode":2147484159}]`, `linux.devices[0].fileMode: 2147484159: not permission bits`},
	{"linux.devices", `[{"path":"/dev/x","type":"c","uid":4294967295}]`, `linux.devices[0].uid: 4294967295: not a valid id`},
	{"linux.devices", `[{"path":"/dev/x","type":"p","gid":4294967295}]`, `linux.devices[0].gid: 4294967295: not a valid id`},

	{"linux.maskedPaths", `["/proc/kcore","proc/keys"]`, `linux.maskedPaths[1]: "proc/keys": not an absolute path`},
	{"linux.maskedPaths", `["//"]`, `linux.maskedPaths[0]: "//": the container's root directory`},
	{"linux.maskedPaths", `[""]`, `linux.maskedPaths[0]: "": must not be empty`},
	{"linux.readonlyPaths", `["/a\u0000"]`, `linux.readonlyPaths[0]: "/a\x00": contains a NUL byte`},
	{"linux.readonlyPaths", `["a"]`, `linux.readonlyPaths[0]: "a": not an absolute path`},

	{"linux.sysctl", `{"vm.swappiness":"1"}`, `linux.sysctl: "vm.swappiness": not in a separate kernel namespace`},
	{"linux.sysctl", `{"kernel.core_pattern":"|x"}`, `linux.sysctl: "kernel.core_pattern": not in a separate kernel namespace`},
	{"linux.sysctl", `{"kernel.hostname":"x"}`, `linux.sysctl: "kernel.hostname": set hostname instead`},
	{"linux.sysctl", `{"net/../vm/swappiness":"1"}`, `linux.sysctl: "net/../vm/swappiness": not the name of a sysctl`},
	{"linux.sysctl", `{"net.//.vm":"1"}`, `linux.sysctl: "net.//.vm": not the name of a sysctl`},
	{"linux.sysctl", `{"net..vm":"1"}`, `linux.sysctl: "net..vm": not the name of a sysctl`},
	{"linux.sysctl", `{"":"1"}`, `linux.sysctl: "": not the name of a sysctl`},
	{"linux.sysctl", `{"/net/x":"1"}`, `linux.sysctl: "/net/x": not the name of a sysctl`},
	{"linux.sysctl", `{"net.a\u0000":"1"}`, `linux.sysctl: "net.a\x00": not the name of a sysctl`},
	{"linux.sysctl", `{"net.x":"1\u0000"}`, `linux.sysctl.net.x: "1\x00": contains a NUL byte`},
	{"linux.sysctl", `{"net.x":"1","net/x":"2"}`, `linux.sysctl: "net/x": the same sysctl as "net.x"`},

	{"linux.cgroupsPath", `"/"`, `linux.cgroupsPath: "/": no cgroup of its own`},
	{"linux.cgroupsPath", `"."`, `linux.cgroupsPath: ".": no cgroup of its own`},
	{"linux.cgroupsPath", `"../.."`, `linux.cgroupsPath: "../..": no cgroup of its own`},
	{"linux.cgroupsPath", `"/a\nb"`, `linux.cgroupsPath: "/a\nb": contains a control character`},

	{"linux.resources.devices", `[{"allow":true,"type":"u","access":"r"}]`, `linux.resources.devices[0].type: "u": not one of a, b, c`},
	{"linux.resources.devices", `[{"allow":false,"access":"rwm"},{"allow":true,"type":"c"}]`, `linux.resources.devices[1].access: missing`},
	{"linux.resources.devices", `[{"allow":true,"type":"c","access":"rx"}]`, `linux.resources.devices[0].access: "rx": not a combination of r, w and m`},
	{"linux.resources.devices", `[{"allow":true,"major":1,"access":"rwm"}]`, `linux.resources.devices[0].major: 1: type "a" means every device: give "b" or "c"`},
	{"linux.resources.devices", `[{"allow":true,"type":"a","minor":0,"access":"rwm"}]`, `linux.resources.devices[0].minor: 0: type "a" means every device: give "b" or "c"`},
	{"linux.resources.devices", `[{"allow":true,"type":"a","access":"r"}]`, `linux.resources.devices[0].access: "r": type "a" means every access: give "b" or "c"`},
	{"linux.resources.devices", `[{"allow":true,"type":"c","major":-2,"access":"r"}]`, `linux.resources.devices[0].major: -2: not between 0 and 4095`},
	{"linux.resources.devices", `[{"allow":true,"type":"c","major":4096,"access":"r"}]`, `linux.resources.devices[0].major: 4096: not between 0 and 4095`},
	{"linux.resources.devices", `[{"allow":true,"type":"b","major":4294967295,"access":"r"}]`, `linux.resources.devices[0].major: 4294967295: not between 0 and 4095`},
	{"linux.resources.devices", `[{"allow":true,"type":"c","minor":1048576,"access":"r"}]`, `linux.resources.devices[0].minor: 1048576: not between 0 and 1048575`},
	{"linux.resources.devices", `[{"allow":true,"type":"c","minor":4294967296,"access":"r"}]`, `linux.resources.devices[0].minor: 4294967296: not between 0 and 1048575`},
	{"linux.resources.memory", `{"limit":-2}`, `linux.resources.memory.limit: -2: neither a number of bytes nor -1`},
	{"linux.resources.memory", `{"reservation":-9}`, `linux.resources.memory.reservation: -9: neither a number of bytes nor -1`},
	{"linux.resources.memory", `{"swap":-2}`, `linux.resources.memory.swap: -2: neither a number of bytes nor -1`},
	{"linux.resources.memory", `{"limit":20,"swap":10}`, `linux.resources.memory.swap: 10: less than the memory limit 20, which it includes`},
	{"linux.resources.memory", `{"swappiness":101}`, `linux.resources.memory.swappiness: 101: not between 0 and 100`},
	{"linux.resources.cpu", `{"quota":-2}`, `linux.resources.cpu.quota: -2: neither a number of microseconds nor -1`},
	{"linux.resources.cpu", `{"realtimeRuntime":-2}`, `linux.resources.cpu.realtimeRuntime: -2: neither a number of microseconds nor -1`},
	{"linux.resources.cpu", `{"idle":2}`, `linux.resources.cpu.idle: 2: neither 0 nor 1`},
	{"linux.resources.cpu", `{"cpus":"0 1"}`, `linux.resources.cpu.cpus: "0 1": contains white space or a control character`},
	{"linux.resources.cpu", `{"mems":"0\n"}`, `linux.resources.cpu.mems: "0\n": contains white space or a control character`},
	{"linux.resources.pids", `{"limit":-2}`, `linux.resources.pids.limit: -2: neither a number of tasks nor -1`},
	{"linux.resources.blockIO", `{"weight":9}`, `linux.resources.blockIO.weight: 9: not between 10 and 1000`},
	{"linux.resources.blockIO", `{"leafWeight":1001}`, `linux.resources.blockIO.leafWeight: 1001: not between 10 and 1000`},
	{"linux.resources.blockIO", `{"weightDevice":[{"major":-1}]}`, `linux.resources.blockIO.weightDevice[0].major: -1: not between 0 and 4095`},
	{"linux.resources.blockIO", `{"weightDevice":[{"weight":1}]}`, `linux.resources.blockIO.weightDevice[0].weight: 1: not between 10 and 1000`},
	{"linux.resources.blockIO", `{"weightDevice":[{"leafWeight":1}]}`, `linux.resources.blockIO.weightDevice[0].leafWeight: 1: not between 10 and 1000`},
	{"linux.resources.blockIO", `{"throttleReadBpsDevice":[{"minor":-1}]}`, `linux.resources.blockIO.throttleReadBpsDevice[0].minor: -1: not between 0 and 1048575`},
	{"linux.resources.blockIO", `{"throttleWriteIOPSDevice":[{},{"major":4104}]}`, `linux.resources.blockIO.throttleWriteIOPSDevice[1].major: 4104: not between 0 and 4095`},
	{"linux.resources.hugepageLimits", `[{"pageSize":"../2MB","limit":1}]`, `linux.resources.hugepageLimits[0].pageSize: "../2MB": not a size such as "2MB"`},
	{"linux.resources.hugepageLimits", `[{"pageSize":"2M"}]`, `linux.resources.hugepageLimits[0].pageSize: "2M": not a size such as "2MB"`},
	{"linux.resources.hugepageLimits", `[{"pageSize":"MB"}]`, `linux.resources.hugepageLimits[0].pageSize: "MB": not a size such as "2MB"`},
	{"linux.resources.hugepageLimits", `[{"pageSize":"02MB"}]`, `linux.resources.hugepageLimits[0].pageSize: "02MB": not a size such as "2MB"`},
	{"linux.resources.network", `{"priorities":[{"name":"eth0 5\neth1"}]}`, `linux.resources.network.priorities[0].name: "eth0 5\neth1": contains white space or a control character`},
	{"linux.resources.network", `{"priorities":[{"name":""}]}`, `linux.resources.network.priorities[0].name: "": must not be empty`},
	{"linux.resources.rdma", `{"a b":{}}`, `linux.resources.rdma: "a b": contains white space or a control character`},
	{"linux.resources.unified", `{"../memory.max":"1"}`, `linux.resources.unified: "../memory.max": not the name of a cgroup file such as memory.high`},
	{"linux.resources.unified", `{"..":"1"}`, `linux.resources.unified: "..": not the name of a cgroup file such as memory.high`},
	{"linux.resources.unified", `{"memory":"1"}`, `linux.resources.unified: "memory": not the name of a cgroup file such as memory.high`},
	{"linux.resources.unified", `{"memory.high":"1\u0000"}`, `linux.resources.unified.memory.high: "1\x00": contains a NUL byte`},

	{"hooks", `{"prestart":[{}]}`, `hooks.prestart[0].path: missing`},
	{"hooks", `{"prestart":[{"path":"/a"},{"path":"true"}]}`, `hooks.prestart[1].path: "true": not an absolute path`},
	{"hooks", `{"createRuntime":[{"path":"/a\u0000"}]}`, `hooks.createRuntime[0].path: "/a\x00": contains a NUL byte`},
	{"hooks", `{"poststart":[{"path":"/a","args":["\u0000"]}]}`, `hooks.poststart[0].args[0]: "\x00": contains a NUL byte`},
	{"hooks", `{"poststop":[{"path":"/a","env":["\u0000"]}]}`, `hooks.poststop[0].env[0]: "\x00": contains a NUL byte`},
	{"hooks", `{"poststop":[{"path":"/a","timeout":0}]}`, `hooks.poststop[0].timeout: 0: not a number of seconds above zero`},
	{"hooks", `{"poststop":[{"path":"/a","timeout":-1}]}`, `hooks.poststop[0].timeout: -1: not a number of seconds above zero`},
	{"hooks", `{"poststop":[{"path":"/a","timeout":9223372037}]}`, `hooks.poststop[0].timeout: 9223372037: not a number of seconds above zero`},
	{"hooks", `{"createContainer":[{"path":"a"}]}`, `hooks.createContainer[0].path: "a": not an absolute path`},
	{"hooks", `{"startContainer":[{"path":"/a"},{}]}`, `hooks.startContainer[1].path: missing`},

	{"annotations", `{"":"x"}`, `annotations: "": a key must not be empty`},
}

const long65 = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

func TestConvertRefuses(t *testing.T) {
	dir := bundle(t)
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"loop": "loop", "slash": "/"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range badValues {
		doc := exampleDocument(t)
		doc.set(t, row.path, row.json)
		cfg, err := Convert(doc.spec(t), dir)
		if err == nil {
			t.Errorf("%s %s: accepted, want %s", row.path, quote(row.json), row.want)
			continue
		}
		if cfg != nil {
			t.Errorf("%s %s: a config besides the error", row.path, quote(row.json))
		}
		want := "config.json: " + strings.ReplaceAll(row.want, "DIR", dir)
		if err.Error() != want {
			t.Errorf("%s %s:\n got %s\nwant %s", row.path, quote(row.json), err, want)
		}
	}
}

// TestConvertRefusesInCombination has what takes two changes to go wrong.
func TestConvertRefusesInCombination(t *testing.T) {
	for _, row := range []struct {
		changes map[string]string
		want    string
	}{
		{
			map[string]string{"hostname": ``, "linux.namespaces": `[{"type":"mount"}]`, "domainname": `"d"`},
			`domainname: "d": needs a uts namespace other than the host's in linux.namespaces`,
		},
		{
			map[string]string{"hostname": ``, "linux.namespaces": `[{"type":"mount"}]`, "linux.sysctl": `{"net.x":"1"}`},
			`linux.sysctl: "net.x": not allowed in the host's network namespace`,
		},
		{
			map[string]string{"hostname": ``, "linux.namespaces": `[{"type":"mount"},{"type":"network","path":"/proc/self/ns/net"}]`, "linux.sysctl": `{"net.x":"1"}`},
			`linux.sysctl: "net.x": not allowed in the host's network namespace`,
		},
		{
			map[string]string{"hostname": ``, "linux.namespaces": `[{"type":"mount"}]`, "linux.sysctl": `{"kernel.shmmax":"1"}`},
			`linux.sysctl: "kernel.shmmax": not allowed in the host's ipc namespace`,
		},
		{
			map[string]string{"hostname": ``, "linux.namespaces": `[{"type":"mount"}]`, "linux.sysctl": `{"fs.mqueue.msg_max":"1"}`},
			`linux.sysctl: "fs.mqueue.msg_max": not allowed in the host's ipc namespace`,
		},
		{
			map[string]string{"hostname": ``, "linux.namespaces": `[{"type":"mount"}]`, "linux.sysctl": `{"kernel.domainname":"x"}`},
			`linux.sysctl: "kernel.domainname": not allowed in the host's uts namespace`,
		},
		{
			map[string]string{"domainname": `"a"`, "linux.sysctl": `{"kernel.domainname":"b"}`},
			`linux.sysctl.kernel.domainname: "b": contradicts domainname "a"`,
		},
	} {
		doc := exampleDocument(t)
		for path, text := range row.changes {
			doc.set(t, path, text)
		}
		_, err := Convert(doc.spec(t), bundle(t))
		if err == nil || err.Error() != "config.json: "+row.want {
			t.Errorf("%v:\n got %v\nwant config.json: %s", row.changes, err, row.want)
		}
	}
}

func TestRefuseShortensLongValues(t *testing.T) {
	err := refuse("a", strings.Repeat("x", 1<<20), "bad")
	if len(err.Error()) > 400 {
		t.Errorf("an error of %d bytes", len(err.Error()))
	}
}
