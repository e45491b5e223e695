package specconv

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// musts are the rules of config.md and config-linux.md that are about what
// stands in a config.json: all of those with MUST, MUST NOT or REQUIRED, for
// Linux. Each has a change to the example that breaks it, and the lines that
// tell so, after "config.json: ".
var musts = [...]struct {
	rule       string
	path, json string
	want       []string
}{
	{"ociVersion (string, REQUIRED)", "ociVersion", ``, []string{`ociVersion: missing (config.md, Specification version)`}},
	{"MUST be in SemVer v2.0.0 format", "ociVersion", `"1.3"`, []string{`ociVersion: "1.3": not a semantic version such as "1.3.0" (config.md, Specification version)`}},
	{"MUST be in SemVer v2.0.0 format", "ociVersion", `1.3`, []string{`ociVersion: got a number, want a string (config.md, Specification version)`}},
	{"generate an error when unsupported values are encountered", "ociVersion", `"2.0.0"`, []string{`ociVersion: "2.0.0": not supported: mocker reads 1.0 to 1.3 (config.md, Specification version)`}},

	{"root: on all other platforms, this field is REQUIRED", "root", ``, []string{`root: missing (config.md, Root)`}},
	{"root.path (string, REQUIRED)", "root", `{}`, []string{`root.path: missing (config.md, Root)`}},
	{"a directory MUST exist at the path", "root.path", `"none"`, []string{`root.path: "DIR/none": no such file or directory (config.md, Root)`}},

	{"destination (string, REQUIRED)", "mounts", `[{"type":"tmpfs"},{"destination":"","type":"tmpfs"}]`, []string{
		`mounts[0].destination: missing (config.md, Mounts)`, `mounts[1].destination: missing (config.md, Mounts)`,
	}},
	{"uidMappings MUST be specified along with gidMappings", "mounts", `[{"destination":"/a","source":"/b","options":["bind","idmap"],"uidMappings":[{"containerID":0,"hostID":1,"size":1}]}]`, []string{
		`mounts[0].gidMappings: missing (config.md, POSIX-platform Mounts)`,
	}},
	{"gidMappings MUST be specified along with uidMappings", "mounts", `[{"destination":"/a","source":"/b","options":["bind","idmap"],"gidMappings":[{"containerID":0,"hostID":1,"size":1}]}]`, []string{
		`mounts[0].uidMappings: missing (config.md, POSIX-platform Mounts)`,
	}},
	{"idmap: otherwise an error MUST be returned", "mounts", `[{"destination":"/a","source":"/b","options":["bind","idmap"]}]`, []string{
		`mounts[0].options: an id-mapped mount needs uidMappings and gidMappings, or a user namespace in linux.namespaces to take them from (config.md, Linux mount options)`,
	}},
	{"mappings have the format of user namespaces", "mounts", `[{"destination":"/a","source":"/b","options":["bind","idmap"],"uidMappings":[{"size":1}],"gidMappings":[{"containerID":0,"hostID":0,"size":1}]}]`, []string{
		`mounts[0].uidMappings[0].containerID: missing (config.md, POSIX-platform Mounts)`,
		`mounts[0].uidMappings[0].hostID: missing (config.md, POSIX-platform Mounts)`,
	}},

	{"consoleSize.height, width (uint, REQUIRED)", "process.consoleSize", `{}`, []string{
		`process.consoleSize.height: missing (config.md, Process)`, `process.consoleSize.width: missing (config.md, Process)`,
	}},
	{"cwd (string, REQUIRED)", "process.cwd", ``, []string{`process.cwd: missing (config.md, Process)`}},
	{"cwd MUST be an absolute path", "process.cwd", `"tmp"`, []string{`process.cwd: "tmp": not an absolute path (config.md, Process)`}},
	{"args: at least one entry is REQUIRED", "process.args", `[]`, []string{`process.args: missing (config.md, Process)`}},
	{"args: at least one entry is REQUIRED", "process.args", ``, []string{`process.args: missing (config.md, Process)`}},
	{"env, args: arrays of strings", "process.env", `["A=1",2,"B=3",{}]`, []string{
		`process.env[1]: got a number, want a string (config.md, Process)`, `process.env[3]: got an object, want a string (config.md, Process)`,
	}},
	{"rlimits: type, soft, hard REQUIRED", "process.rlimits", `[{}]`, []string{
		`process.rlimits[0].type: missing (config.md, POSIX process)`,
		`process.rlimits[0].hard: missing (config.md, POSIX process)`,
		`process.rlimits[0].soft: missing (config.md, POSIX process)`,
	}},
	{"MUST generate an error for values which cannot be mapped to a kernel interface", "process.rlimits", `[{"type":"RLIMIT_X","soft":1,"hard":1},{"type":"nofile","soft":1,"hard":1}]`, []string{
		`process.rlimits[0].type: "RLIMIT_X": not a resource limit (config.md, POSIX process)`,
		`process.rlimits[1].type: "nofile": not a resource limit (config.md, POSIX process)`,
	}},
	{"duplicated entries: the runtime MUST generate an error", "process.rlimits", `[{"type":"RLIMIT_AS","soft":1,"hard":1},{"type":"RLIMIT_AS","soft":1,"hard":1}]`, []string{
		`process.rlimits[1].type: "RLIMIT_AS": given twice (config.md, POSIX process)`,
	}},
	{"scheduler.policy REQUIRED", "process.scheduler", `{}`, []string{`process.scheduler.policy: missing (config.md, Linux Process)`}},
	{"scheduler: a valid list of values", "process.scheduler", `{"policy":"SCHED_X","flags":["SCHED_FLAG_X","SCHED_FLAG_RECLAIM","Y"],"nice":20}`, []string{
		`process.scheduler.policy: "SCHED_X": not one of SCHED_OTHER, SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_ISO, SCHED_IDLE, SCHED_DEADLINE (config.md, Linux Process)`,
		`process.scheduler.flags[0]: "SCHED_FLAG_X": not one of ` + strings.Join(wordNames(schedFlags[:]), ", ") + ` (config.md, Linux Process)`,
		`process.scheduler.flags[2]: "Y": not one of ` + strings.Join(wordNames(schedFlags[:]), ", ") + ` (config.md, Linux Process)`,
		`process.scheduler.nice: 20: not between -20 and 19 (config.md, Linux Process)`,
	}},
	{"ioPriority: possible values", "process.ioPriority", `{"class":"RT","priority":8}`, []string{
		`process.ioPriority.class: "RT": not one of IOPRIO_CLASS_RT, IOPRIO_CLASS_BE, IOPRIO_CLASS_IDLE (config.md, Linux Process)`,
		`process.ioPriority.priority: 8: not between 0 and 7 (config.md, Linux Process)`,
	}},
	{"ioPriority.class, priority REQUIRED", "process.ioPriority", `{}`, []string{
		`process.ioPriority.class: missing (config.md, Linux Process)`, `process.ioPriority.priority: missing (config.md, Linux Process)`,
	}},
	{"user.uid, gid (int, REQUIRED)", "process.user", `{}`, []string{
		`process.user.uid: missing (config.md, POSIX-platform User)`, `process.user.gid: missing (config.md, POSIX-platform User)`,
	}},
	{"user.uid (int)", "process.user", `{"uid":-1,"gid":4294967296}`, []string{
		`process.user.uid: got number -1, want an integer from 0 to 4294967295 (config.md, POSIX-platform User)`,
		`process.user.gid: got number 4294967296, want an integer from 0 to 4294967295 (config.md, POSIX-platform User)`,
	}},

	{"hooks: path (string, REQUIRED)", "hooks", `{"prestart":[{}],"poststop":[{"path":""}]}`, []string{
		`hooks.prestart[0].path: missing (config.md, POSIX-platform Hooks)`, `hooks.poststop[0].path: missing (config.md, POSIX-platform Hooks)`,
	}},
	{"hooks: path MUST be absolute", "hooks", `{"prestart":[{"path":"a"}],"createRuntime":[{"path":"a"}],"createContainer":[{"path":"a"}],"startContainer":[{"path":"a"}],"poststart":[{"path":"a"}],"poststop":[{"path":"a"}]}`, []string{
		`hooks.prestart[0].path: "a": not an absolute path (config.md, POSIX-platform Hooks)`,
		`hooks.createRuntime[0].path: "a": not an absolute path (config.md, POSIX-platform Hooks)`,
		`hooks.createContainer[0].path: "a": not an absolute path (config.md, POSIX-platform Hooks)`,
		`hooks.startContainer[0].path: "a": not an absolute path (config.md, POSIX-platform Hooks)`,
		`hooks.poststart[0].path: "a": not an absolute path (config.md, POSIX-platform Hooks)`,
		`hooks.poststop[0].path: "a": not an absolute path (config.md, POSIX-platform Hooks)`,
	}},
	{"hooks: timeout MUST be greater than zero", "hooks", `{"startContainer":[{"path":"/a","timeout":0},{"path":"/a","timeout":-3}]}`, []string{
		`hooks.startContainer[0].timeout: 0: not a number of seconds above zero (config.md, POSIX-platform Hooks)`,
		`hooks.startContainer[1].timeout: -3: not a number of seconds above zero (config.md, POSIX-platform Hooks)`,
	}},
	{"hooks: path MUST resolve in the runtime namespace", "hooks", `{"prestart":[{"path":"DIR/a"}],"createRuntime":[{"path":"DIR/b"}],"createContainer":[{"path":"DIR/c"}],"startContainer":[{"path":"DIR/of-the-container"}],"poststart":[{"path":"DIR/d"}],"poststop":[{"path":"DIR/e"}]}`, []string{
		`hooks.prestart[0].path: "DIR/a": no such file or directory (config.md, POSIX-platform Hooks)`,
		`hooks.createRuntime[0].path: "DIR/b": no such file or directory (config.md, POSIX-platform Hooks)`,
		`hooks.createContainer[0].path: "DIR/c": no such file or directory (config.md, POSIX-platform Hooks)`,
		`hooks.poststart[0].path: "DIR/d": no such file or directory (config.md, POSIX-platform Hooks)`,
		`hooks.poststop[0].path: "DIR/e": no such file or directory (config.md, POSIX-platform Hooks)`,
	}},

	{"annotations MUST be a key-value map", "annotations", `["a"]`, []string{`annotations: got an array, want an object (config.md, Annotations)`}},
	{"keys MUST NOT be an empty string", "annotations", `{"":"x"}`, []string{`annotations: "": a key must not be empty (config.md, Annotations)`}},
	{"values MUST be strings", "annotations", `{"a":1,"b":"x","c":true}`, []string{
		`annotations.a: got a number, want a string (config.md, Annotations)`, `annotations.c: got true or false, want a string (config.md, Annotations)`,
	}},

	{"namespaces: type (string, REQUIRED)", "linux.namespaces", `[{"type":"mount"},{"type":"uts"},{}]`, []string{`linux.namespaces[2].type: missing (config-linux.md, Namespaces)`}},
	{"namespaces: valid types", "linux.namespaces", `[{"type":"mount"},{"type":"uts"},{"type":"net"}]`, []string{`linux.namespaces[2].type: "net": not a namespace type (config-linux.md, Namespaces)`}},
	{"namespaces: path MUST be an absolute path", "linux.namespaces", `[{"type":"mount"},{"type":"uts"},{"type":"pid","path":"ns/pid"},{"type":"ipc","path":"ns/ipc"}]`, []string{
		`linux.namespaces[2].path: "ns/pid": not an absolute path (config-linux.md, Namespaces)`,
		`linux.namespaces[3].path: "ns/ipc": not an absolute path (config-linux.md, Namespaces)`,
	}},
	{"MUST generate an error if path is not associated with a namespace of the type", "linux.namespaces", `[{"type":"mount"},{"type":"uts"},{"type":"pid","path":"/proc/self/ns/ipc"},{"type":"ipc","path":"/dev/null"},{"type":"network","path":"DIR/none"}]`, []string{
		`linux.namespaces[2].path: "/proc/self/ns/ipc": a namespace of another type (config-linux.md, Namespaces)`,
		`linux.namespaces[3].path: "/dev/null": not a namespace (config-linux.md, Namespaces)`,
		`linux.namespaces[4].path: "DIR/none": no such file or directory (config-linux.md, Namespaces)`,
	}},
	{"duplicated namespaces: the runtime MUST generate an error", "linux.namespaces", `[{"type":"mount"},{"type":"uts"},{"type":"uts"},{"type":"mount"}]`, []string{
		`linux.namespaces[2].type: "uts": given twice (config-linux.md, Namespaces)`,
		`linux.namespaces[3].type: "mount": given twice (config-linux.md, Namespaces)`,
	}},
	{"mappings: containerID, hostID, size REQUIRED", "linux", `{"namespaces":[{"type":"mount"},{"type":"uts"},{"type":"user"}],"uidMappings":[{}],"gidMappings":[{"containerID":0,"hostID":0}]}`, []string{
		`linux.uidMappings[0].containerID: missing (config-linux.md, User namespace mappings)`,
		`linux.uidMappings[0].hostID: missing (config-linux.md, User namespace mappings)`,
		`linux.uidMappings[0].size: missing (config-linux.md, User namespace mappings)`,
		`linux.gidMappings[0].size: missing (config-linux.md, User namespace mappings)`,
	}},
	{"devices: type, path REQUIRED", "linux.devices", `[{"major":1,"minor":1}]`, []string{
		`linux.devices[0].path: missing (config-linux.md, Devices)`, `linux.devices[0].type: missing (config-linux.md, Devices)`,
	}},
	{"devices: type of c, b, u or p", "linux.devices", `[{"path":"/a","type":"x","major":1,"minor":1}]`, []string{`linux.devices[0].type: "x": not one of c, u, b, p (config-linux.md, Devices)`}},
	{"devices: full path", "linux.devices", `[{"path":"a","type":"p"}]`, []string{`linux.devices[0].path: "a": not an absolute path (config-linux.md, Devices)`}},
	{"devices: major, minor REQUIRED unless type is p", "linux.devices", `[{"path":"/a","type":"p"},{"path":"/b","type":"c"},{"path":"/c","type":"b","major":1}]`, []string{
		`linux.devices[1].major: missing (config-linux.md, Devices)`,
		`linux.devices[1].minor: missing (config-linux.md, Devices)`,
		`linux.devices[2].minor: missing (config-linux.md, Devices)`,
	}},
	{"MUST generate an error for a cgroupsPath that is invalid", "linux.cgroupsPath", `"/.."`, []string{`linux.cgroupsPath: "/..": no cgroup of its own (config-linux.md, Cgroups Path)`}},
	{"allowed devices: allow (boolean, REQUIRED)", "linux.resources.devices", `[{"access":"rwm"}]`, []string{`linux.resources.devices[0].allow: missing (config-linux.md, Allowed Device list)`}},
	{"cpu: quota MUST be no smaller than burst", "linux.resources.cpu", `{"quota":1000,"burst":1001}`, []string{`linux.resources.cpu.burst: 1001: more than the quota 1000 (config-linux.md, CPU)`}},
	{"weightDevice: at least one of weight or leafWeight", "linux.resources.blockIO", `{"weightDevice":[{"major":8,"minor":0}]}`, []string{`linux.resources.blockIO.weightDevice[0]: neither weight nor leafWeight is given (config-linux.md, Block IO)`}},
	{"weightDevice: major, minor REQUIRED", "linux.resources.blockIO", `{"weightDevice":[{"weight":10}]}`, []string{
		`linux.resources.blockIO.weightDevice[0].major: missing (config-linux.md, Block IO)`, `linux.resources.blockIO.weightDevice[0].minor: missing (config-linux.md, Block IO)`,
	}},
	{"throttle devices: major, minor, rate REQUIRED", "linux.resources.blockIO", `{"throttleReadBpsDevice":[{}],"throttleWriteIOPSDevice":[{"major":8,"minor":0}]}`, []string{
		`linux.resources.blockIO.throttleReadBpsDevice[0].major: missing (config-linux.md, Block IO)`,
		`linux.resources.blockIO.throttleReadBpsDevice[0].minor: missing (config-linux.md, Block IO)`,
		`linux.resources.blockIO.throttleReadBpsDevice[0].rate: missing (config-linux.md, Block IO)`,
		`linux.resources.blockIO.throttleWriteIOPSDevice[0].rate: missing (config-linux.md, Block IO)`,
	}},
	{"hugepageLimits: pageSize, limit REQUIRED", "linux.resources.hugepageLimits", `[{}]`, []string{
		`linux.resources.hugepageLimits[0].pageSize: missing (config-linux.md, Huge page limits)`, `linux.resources.hugepageLimits[0].limit: missing (config-linux.md, Huge page limits)`,
	}},
	{"hugepageLimits: the format of pageSize", "linux.resources.hugepageLimits", `[{"pageSize":"2M","limit":1}]`, []string{`linux.resources.hugepageLimits[0].pageSize: "2M": not a size such as "2MB" (config-linux.md, Huge page limits)`}},
	{"network priorities: name, priority REQUIRED", "linux.resources.network.priorities", `[{}]`, []string{
		`linux.resources.network.priorities[0].name: missing (config-linux.md, Network)`, `linux.resources.network.priorities[0].priority: missing (config-linux.md, Network)`,
	}},
	{"rdma: at least one of hcaHandles or hcaObjects", "linux.resources.rdma", `{"mlx5_1":{}}`, []string{`linux.resources.rdma.mlx5_1: neither hcaHandles nor hcaObjects is given (config-linux.md, RDMA)`}},
	{"memoryPolicy: mode REQUIRED", "linux.memoryPolicy", `{}`, []string{`linux.memoryPolicy.mode: missing (config-linux.md, Memory policy)`}},
	{"memoryPolicy: valid constants", "linux.memoryPolicy", `{"mode":"BIND","flags":["X"]}`, []string{
		`linux.memoryPolicy.mode: "BIND": not one of ` + strings.Join(wordNames(memoryModes[:]), ", ") + ` (config-linux.md, Memory policy)`,
		`linux.memoryPolicy.flags[0]: "X": not one of ` + strings.Join(wordNames(memoryFlags[:]), ", ") + ` (config-linux.md, Memory policy)`,
	}},
	{"intelRdt: memBwSchema MUST start with MB: and MUST NOT contain newlines; nor schemata", "linux.intelRdt", `{"memBwSchema":"L3:0=f","schemata":["L3:0=f","MB:0=1\nL3:0=1"]}`, []string{
		`linux.intelRdt.memBwSchema: "L3:0=f": does not begin with "MB:" (config-linux.md, IntelRdt)`,
		`linux.intelRdt.schemata[1]: "MB:0=1\nL3:0=1": contains a line break or a NUL byte (config-linux.md, IntelRdt)`,
	}},
	{"personality: valid constants, no flags", "linux.personality", `{"domain":"SVR4","flags":["X"]}`, []string{
		`linux.personality.domain: "SVR4": not one of LINUX, LINUX32 (config-linux.md, Personality)`,
		`linux.personality.flags[0]: "X": the specification has no flags (config-linux.md, Personality)`,
	}},
	{"netDevices: names", "linux.netDevices", `{"a/b":{},"eth0":{"name":"c d"}}`, []string{
		`linux.netDevices: "a/b": not the name of a network device (config-linux.md, Network Devices)`,
		`linux.netDevices.eth0.name: "c d": not the name of a network device (config-linux.md, Network Devices)`,
	}},
	{"seccomp: defaultAction REQUIRED", "linux.seccomp", `{}`, []string{`linux.seccomp.defaultAction: missing (config-linux.md, Seccomp)`}},
	{"seccomp: names, action REQUIRED", "linux.seccomp", `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{}]}`, []string{
		`linux.seccomp.syscalls[0].names: missing (config-linux.md, Seccomp)`, `linux.seccomp.syscalls[0].action: missing (config-linux.md, Seccomp)`,
	}},
	{"seccomp args: index, value, op REQUIRED", "linux.seccomp", `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_KILL","args":[{}]}]}`, []string{
		`linux.seccomp.syscalls[0].args[0].index: missing (config-linux.md, Seccomp)`,
		`linux.seccomp.syscalls[0].args[0].value: missing (config-linux.md, Seccomp)`,
		`linux.seccomp.syscalls[0].args[0].op: missing (config-linux.md, Seccomp)`,
	}},
	{"seccomp: whatever is wrong with a profile", "linux.seccomp", `{"defaultAction":"SCMP_ACT_ALLOW","defaultErrnoRet":1,"architectures":["x"],"flags":["y"],"syscalls":[
		{"names":["read",""],"action":"SCMP_ACT_ERRNO","errnoRet":5000,"args":[{"index":7,"value":1,"op":"z"}]},{"names":["mkdir"],"action":"SCMP_ACT_NOTIFY"}]}`, []string{
		`linux.seccomp.architectures[0]: "x": unknown architecture (config-linux.md, Seccomp)`,
		`linux.seccomp.defaultErrnoRet: 1: SCMP_ACT_ALLOW has no errno (config-linux.md, Seccomp)`,
		`linux.seccomp.syscalls[0].errnoRet: 5000: above 4095 (config-linux.md, Seccomp)`,
		`linux.seccomp.syscalls[0].names[1]: "": must not be empty (config-linux.md, Seccomp)`,
		`linux.seccomp.syscalls[0].args[0].op: "z": unknown operator (config-linux.md, Seccomp)`,
		`linux.seccomp.syscalls[0].args[0].index: 7: not between 0 and 5 (config-linux.md, Seccomp)`,
		`linux.seccomp.listenerPath: missing (config-linux.md, Seccomp)`,
		`linux.seccomp.flags[0]: "y": unknown flag (config-linux.md, Seccomp)`,
	}},
	{"maskedPaths MUST be absolute", "linux.maskedPaths", `["a","/b","c"]`, []string{
		`linux.maskedPaths[0]: "a": not an absolute path (config-linux.md, Masked Paths)`, `linux.maskedPaths[2]: "c": not an absolute path (config-linux.md, Masked Paths)`,
	}},
	{"readonlyPaths MUST be absolute", "linux.readonlyPaths", `["a"]`, []string{`linux.readonlyPaths[0]: "a": not an absolute path (config-linux.md, Readonly Paths)`}},
	{"personality: domain REQUIRED", "linux.personality", `{}`, []string{`linux.personality.domain: missing (config-linux.md, Personality)`}},
	{"rootfsPropagation: valid values", "linux.rootfsPropagation", `"public"`, []string{`linux.rootfsPropagation: "public": not one of private, slave, shared, unbindable, with or without a leading r (config-linux.md, Rootfs Mount Propagation)`}},
}

