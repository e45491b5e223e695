package errors

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// part is one table of the document.
type part struct {
	title string
	rows  []row
}

func parts() []part {
	return []part{
		{"Command line", commandLine()},
		{"Ids and the lifecycle", lifecycle()},
		{"Pause, limits, and looking at a container", verbs()},
		{"The bundle", bundles()},
		{"config.json", configs()},
		{"Schedulers, memory policy, network devices, classes of service", properties()},
		{"Namespaces", namespaces()},
		{"seccomp", seccomps()},
		{"The machine", machine()},
		{"The program", programs()},
		{"exec", execs()},
		{"Hooks", hooks()},
		{"Labels", labels()},
		{"Not built yet", unbuilt()},
		{"`spec --busybox` and the network hook", busybox()},
		{"`run` with an image", images()},
	}
}

var (
	create = call{args: []string{"create", "--bundle", "$BUNDLE", "$ID"}}
	start  = call{args: []string{"start", "$ID"}}
)

func args(line string) call { return call{args: strings.Fields(line)} }

// with is the preparation of a row that changes config.json.
func with(edit func(*specs.Spec)) func(*place) {
	return func(p *place) { p.spec(edit) }
}

// program makes the process of the bundle another one.
func program(args ...string) func(*place) {
	return with(func(s *specs.Spec) { s.Process.Args = args })
}

// made leaves a created container. Its process has one name from the start, so
// that it looks the same before and after.
func made(p *place) {
	program("sleep", "100")(p)
	p.ok("create", "--bundle", p.bundle, p.id)
}

// running leaves a running container.
func running(p *place) {
	made(p)
	p.ok("start", p.id)
	stat := fmt.Sprintf("/proc/%d/stat", p.first())
	drive.Eventually(p, "the process sleeps", func() bool {
		data, _ := os.ReadFile(stat)
		return strings.Contains(string(data), "(sleep) S")
	})
}

// stopped leaves a stopped container.
func stopped(p *place) {
	running(p)
	p.ok("kill", p.id, "KILL")
	drive.Eventually(p, "the container has stopped", func() bool {
		r := drive.Exec(p, p.runtime, "state", p.id)
		return strings.Contains(r.Stdout, `"stopped"`)
	})
}

func commandLine() []row {
	return []row{
		{input: "a verb that does not exist", call: args("frobnicate $ID"), want: `unknown command "frobnicate" (see "mocker --help")`},
		{input: "a verb with a letter missing", call: args("creat $ID"), want: `unknown command "creat" (did you mean create?)`},
		{input: "a flag that does not exist", call: args("create --bundel $BUNDLE $ID"), want: "create: flag provided but not defined: -bundel (did you mean --bundle?)"},
		{input: "a global flag that does not exist", call: args("--rot $DIR list"), want: "flag provided but not defined: -rot (did you mean --root?)"},
		{input: "a global flag behind the verb", call: args("list --root $DIR"), want: `list: flag provided but not defined: -root (see "mocker help list")`},
		{input: "a flag without its value", call: args("create --bundle"), want: `create: flag needs an argument: -bundle (see "mocker help create")`},
		{input: "no id", call: args("create --bundle $BUNDLE"), want: `"create" requires exactly 1 argument(s) (usage: mocker create <container-id>)`},
		{input: "two ids", call: args("start $ID $ID-2"), want: `"start" requires exactly 1 argument(s) (usage: mocker start <container-id>)`},
		{input: "a flag behind the id", call: args("delete $ID --force"), want: `"delete" requires exactly 1 argument(s) (usage: mocker delete <container-id>; flags such as "--force" come before the arguments)`},
		{input: "a format that does not exist", call: args("list --format yaml"), want: `list --format "yaml": want table or json`},
		{input: "a log format that does not exist", call: args("--log-format yaml list"), want: `--log-format "yaml": want text or json`},
		{input: "a log in a directory that does not exist", call: args("--log $DIR/none/log list"), want: "--log $DIR/none/log: stat $DIR/none: no such file or directory"},
		{input: "a log that is a directory", call: args("--log $DIR state $ID"), want: "container does not exist: \"$ID\"\n--log $DIR: open $DIR: is a directory"},
		{input: "a trace format that does not exist", call: args("--trace-format yaml list"), own: true, want: `--trace-format "yaml": want chrome or jsonl`},
		{input: "a trace in a directory that does not exist", call: args("--trace $DIR/none/trace create --bundle $BUNDLE $ID"), own: true,
			prep: with(func(*specs.Spec) {}), want: "--trace $DIR/none/trace: no such file or directory"},
		{input: "a root that is a file", call: args("--root $DIR/file create --bundle $BUNDLE $ID"), want: "create state directory $DIR/file: not a directory",
			prep: func(p *place) { p.spec(func(*specs.Spec) {}); p.write(filepath.Join(p.dir, "file"), "", 0o644) }},
		{input: "an empty root", call: call{args: []string{"--root", "", "list"}}, want: "--root: the path is empty"},
		{input: "not root", call: call{args: create.args, as: 65534}, want: "config.json: linux.namespaces: an ordinary user needs a user namespace (mocker spec --rootless writes one)", prep: with(func(*specs.Spec) {})},
		{input: "not root, to look", call: call{args: []string{"state", "$ID"}, as: 65534}, want: `container does not exist: "$ID"`, prep: made},
		{input: "a pid file in a directory that does not exist", call: args("create --bundle $BUNDLE --pid-file $DIR/none/pid $ID"),
			prep: with(func(*specs.Spec) {}), want: "save: write pid file $DIR/none/pid: no such file or directory"},
		{input: "a pid file that is a directory", call: args("create --bundle $BUNDLE --pid-file $DIR $ID"),
			prep: with(func(*specs.Spec) {}), want: "save: write pid file $DIR: file exists"},
		{input: "a terminal and no console socket", call: create, want: "cannot allocate tty if mocker will detach without setting console socket",
			prep: with(func(s *specs.Spec) { s.Process.Terminal = true })},
		{input: "a console socket and no terminal", call: args("create --bundle $BUNDLE --console-socket $DIR/socket $ID"), want: "cannot use console socket if mocker will not detach or allocate tty",
			prep: with(func(*specs.Spec) {})},
		{input: "a console socket that does not exist", call: args("create --bundle $BUNDLE --console-socket $DIR/socket $ID"), want: "console: connect to console socket $DIR/socket: no such file or directory",
			prep: with(func(s *specs.Spec) { s.Process.Terminal = true })},
		{input: "a console socket that nobody listens on", call: args("create --bundle $BUNDLE --console-socket $DIR/socket $ID"), want: "console: connect to console socket $DIR/socket: connection refused",
			prep: deafSocket},
		{input: "a file descriptor to preserve that is not open", call: args("create --bundle $BUNDLE --preserve-fds 2 $ID"), want: "--preserve-fds 2: fd 3 is not open",
			prep: with(func(*specs.Spec) {})},
		{input: "validate where there is no bundle", call: args("validate --bundle $DIR/none"), want: "open bundle $DIR/none: no such file or directory", own: true},
		{input: "validate with an id", call: args("validate --bundle $BUNDLE $ID"), want: `"validate" requires exactly 0 argument(s) (usage: mocker validate)`, own: true},
		{input: "features of something", call: args("features seccomp"), want: `"features" requires exactly 0 argument(s) (usage: mocker features)`},
	}
}

func deafSocket(p *place) {
	p.spec(func(s *specs.Spec) { s.Process.Terminal = true })
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(p.dir, "socket"), Net: "unix"})
	if err != nil {
		p.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
}

func lifecycle() []row {
	return []row{
		{input: "an id with a slash", call: args("create --bundle $BUNDLE a/b"), want: `invalid container ID format: "a/b"`, prep: with(func(*specs.Spec) {})},
		{input: "an id that leads out", call: args("create --bundle $BUNDLE .."), want: `invalid container ID format: ".."`, prep: with(func(*specs.Spec) {})},
		{input: "an empty id", call: call{args: []string{"create", "--bundle", "$BUNDLE", ""}}, want: "container id cannot be empty", prep: with(func(*specs.Spec) {})},
		{input: "an id that is too long", call: args("create --bundle $BUNDLE " + strings.Repeat("x", 256)), want: `invalid container ID format: "` + strings.Repeat("x", 256) + `" is longer than 255 bytes`, prep: with(func(*specs.Spec) {})},
		{input: "an id that is taken", call: create, want: `container with given ID already exists: "$ID"`, prep: made},
		{input: "start of an unknown container", call: start, want: `container does not exist: "$ID"`},
		{input: "start of a running container", call: start, want: `cannot start an already running container: "$ID"`, prep: running},
		{input: "start of a stopped container", call: start, want: `cannot start a container that has stopped: "$ID"`, prep: stopped},
		{input: "start of a container without a process", call: start, want: `cannot start a container whose config.json has no process: "$ID"`, prep: func(p *place) {
			p.spec(func(s *specs.Spec) { s.Process = nil })
			r := drive.Exec(p, p.runtime, "create", "--bundle", p.bundle, p.id)
			if r.Code != 0 && p.runtime == drive.Mocker(p) {
				p.Fatal(r)
			}
		}},
		{input: "state of an unknown container", call: args("state $ID"), want: `container does not exist: "$ID"`},
		{input: "kill of an unknown container", call: args("kill $ID"), want: `container does not exist: "$ID"`},
		{input: "kill of a stopped container", call: args("kill $ID KILL"), want: `container not running: "$ID"`, prep: stopped},
		{input: "kill with a signal that does not exist", call: args("kill $ID TREM"), want: `unknown signal "TREM"`, prep: made},
		{input: "kill with a number that is no signal", call: args("kill $ID 65"), want: `unknown signal "65"`, prep: made},
		{input: "delete of an unknown container", call: args("delete $ID"), want: `container does not exist: "$ID"`},
		{input: "delete of a running container", call: args("delete $ID"), want: "cannot delete container $ID that is not stopped: running", prep: running},
	}
}