// TestMusts: each rule is told with its lines, and with no other but, until
// the property is built, that it is not supported.
func TestMusts(t *testing.T) {
	dir := bundle(t)
	for _, row := range musts {
		doc := exampleDocument(t)
		doc.set(t, row.path, strings.ReplaceAll(row.json, "DIR", dir))
		if row.path == "linux" {
			doc["process"] = map[string]any{"user": map[string]any{"uid": 0, "gid": 0}, "args": []string{"sh"}, "cwd": "/"}
		}
		text, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		bad, _ := validate(text, dir)
		var got, want []string
		for _, err := range bad {
			if line := violation(err); !strings.Contains(line, "not supported yet") {
				got = append(got, line)
			}
		}
		for _, line := range row.want {
			want = append(want, "config.json: "+strings.ReplaceAll(line, "DIR", dir))
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %s %s:\n got %s\nwant %s", row.rule, row.path, row.json, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
		}
	}
}

// TestSections: every section exists, and every property has one.
func TestSections(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("needs the go command, which knows where the specification's text is")
	}
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/opencontainers/runtime-spec").Output()
	if err != nil {
		t.Fatal(err)
	}
	headings := map[string]bool{}
	for _, file := range []string{"config.md", "config-linux.md"} {
		text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), file))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^#+ (?:<a [^>]*>)?(?:</a>)?(.*)$`).FindAllStringSubmatch(string(text), -1) {
			headings[file+", "+strings.TrimSpace(m[1])] = true
		}
	}
	for _, s := range sections {
		if !headings[s.text] {
			t.Errorf("%s: the specification has no section %q", s.path, s.text)
		}
	}
	for _, row := range badValues {
		path, _, _ := strings.Cut(row.want, ": ")
		if sectionOf(path) == "" {
			t.Errorf("%s has no section", path)
		}
	}
}