func bundles() []row {
	return []row{
		{input: "no bundle", call: args("create --bundle $DIR/none $ID"), want: "open bundle $DIR/none: no such file or directory"},
		{input: "a bundle that is a file", call: args("create --bundle $DIR/file $ID"), want: "load $DIR/file/config.json: not a directory",
			prep: func(p *place) { p.write(filepath.Join(p.dir, "file"), "", 0o644) }},
		{input: "no config.json", call: args("create --bundle $DIR $ID"), want: "load $DIR/config.json: JSON specification file config.json not found"},
		{input: "an empty config.json", call: create, want: "load $BUNDLE/config.json: line 1, column 1: unexpected end of JSON input", prep: func(p *place) { p.text("") }},
		{input: "bad JSON", call: create, want: "load $BUNDLE/config.json: line 3, column 9: invalid character '{' after object key", prep: func(p *place) { p.text("{\n\t\"ociVersion\": \"1.0.2\",\n\t\"root\" {}\n}\n") }},
		{input: "JSON that ends too early", call: create, want: "load $BUNDLE/config.json: line 2, column 23: unexpected end of JSON input", prep: func(p *place) { p.text("{\n\t\"ociVersion\": \"1.0.2\"") }},
		{input: "JSON of the wrong type", call: create, want: "load $BUNDLE/config.json: line 3, column 25: process.args: got a string, want an array",
			prep: func(p *place) { p.text("{\n\t\"ociVersion\": \"1.0.2\",\n\t\"process\": {\"args\": \"sh\"}\n}\n") }},
		{input: "no rootfs", call: create, want: `config.json: root.path: "$BUNDLE/none": no such file or directory`,
			prep: with(func(s *specs.Spec) { s.Root.Path = "none" })},
		{input: "a rootfs that is a file", call: create, want: `config.json: root.path: "$BUNDLE/config.json": not a directory`,
			prep: with(func(s *specs.Spec) { s.Root.Path = "config.json" })},
	}
}

func configs() []row {
	one := func(input, want string, edit func(*specs.Spec)) row {
		return row{input: input, call: create, prep: with(edit), want: want}
	}
	return []row{
		one("no ociVersion",
			"config.json: ociVersion: missing", func(s *specs.Spec) { s.Version = "" }),
		one("an ociVersion of the future",
			`config.json: ociVersion: "2.0.0": not supported: mocker reads 1.0 to 1.3`, func(s *specs.Spec) { s.Version = "2.0.0" }),
		one("no root",
			"config.json: root: missing", func(s *specs.Spec) { s.Root = nil }),
		one("no args",
			"config.json: process.args: missing", func(s *specs.Spec) { s.Process.Args = nil }),
		one("no working directory",
			"config.json: process.cwd: missing", func(s *specs.Spec) { s.Process.Cwd = "" }),
		one("a relative working directory",
			`config.json: process.cwd: "tmp": not an absolute path`, func(s *specs.Spec) { s.Process.Cwd = "tmp" }),
		one("a variable without a value",
			`config.json: process.env[0]: "PATH": no "=" in it`, func(s *specs.Spec) { s.Process.Env = []string{"PATH"} }),
		one("a limit that does not exist",
			`config.json: process.rlimits[0].type: "RLIMIT_FILES": not a resource limit`, func(s *specs.Spec) { s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_FILES"}} }),
		one("a soft limit above the hard one",
			"config.json: process.rlimits[0].soft: 2: more than the hard limit 1", func(s *specs.Spec) {
				s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_CORE", Soft: 2, Hard: 1}}
			}),
		one("an oomScoreAdj out of range",
			"config.json: process.oomScoreAdj: 2000: not between -1000 and 1000", func(s *specs.Spec) { n := 2000; s.Process.OOMScoreAdj = &n }),
		one("a burst above the quota",
			"config.json: linux.resources.cpu.burst: 2000: more than the quota 1000", func(s *specs.Spec) {
				quota, burst := int64(1000), uint64(2000)
				s.Linux.Resources.CPU = &specs.LinuxCPU{Quota: &quota, Burst: &burst}
			}),
		one("a weight of a device without one",
			"config.json: linux.resources.blockIO.weightDevice[0]: neither weight nor leafWeight is given", func(s *specs.Spec) {
				s.Linux.Resources.BlockIO = &specs.LinuxBlockIO{WeightDevice: make([]specs.LinuxWeightDevice, 1)}
			}),
		one("an RDMA device without limits",
			"config.json: linux.resources.rdma.mlx5_0: neither hcaHandles nor hcaObjects is given", func(s *specs.Spec) {
				s.Linux.Resources.Rdma = map[string]specs.LinuxRdma{"mlx5_0": {}}
			}),
		one("a namespace type that does not exist",
			`config.json: linux.namespaces[5].type: "net": not a namespace type`, func(s *specs.Spec) {
				s.Linux.Namespaces = append(five(s), specs.LinuxNamespace{Type: "net"})
			}),
		one("a namespace given twice",
			`config.json: linux.namespaces[5].type: "pid": given twice`, func(s *specs.Spec) {
				s.Linux.Namespaces = append(five(s), specs.LinuxNamespace{Type: specs.PIDNamespace})
			}),
		one("a user namespace without a mount namespace",
			"config.json: linux.namespaces: a user namespace needs a mount namespace beside it: in the host's it may not mount anything", func(s *specs.Spec) {
				s.Linux.Namespaces = []specs.LinuxNamespace{{Type: specs.PIDNamespace}, {Type: specs.UserNamespace}}
				s.Hostname = ""
			}),
		one("a hostname and no uts namespace",
			`config.json: hostname: "runc": needs a uts namespace other than the host's in linux.namespaces`, func(s *specs.Spec) {
				s.Linux.Namespaces = []specs.LinuxNamespace{{Type: specs.PIDNamespace}, {Type: specs.MountNamespace}}
			}),
		one("a sysctl of the whole machine",
			`config.json: linux.sysctl: "vm.swappiness": not in a separate kernel namespace`, func(s *specs.Spec) { s.Linux.Sysctl = map[string]string{"vm.swappiness": "1"} }),
		one("a sysctl of the host's network",
			`config.json: linux.sysctl: "net.ipv4.ip_forward": not allowed in the host's network namespace`, func(s *specs.Spec) {
				s.Linux.Namespaces = []specs.LinuxNamespace{{Type: specs.PIDNamespace}, {Type: specs.MountNamespace}}
				s.Hostname = ""
				s.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1"}
			}),
		one("a mount without a destination",
			"config.json: mounts[7].destination: missing", func(s *specs.Spec) { s.Mounts = append(s.Mounts, specs.Mount{Type: "tmpfs"}) }),
		one("a mount without a type",
			"config.json: mounts[7].type: missing", func(s *specs.Spec) { s.Mounts = append(s.Mounts, specs.Mount{Destination: "/mnt"}) }),
		one("a bind mount with an option of a file system",
			`config.json: mounts[7].options[1]: "uid=7": a bind mount takes no file system options`, func(s *specs.Spec) {
				s.Mounts = append(s.Mounts, specs.Mount{Destination: "/mnt", Source: "/tmp", Options: []string{"bind", "uid=7"}})
			}),
		one("an id-mapped mount without maps",
			`config.json: mounts[7].options: an id-mapped mount needs uidMappings and gidMappings, or a user namespace in linux.namespaces to take them from`, func(s *specs.Spec) {
				s.Mounts = append(s.Mounts, specs.Mount{Destination: "/mnt", Source: "/tmp", Options: []string{"bind", "idmap"}})
			}),
		one("an id-mapped mount with half of its maps",
			"config.json: mounts[7].gidMappings: missing", func(s *specs.Spec) {
				s.Mounts = append(s.Mounts, specs.Mount{Destination: "/mnt", Source: "/tmp", Options: []string{"bind", "idmap"}, UIDMappings: []specs.LinuxIDMapping{{Size: 1}}})
			}),
		one("ids of a mount that are mapped twice",
			`config.json: mounts[7].uidMappings[1]: "1 5 1": overlaps mounts[7].uidMappings[0]`, func(s *specs.Spec) {
				s.Mounts = append(s.Mounts, specs.Mount{Destination: "/mnt", Source: "/tmp", Options: []string{"bind"}, UIDMappings: []specs.LinuxIDMapping{{Size: 2}, {ContainerID: 1, HostID: 5, Size: 1}}, GIDMappings: []specs.LinuxIDMapping{{Size: 1}}})
			}),
		one("an id-mapped tmpfs",
			`config.json: mounts[7].options[0]: "idmap": only a bind mount can be id-mapped`, func(s *specs.Spec) {
				s.Mounts = append(s.Mounts, specs.Mount{Destination: "/mnt", Type: "tmpfs", Options: []string{"idmap"}})
			}),
		one("a remount of a file system of the host, with its options",
			`config.json: mounts[8].options: "size=1m": an option of a file system that is the host's as well, and no remount's to change`, func(s *specs.Spec) {
				s.Mounts = append(s.Mounts, specs.Mount{Destination: "/mnt", Source: "/tmp", Options: []string{"bind"}}, specs.Mount{Destination: "/mnt", Type: "tmpfs", Options: []string{"remount", "size=1m"}})
			}),
		one("a cgroup mount with a controller as an option",
			`config.json: mounts[7].options[0]: "memory": the container gets the host's hierarchies, whose options cannot be changed`, func(s *specs.Spec) {
				s.Mounts = append(s.Mounts, specs.Mount{Destination: "/mnt", Type: "cgroup", Source: "cgroup", Options: []string{"memory"}})
			}),
		one("a masked path that is relative",
			`config.json: linux.maskedPaths[0]: "proc/kcore": not an absolute path`, func(s *specs.Spec) { s.Linux.MaskedPaths = []string{"proc/kcore"} }),
		one("a device of a type that does not exist",
			`config.json: linux.devices[0].type: "x": not one of c, u, b, p`, func(s *specs.Spec) {
				s.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/x", Type: "x", Major: 1, Minor: 3}}
			}),
		one("a hook with a relative path",
			`config.json: hooks.poststop[0].path: "bin/true": not an absolute path`, func(s *specs.Spec) {
				s.Hooks = &specs.Hooks{Poststop: []specs.Hook{{Path: "bin/true"}}}
			}),
		one("a cgroup that is the root",
			`config.json: linux.cgroupsPath: "/": no cgroup of its own`, func(s *specs.Spec) { s.Linux.CgroupsPath = "/" }),
		one("a delegated cgroup without a name",
			`config.json: annotations.run.oci.delegate-cgroup: "/": not the name of a cgroup below the container's`, func(s *specs.Spec) {
				s.Annotations = map[string]string{"run.oci.delegate-cgroup": "/"}
			}),
		one("a delegated cgroup on cgroup v1",
			`cgroup: annotations.run.oci.delegate-cgroup: "own": a cgroup can be delegated only where cgroup v2 is all there is`, func(s *specs.Spec) {
				s.Annotations = map[string]string{"run.oci.delegate-cgroup": "own"}
			}).onV1(),
		one("a cgroup file to write nothing to",
			`config.json: linux.resources.unified.memory.high: "": must not be empty`, func(s *specs.Spec) {
				s.Linux.Resources.Unified = map[string]string{"memory.high": ""}
			}),
		one("a negative memory limit",
			"config.json: linux.resources.memory.limit: -2: neither a number of bytes nor -1", func(s *specs.Spec) {
				n := int64(-2)
				s.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &n}
			}),
	}
}

func machine() []row {
	one := func(input, want string, edit func(*specs.Spec)) row {
		return row{input: input, call: create, prep: with(edit), want: want}
	}
	mount := func(input, want string, m specs.Mount) row {
		return one(input, want, func(s *specs.Spec) { s.Mounts = append(s.Mounts, m) })
	}
	return []row{
		mount("a bind mount of what does not exist",
			"rootfs: mounts[7].source: open_tree /does/not/exist: no such file or directory", specs.Mount{Destination: "/mnt", Source: "/does/not/exist", Options: []string{"bind"}}),
		mount("a bind mount of a directory over a file",
			"rootfs: mounts[7].destination: mount a directory on the file /bin/busybox: not a directory", specs.Mount{Destination: "/bin/busybox", Source: "/tmp", Options: []string{"bind"}}),
		mount("a bind mount of a file over a directory",
			"rootfs: mounts[7].destination: mount a file on the directory /tmp: not a directory", specs.Mount{Destination: "/tmp", Source: "/etc/passwd", Options: []string{"bind"}}),
		mount("a file system that does not exist",
			`rootfs: mounts[7] (zfz on /tmp): fsopen zfz: no such device (this kernel has no file system "zfz")`, specs.Mount{Destination: "/tmp", Type: "zfz", Source: "none"}),
		mount("an option that tmpfs does not have",
			"rootfs: mounts[7] (tmpfs on /tmp): fsconfig sise=1m: invalid argument (tmpfs: Unknown parameter 'sise')", specs.Mount{Destination: "/tmp", Type: "tmpfs", Source: "tmpfs", Options: []string{"sise=1m"}}),
		mount("a bad size for a tmpfs",
			"rootfs: mounts[7] (tmpfs on /tmp): fsconfig size=big: invalid argument (tmpfs: Bad value for 'size')", specs.Mount{Destination: "/tmp", Type: "tmpfs", Source: "tmpfs", Options: []string{"size=big"}}),
		mount("a bind mount of something below a file",
			"rootfs: mounts[7].source: open_tree /etc/passwd/x: not a directory", specs.Mount{Destination: "/mnt", Source: "/etc/passwd/x", Options: []string{"bind"}}),
		mount("a remount of what was never mounted",
			"rootfs: mounts[7].destination: remount: nothing is mounted on /tmp", specs.Mount{Destination: "/tmp", Type: "tmpfs", Options: []string{"remount", "ro"}}),
		one("a mount in a volume that is read-only",
			"rootfs: mounts[8].destination: make /mnt/new: mkdir new: read-only file system", func(s *specs.Spec) {
				s.Mounts = append(s.Mounts, specs.Mount{Destination: "/mnt", Source: "/bin", Options: []string{"bind", "ro"}}, specs.Mount{Destination: "/mnt/new", Type: "tmpfs", Source: "tmpfs"})
			}),
		mount("file system options that are too long",
			"rootfs: mounts[7] (tmpfs on /mnt): options of 4105 bytes: this kernel takes 4095 for a file system, 255 for one of its options",
			specs.Mount{Destination: "/mnt", Type: "tmpfs", Source: "tmpfs", Options: []string{"mpol=" + strings.Repeat("x", 4100)}}),
		mount("a tmpfs too small for what it is to start with",
			"rootfs: mounts[7] (tmpfs on /bin): tmpcopyup: copy busybox: sendfile: no space left on device", specs.Mount{Destination: "/bin", Type: "tmpfs", Source: "tmpfs", Options: []string{"tmpcopyup", "size=64k"}}),
		mount("ids that a file system cannot map",
			"rootfs: mounts[7].source: map the ids of /proc/sys: invalid argument (this kernel cannot map those of proc)",
			specs.Mount{Destination: "/mnt", Source: "/proc/sys", Options: []string{"bind", "idmap"}, UIDMappings: []specs.LinuxIDMapping{{Size: 1}}, GIDMappings: []specs.LinuxIDMapping{{Size: 1}}}),
		{input: "an image whose /proc is a link", call: create, prep: linkedProc,
			want: `rootfs: mounts[0].destination: filesystem "proc" must be mounted on ordinary directory, which /proc is not`},
		one("a network namespace that does not exist",
			"namespaces: join the network namespace /run/netns/none: open: no such file or directory", func(s *specs.Spec) { join(s, "/run/netns/none") }),
		one("a network namespace that is none",
			"namespaces: join the network namespace /etc/passwd: not a namespace file: invalid argument", func(s *specs.Spec) { join(s, "/etc/passwd") }),
		one("a network namespace of another type",
			"namespaces: join the network namespace /proc/self/ns/uts: a namespace of another type: invalid argument", func(s *specs.Spec) { join(s, "/proc/self/ns/uts") }),
		one("a limit above the machine's",
			"prepare process: set RLIMIT_NOFILE to soft 1099511627776, hard 1099511627776: operation not permitted (fs.nr_open is the most, and raising a hard limit takes CAP_SYS_RESOURCE)", func(s *specs.Spec) {
				s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 1 << 40, Hard: 1 << 40}}
			}),
		one("a sysctl that this kernel does not have",
			`sysctl: set net.ipv4.none to "1": open sys/net/ipv4/none: no such file or directory`, func(s *specs.Spec) { s.Linux.Sysctl = map[string]string{"net.ipv4.none": "1"} }),
		one("a bad value for a sysctl",
			`sysctl: set net.ipv4.ip_forward to "yes": write to sys/net/ipv4/ip_forward: invalid argument`, func(s *specs.Spec) { s.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "yes"} }),
		one("a device where the image has something else",
			"rootfs: device /bin/busybox: something else is there (mode 0100755, device 0:0): file exists", func(s *specs.Spec) {
				s.Linux.Devices = []specs.LinuxDevice{{Path: "/bin/busybox", Type: "c", Major: 1, Minor: 3}}
			}),
		one("a processor that this machine does not have",
			`cgroup: linux.resources.cpu.cpus: write "900" to cpuset.cpus: numerical result out of range`, func(s *specs.Spec) {
				s.Linux.Resources.CPU = &specs.LinuxCPU{Cpus: "900"}
			}).onV1(),
		one("a quota that is too small",
			`cgroup: linux.resources.cpu.quota: write "1" to cpu.cfs_quota_us: invalid argument`, func(s *specs.Spec) {
				n := int64(1)
				s.Linux.Resources.CPU = &specs.LinuxCPU{Quota: &n}
			}).onV1(),
		one("a terminal and no devpts",
			"console: in the container, open dev/pts/ptmx: no such file or directory (a terminal needs a devpts on /dev/pts)", func(s *specs.Spec) {
				s.Process.Terminal = true
				s.Mounts = append(s.Mounts[:2:2], s.Mounts[3:]...)
			}).run(),
		{input: "a cgroup with processes in it", call: create, prep: busyCgroup, v1: true, want: "cgroup: container's cgroup is not empty: /sys/fs/cgroup/pids/$ID has 1 process(es), the first is $PID"},
	}
}