// TestValidateEverything: what is refused is a violation, and all at once.
func TestValidateEverything(t *testing.T) {
	dir := bundle(t)
	for _, row := range badValues {
		doc := exampleDocument(t)
		doc.set(t, row.path, row.json)
		text, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Convert(doc.spec(t), dir); err == nil {
			continue // TestConvertRefuses says it
		}
		if bad, _ := validate(text, dir); len(bad) == 0 {
			t.Errorf("%s %s: no violation, and create refuses it", row.path, quote(row.json))
		}
	}
}

func TestValidateBundle(t *testing.T) {
	dir := bundle(t)
	if _, _, err := Validate(dir); err == nil || err.Error() != "load "+dir+"/config.json: JSON specification file config.json not found" {
		t.Errorf("no config.json: %v", err)
	}
	for _, row := range []struct {
		text       string
		violations []string
		warnings   []string
	}{
		{`{"ociVersion":"1.3.0","root":{"path":"rootfs"},"linux":{"namespaces":[{"type":"mount"}]}}`, nil, nil},
		{`{"ociVersion":"1.3.0","root":{"path":"rootfs"},"linux":{"namespaces":[{"type":"mount"}]},"windows":{"layerFolders":[""]},"other":[1,{"a":2}]}`, nil, nil},
		{`{"ociVersion":"1.3.0","ociVersion":"1.2.0","root":{"path":"rootfs"},"Linux":{"namespaces":[{"type":"mount"}]}}`, nil, []string{
			`config.json: ociVersion: given twice, and not every runtime takes the same one`,
			`config.json: Linux: taken for linux, which other runtimes do not do`,
		}},
		{`{"ociVersion":"1.3.0","root":{"path":"rootfs"},"linux":{"namespaces":[{"type":"mount"}]},"process":{"args":["a"],"cwd":"/","user":{"uid":0,"gid":0},"capabilities":{"bounding":["CAP_X","CAP_KILL"],"effective":["CAP_KILL"],"inheritable":["CAP_CHOWN"],"ambient":["CAP_KILL","CAP_Y"]}}}`, nil, []string{
			`config.json: process.capabilities.bounding[0]: "CAP_X": ignored: not a capability`,
			`config.json: process.capabilities.ambient[1]: "CAP_Y": ignored: not a capability`,
			`config.json: process.capabilities.effective: CAP_KILL: ignored: not in permitted`,
			`config.json: process.capabilities.inheritable: CAP_CHOWN: ignored: not in bounding`,
			`config.json: process.capabilities.ambient: CAP_KILL: ignored: not in both permitted and inheritable`,
		}},
		{`{"ociVersion":null}`, []string{
			`config.json: ociVersion: missing (config.md, Specification version)`,
			`config.json: root: missing (config.md, Root)`,
		}, nil},
		{"{\n\"a\": nil}", []string{"config.json: line 2, column 7: invalid character 'i' in literal null (expecting 'u')"}, nil},
		{`[]`, []string{`config.json: line 1, column 1: got an array, want an object`}, nil},
		{`null`, []string{`config.json: line 1, column 1: got null, want an object`}, nil},
		{`{"process":"sh","root":{"path":5},"linux":[]}`, []string{
			`config.json: process: got a string, want an object (config.md, Process)`,
			`config.json: root.path: got a number, want a string (config.md, Root)`,
			`config.json: linux: got an array, want an object (config.md, Platform-specific configuration)`,
			`config.json: ociVersion: missing (config.md, Specification version)`,
		}, nil},
		{`{"ociVersion":"1.3.0","root":{"path":"rootfs"},"linux":{"namespaces":[{"type":"mount"}]},"windows":[]}`, []string{`config.json: windows: got an array, want an object`}, nil},
	} {
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(row.text), 0o600); err != nil {
			t.Fatal(err)
		}
		violations, warnings, err := Validate(dir)
		if err != nil || !slices.Equal(violations, row.violations) || !slices.Equal(warnings, row.warnings) {
			t.Errorf("%s:\n got %s\n     %q, %v\nwant %s\n     %q", row.text, strings.Join(violations, "\n     "), warnings, err, strings.Join(row.violations, "\n     "), row.warnings)
		}
	}
}