// onV1 says that the names in a row's text are those of cgroup v1.
func (r row) onV1() row {
	r.v1 = true
	return r
}

// run makes a row's command a run, which needs no console socket.
func (r row) run() row {
	r.call = args("run --bundle $BUNDLE $ID")
	return r
}

// linkedProc makes the image's /proc a link to another directory of it.
func linkedProc(p *place) {
	p.spec(func(*specs.Spec) {})
	if err := os.Remove(p.inRoot("proc")); err != nil {
		p.Fatal(err)
	}
	if err := os.Symlink("tmp", p.inRoot("proc")); err != nil {
		p.Fatal(err)
	}
}

func join(s *specs.Spec, path string) {
	for i := range s.Linux.Namespaces {
		if s.Linux.Namespaces[i].Type == specs.NetworkNamespace {
			s.Linux.Namespaces[i].Path = path
		}
	}
}

// busyCgroup puts another process into the cgroup that config.json names.
func busyCgroup(p *place) {
	p.spec(func(s *specs.Spec) { s.Linux.CgroupsPath = "/" + p.id })
	dir := "/sys/fs/cgroup/pids/" + p.id
	if _, err := os.Stat("/sys/fs/cgroup/pids"); err != nil {
		dir = "/sys/fs/cgroup/" + p.id
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() {
		p.call(call{args: []string{"delete", "--force", p.id}}) // runc moves in
		drive.Eventually(p, "the cgroup can be removed", func() bool {
			err := os.Remove(dir)
			return err == nil || os.IsNotExist(err)
		})
	})
	sleep := exec.Command("sleep", "100")
	if err := sleep.Start(); err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { _ = sleep.Process.Kill(); _ = sleep.Wait() })
	p.pid = sleep.Process.Pid
	p.write(filepath.Join(dir, "cgroup.procs"), p.expand("$PID"), 0o644)
}

func programs() []row {
	return []row{
		{input: "a program that is not in PATH", call: create, want: `find program: exec: "frobnicate": executable file not found in $PATH`, prep: program("frobnicate")},
		{input: "a program that does not exist", call: create, want: `find program: exec: "/bin/frobnicate": stat /bin/frobnicate: no such file or directory`, prep: program("/bin/frobnicate")},
		{input: "a program that is a directory", call: create, want: `find program: exec: "/tmp": is a directory`, prep: program("/tmp")},
		{input: "a program that is not executable", call: create, want: `find program: exec: "/etc/passwd": permission denied`, prep: program("/etc/passwd")},
		{input: "a program below a file", call: create, want: `find program: exec: "/etc/passwd/x": stat /etc/passwd/x: not a directory`, prep: program("/etc/passwd/x")},
		{input: "a program that its user may not execute", call: create, want: `find program: exec: "private": permission denied`, prep: func(p *place) {
			p.write(p.inRoot("bin/private"), "#!/bin/sh\n", 0o700)
			p.spec(func(s *specs.Spec) { s.Process.Args, s.Process.User.UID = []string{"private"}, 1000 })
		}},
		{input: "a working directory that is a file", call: create, want: "find program: working directory /etc/passwd: not a directory",
			prep: with(func(s *specs.Spec) { s.Process.Cwd = "/etc/passwd" })},
		{input: "a working directory that its user may not enter", call: create, want: "find program: working directory /private/below: not a directory", prep: func(p *place) {
			if err := os.Mkdir(p.inRoot("private"), 0o700); err != nil {
				p.Fatal(err)
			}
			p.spec(func(s *specs.Spec) { s.Process.Cwd = "/private/below"; s.Process.User.UID = 1000 })
			p.write(p.inRoot("private/below"), "", 0o600)
		}},
		{input: "a script without its interpreter", call: start, want: "exec /bin/script: no such file or directory (its interpreter or dynamic loader is missing)", leaves: "the container, stopped",
			prep: func(p *place) { script(p, "#!/bin/python\n") }},
		{input: "a script without a first line", call: start, want: "exec /bin/script: exec format error (neither a program for this machine nor a script that begins with #!)", leaves: "the container, stopped",
			prep: func(p *place) { script(p, "echo hello\n") }},
		{input: "the same with run", call: args("run --bundle $BUNDLE $ID"), want: "exec /bin/script: no such file or directory (its interpreter or dynamic loader is missing)",
			prep: func(p *place) {
				p.write(p.inRoot("bin/script"), "#!/bin/python\n", 0o755)
				p.spec(func(s *specs.Spec) { s.Process.Args = []string{"script"} })
			}},
	}
}