// TestValidateBig: what is big or deep is answered soon, in short lines.
func TestValidateBig(t *testing.T) {
	dir := bundle(t)
	start := `{"ociVersion":"1.3.0","root":{"path":"rootfs"},"linux":{"namespaces":[{"type":"mount"}],`
	const many = 100_000
	repeated := func(list string, entry func(i int) string) string {
		var b strings.Builder
		b.WriteString(start + list)
		for i := range many {
			b.WriteString(entry(i) + ",")
		}
		b.WriteString(entry(many))
		return b.String()
	}
	for name, text := range map[string]string{
		"a long string":    `{"hostname":"` + strings.Repeat("x", 10<<20) + `"}`,
		"a long key":       start + `"sysctl":{"` + strings.Repeat("x", 10<<20) + `":"1"}}}`,
		"a long number":    `{"process":{"user":{"uid":` + strings.Repeat("9", 1<<20) + `}}}`,
		"a deep one":       `{"process":{"args":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}}`,
		"too deep":         strings.Repeat(`{"a":`, 1<<20),
		"NULs":             `{"process":{"cwd":"\u0000","args":["\u0000"],"env":["\u0000=\u0000"]}}`,
		"many devices":     repeated(`"devices":[`, func(i int) string { return `{"path":"/d` + strconv.Itoa(i) + `","type":"p"}` }) + `]}}`,
		"many namespaces":  repeated(`"x":0,"namespaces":[`, func(int) string { return `{"type":"x"}` }) + `]}}`,
		"many bad gids":    repeated(`"x":0},"process":{"user":{"additionalGids":[`, func(int) string { return "4294967295" }) + `]}}}`,
		"many remounts":    repeated(`"x":0},"mounts":[`, func(i int) string { return `{"destination":"/m` + strconv.Itoa(i) + `","options":["remount"]}` }) + `]}`,
		"many options":     repeated(`"x":0},"mounts":[{"destination":"/a","type":"tmpfs","options":[`, func(i int) string { return `"sync","a` + strconv.Itoa(i) + `"` }) + `]}]}`,
		"many ranges":      repeated(`"uidMappings":[`, func(int) string { return `{"size":1}` }) + `]}}`,
		"many empty lists": start + `"x":[` + strings.Repeat("[],", 1<<20) + `0]}}`,
	} {
		began := time.Now()
		_, _ = parse([]byte(text)) // a measure of the machine
		limit := 3*time.Second + 30*time.Since(began)
		began = time.Now()
		bad, _ := validate([]byte(text), dir)
		if took := time.Since(began); took > limit {
			t.Errorf("%s: took %v, more than %v", name, took, limit)
		}
		for _, err := range bad {
			if line := violation(err); len(line) > 1500 || strings.ContainsAny(line, "\n\x00") {
				t.Errorf("%s: a line of %d bytes: %.200q", name, len(line), line)
			}
		}
		if len(bad) > mostProblems {
			t.Errorf("%s: %d lines", name, len(bad))
		}
	}
}