// script creates a container whose program is a script.
func script(p *place, text string) {
	p.write(p.inRoot("bin/script"), text, 0o755)
	p.spec(func(s *specs.Spec) { s.Process.Args = []string{"script"} })
	p.ok("create", "--bundle", p.bundle, p.id)
}

func hooks() []row {
	prestart := func(h specs.Hook) func(*place) {
		return with(func(s *specs.Spec) {
			s.Hooks = &specs.Hooks{Prestart: []specs.Hook{h}} //nolint:staticcheck // the one that every runtime has
		})
	}
	second := 1
	sh := func(script string) specs.Hook {
		return specs.Hook{Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin"}}
	}
	slow := sh("echo wait; exec sleep 100")
	slow.Timeout = &second
	return []row{
		{input: "a hook that fails", call: create, want: `prestart hooks: hook "/bin/sh": exit status 3: no luck`, prep: prestart(sh("echo no luck >&2; exit 3"))},
		{input: "a hook that is killed", call: create, want: `prestart hooks: hook "/bin/sh": signal: killed`, prep: prestart(sh("kill -KILL $$"))},
		{input: "a hook that hangs, with a timeout", call: create, want: `prestart hooks: hook "/bin/sh": timed out after 1s: wait`, prep: prestart(slow)},
		{input: "a hook that does not exist", call: create, want: `prestart hooks: hook "/does/not/exist": start: no such file or directory`, prep: prestart(specs.Hook{Path: "/does/not/exist"})},
		{input: "a hook that is not executable", call: create, want: `prestart hooks: hook "/etc/passwd": start: permission denied`, prep: prestart(specs.Hook{Path: "/etc/passwd"})},
		{input: "a createContainer hook that fails", call: create, want: `createContainer hooks: hook "/bin/sh": exit status 3: no luck`,
			prep: with(func(s *specs.Spec) {
				s.Hooks = &specs.Hooks{CreateContainer: []specs.Hook{sh("echo no luck >&2; exit 3")}}
			})},
		{input: "a createContainer hook that does not exist", call: create, want: `createContainer hooks: hook "/does/not/exist": start: exec: "/does/not/exist": stat /does/not/exist: no such file or directory`,
			prep: with(func(s *specs.Spec) {
				s.Hooks = &specs.Hooks{CreateContainer: []specs.Hook{{Path: "/does/not/exist"}}}
			})},
		{input: "a startContainer hook that fails", call: start, gone: true, want: `startContainer hooks: hook "/bin/sh": exit status 3: no luck`,
			prep: startHook(sh("echo no luck >&2; exit 3"))},
		{input: "a startContainer hook that does not exist", call: start, gone: true, want: `startContainer hooks: hook "/does/not/exist": start: exec: "/does/not/exist": stat /does/not/exist: no such file or directory`,
			prep: startHook(specs.Hook{Path: "/does/not/exist"})},
		{input: "a startContainer hook that its user may not execute", call: start, gone: true, want: `startContainer hooks: hook "/etc/passwd": start: exec: "/etc/passwd": permission denied`,
			prep: startHook(specs.Hook{Path: "/etc/passwd"})},
		{input: "a poststart hook that fails", call: args("run --bundle $BUNDLE $ID"), want: `poststart hooks: hook "/bin/sh": exit status 3`, prep: with(func(s *specs.Spec) {
			s.Process.Args = []string{"sleep", "100"}
			s.Hooks = &specs.Hooks{Poststart: []specs.Hook{sh("exit 3")}}
		})},
		{input: "a poststop hook that fails", call: args("delete $ID"), want: `warning: container $ID: poststop hooks: hook "/bin/sh": exit status 3`, code: accepted, gone: true,
			prep: func(p *place) {
				p.spec(func(s *specs.Spec) { s.Hooks = &specs.Hooks{Poststop: []specs.Hook{sh("exit 3")}} })
				p.ok("create", "--bundle", p.bundle, p.id)
			}},
	}
}

// startHook leaves a created container with a startContainer hook.
func startHook(hook specs.Hook) func(*place) {
	return func(p *place) {
		p.spec(func(s *specs.Spec) { s.Hooks = &specs.Hooks{StartContainer: []specs.Hook{hook}} })
		p.ok("create", "--bundle", p.bundle, p.id)
	}
}

// labels ask for what this machine's kernel does not have.
func labels() []row {
	return []row{
		{input: "an AppArmor profile", call: create, plain: true, prep: with(func(s *specs.Spec) { s.Process.ApparmorProfile = "none-such" }),
			want: `config.json: process.apparmorProfile: unable to apply apparmor profile "none-such": apparmor is disabled or not supported by the kernel`},
		{input: "an AppArmor profile with a line feed", call: create, prep: with(func(s *specs.Spec) { s.Process.ApparmorProfile = "none\nsuch" }),
			want: `config.json: process.apparmorProfile: "none\nsuch": contains a control character`},
		{input: "an SELinux label", call: create, prep: with(func(s *specs.Spec) { s.Process.SelinuxLabel = "none_such" }),
			want: `config.json: process.selinuxLabel: unable to apply selinux label "none_such": selinux is disabled or not supported by the kernel`},
		{input: "an SELinux label of mounts", call: create, prep: with(func(s *specs.Spec) { s.Linux.MountLabel = "none_such" }),
			want: `config.json: linux.mountLabel: unable to apply selinux label "none_such": selinux is disabled or not supported by the kernel`},
		{input: "an SELinux label of mounts with a quotation mark", call: create, prep: with(func(s *specs.Spec) { s.Linux.MountLabel = `x",size=1` }),
			want: `config.json: linux.mountLabel: "x\",size=1": contains a quotation mark`},
	}
}

func unbuilt() []row {
	return []row{
		{input: "the systemd driver", call: args("--systemd-cgroup list"), want: "--systemd-cgroup: the systemd cgroup driver is not built yet, use cgroupfs"},
	}
}

const subnet = "mocker.network.subnet"

func busybox() []row {
	list := []row{
		{input: "no busybox", call: call{args: []string{"spec", "--busybox", "--bundle", "$DIR/box"}, hide: "/usr/bin"}, want: "find busybox: not in PATH, /bin or /usr/bin; install the package busybox-static"},
		{input: "a bundle where no directory can be", call: args("spec --busybox --bundle $DIR/none/box"), want: "make bundle $DIR/none/box: no such file or directory"},
		{input: "a bundle that is there", call: args("spec --busybox --bundle $DIR/box"), want: "write $DIR/box/config.json: file exists, remove it first", prep: box},
		{input: "a config.json that is there", call: args("spec --bundle $DIR/box"), want: "write $DIR/box/config.json: file exists, remove it first", prep: box},
		{input: "no iptables", call: call{args: []string{"create", "--bundle", "$DIR/box", "$ID"}, hide: "/usr/sbin /usr/local/sbin"}, want: `prestart hooks: hook "$MOCKER": exit status 1: mocker: connect container "$ID": find the program iptables: not in $PATH, /usr/sbin or the like; install the package iptables`,
			prep: quiet},
		{input: "a full subnet", call: args("create --bundle $DIR/box $ID"), want: `prestart hooks: hook "$MOCKER": exit status 1: mocker: connect container "$ID": subnet 10.250.7.0/30 is full: all its container addresses (1) are in use`, prep: func(p *place) {
			quiet(p)
			drive.Edit(p, p.dir+"/box", func(s *specs.Spec) { s.Annotations = map[string]string{subnet: "10.250.7.0/30"} })
			p.ok("create", "--bundle", p.dir+"/box", p.id+"-2")
		}},
		{input: "a subnet that the host uses", call: args("create --bundle $DIR/box $ID"), want: `prestart hooks: hook "$MOCKER": exit status 1: mocker: connect container "$ID": subnet 172.18.0.0/16 is in use on this host: route 172.18.9.0/24 dev other0 is in the way; choose another one with annotation mocker.network.subnet`, prep: func(p *place) {
			quiet(p)
			p.host("ip", "link", "add", "other0", "type", "veth", "peer", "name", "other1")
			p.Cleanup(func() { p.host("ip", "link", "del", "other0") })
			p.host("ip", "addr", "add", "172.18.9.1/24", "dev", "other0")
			p.host("ip", "link", "set", "other0", "up")
		}},
		{input: "a subnet that is none", call: args("create --bundle $DIR/box $ID"), want: `prestart hooks: hook "$MOCKER": exit status 1: mocker: connect container "$ID": annotation mocker.network.subnet: "10.250.7.0": not an IPv4 subnet like 172.18.0.0/16`, prep: func(p *place) {
			quiet(p)
			drive.Edit(p, p.dir+"/box", func(s *specs.Spec) { s.Annotations = map[string]string{subnet: "10.250.7.0"} })
		}},
		{input: "the network hook and the host's network", call: args("create --bundle $DIR/box $ID"), want: `prestart hooks: hook "$MOCKER": exit status 1: mocker: connect container "$ID": process N shares the host's network namespace: it needs one of its own, {"type": "network"} in linux.namespaces`, prep: func(p *place) {
			quiet(p)
			drive.Edit(p, p.dir+"/box", func(s *specs.Spec) { join(s, "/proc/self/ns/net") })
		}},
		{input: "the network hook called by hand", call: args("hook network"), want: "read the container's state from standard input: it is empty; this program is an OCI hook, to be named in a config.json"},
		{input: "a hook that mocker does not have", call: args("hook dns"), want: `unknown hook "dns" (there is: network)`},
	}
	for i := range list {
		list[i].own = true
	}
	return list
}

// box makes a busybox bundle in $DIR/box.
func box(p *place) { p.ok("spec", "--busybox", "--bundle", p.dir+"/box") }

// quiet is box without a terminal.
func quiet(p *place) {
	box(p)
	drive.Edit(p, p.dir+"/box", func(s *specs.Spec) { s.Process.Terminal = false })
}

// TestRowsAreMany counts, so that a table that was cut by mistake shows.
func TestRowsAreMany(t *testing.T) {
	if n := len(rows()); n < 100 {
		t.Errorf("%d rows", n)
	}
}
