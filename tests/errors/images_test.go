package errors

import (
	"os"
	"path/filepath"
	"strings"
)

// images are the rows about `run` with an image and flags.
func images() []row {
	// one is a row about flags, which come to nothing.
	one := func(input, flags, want string) row {
		return row{input: input, call: args("run --network none " + flags + " true"), want: want, code: 125}
	}
	const units = "want HOST:CONTAINER, HOST:CONTAINER:ro or HOST:CONTAINER:rw"
	list := []row{
		{input: "run without a word", call: args("run"), want: `"run" requires a minimum of 1 argument(s) (usage: mocker run [--bundle DIR] <container-id>, or mocker run [image] [command]...)`},
		{input: "a flag of an image beside a bundle", call: args("run --bundle $DIR --memory 1g $ID"), want: "--memory: not with --bundle, whose config.json says it"},
		{input: "a flag of an image, and a config.json here", call: args("run -e A=b sh"), want: `--env: the config.json in the current directory makes "sh" a container id, and says it`,
			prep: func(p *place) { p.write(filepath.Join(p.dir, "config.json"), "{}", 0o644) }},
		{input: "to delete and to keep it", call: args("run --rm --keep sh"), want: "--rm and --keep contradict each other"},
		{input: "an image without a name", call: call{args: []string{"run", ""}}, want: "the name of the image is empty", code: 125},
		{input: "a directory that does not exist", call: args("run $DIR/none sh"), want: "image $DIR/none: no such file or directory", code: 125},
		{input: "a program in the place of the image", call: args("run /bin/ls /"), want: "image /bin/ls: not a directory (a program of busybox: mocker run busybox /bin/ls)", code: 125},
		{input: "the host's root as the image", call: args("run /proc/self/root sh"), want: "image /proc/self/root: the host's own root directory", code: 125},
		{input: "a directory without a shell, and no command", call: args("run --network none $DIR"), want: "image $DIR: no command is given, and it has no /bin/sh: no such file or directory", code: 125},
		{input: "a link to the host's shell, and no command", call: args("run --network none $DIR"), want: "image $DIR: no command is given, and it has no /bin/sh: no such file or directory", code: 125,
			prep: func(p *place) {
				if err := os.Mkdir(filepath.Join(p.dir, "bin"), 0o755); err != nil {
					p.Fatal(err)
				}
				if err := os.Symlink("../../../../../../../../bin/busybox", filepath.Join(p.dir, "bin/sh")); err != nil {
					p.Fatal(err)
				}
			}},
		{input: "an image that is none, and a program that it lacks", call: args("run --network none debian:12 apt"), code: 127,
			want: "warning: image debian:12: mocker cannot get images yet, so it runs on the busybox root\nfind program: exec: \"apt\": executable file not found in $PATH"},
		{input: "an id in the place of the image, and a program that cannot be executed", call: args("run --network none busybox /etc"), want: `find program: exec: "/etc": is a directory`, code: 126},
		{input: "a machine without busybox", call: call{args: []string{"run", "sh"}, hide: "/usr/bin"}, want: "find busybox: not in PATH, /bin or /usr/bin; install the package busybox-static", code: 125},
		{input: "a machine without iptables", call: call{args: []string{"run", "--name", "$ID", "true"}, hide: "/usr/sbin /usr/local/sbin"}, code: 125,
			want: `prestart hooks: hook "$MOCKER": exit status 1: mocker: connect container "$ID": find the program iptables: not in $PATH, /usr/sbin or the like; install the package iptables`},
		{input: "a name that is no id", call: args("run --network none --name a/b true"), want: `invalid container ID format: "a/b"`, code: 125},
		{input: "an empty name", call: call{args: []string{"run", "--network", "none", "--name", "", "true"}}, want: "container id cannot be empty", code: 125},
		{input: "a name that is taken", call: args("run --network none --name $ID true"), want: `container with given ID already exists: "$ID"`, code: 125, prep: made},
		{input: "a process limit that is no number", call: args("run --pids-limit many true"), want: `run: invalid value "many" for flag -pids-limit: parse error (see "mocker help run")`},
		{input: "a terminal and nobody at it", call: args("run -dt --network none true"), want: "cannot allocate tty if mocker will detach without setting console socket", code: 125},
		{input: "a network that there is not", call: args("run --network bridge true"), want: "--network bridge: want veth, none or host", code: 125},

		one("a size that is none", "--memory lots", "--memory lots: not a size such as 512m or 1.5g"),
		one("a size below zero", "--memory -1", "--memory -1: not a size such as 512m or 1.5g"),
		one("a size with a unit that there is not", "--memory 5x", "--memory 5x: not a size such as 512m or 1.5g"),
		one("a size that no machine has", "--memory 9000000p", "--memory 9000000p: too large"),
		one("too little memory", "--memory 512k", "--memory 512k: less than 6m, in which hardly anything starts"),
		one("CPUs that are no number", "--cpus two", "--cpus two: not a number of CPUs such as 0.5 or 2"),
		one("CPUs below zero", "--cpus -1", "--cpus -1: not between 0.01 and the number of CPUs; 0 is no limit"),
		one("too little of a CPU", "--cpus 0.001", "--cpus 0.001: not between 0.01 and the number of CPUs; 0 is no limit"),
		one("a variable without a name", "--env =x", "--env =x: no name"),
		one("a volume without a place", "--volume /tmp", "--volume /tmp: "+units),
		one("a volume with too many parts", "--volume /a:/b:ro:rw", "--volume /a:/b:ro:rw: "+units),
		one("a volume from nowhere", "--volume :/b", "--volume :/b: "+units),
		one("a volume with a name", "--volume data:/b", `--volume data:/b: "data" would be a volume with a name, which mocker does not have; ./data is the directory`),
		one("a volume in no absolute place", "--volume /a:b", `--volume /a:b: "b" in the container is not an absolute path`),
		one("a volume over everything", "--volume /a:/x/..", "--volume /a:/x/..: the whole root of the container cannot be a volume"),
		one("a volume with an option that there is not", "--volume /a:/b:z", `--volume /a:/b:z: option "z" is neither ro nor rw`),
		one("two volumes in one place", "--volume /tmp:/b --volume /run:/b/", "--volume /run:/b/: /b is a volume already"),
		one("a volume below a file", "--volume /etc/hosts/x:/b", "volume /etc/hosts/x: not a directory"),
		one("a working directory that is not absolute", "--workdir tmp", "--workdir tmp: not an absolute path"),
		one("a file as the --workdir", "--workdir /etc/passwd", "find program: working directory /etc/passwd: not a directory"),
		one("a user that the image does not have", "--user nosuch", `--user nosuch: no user "nosuch" in the image's /etc/passwd`),
		one("a user number that is none", "--user 4294967295", `--user 4294967295: no user "4294967295" in the image's /etc/passwd`),
		one("a group that the image does not have", "--user root:nosuch", `--user root:nosuch: no group "nosuch" in the image's /etc/group`),
		one("a host name that is none", "--hostname a/b", `--hostname "a/b": not a host name of at most 64 bytes`),
		one("a host name that is too long", "--hostname "+strings.Repeat("x", 65), `--hostname "`+strings.Repeat("x", 65)+`": not a host name of at most 64 bytes`),
		one("a capability that there is not", "--cap-add FLY", "--cap-add FLY: no capability has this name"),
		one("a capability to drop that there is not", "--cap-drop CAP_FLY", "--cap-drop CAP_FLY: no capability has this name"),
		one("an annotation without a value", "--annotation x", "--annotation x: want NAME=VALUE"),
	}
	for i := range list {
		list[i].own = true
	}
	return list
}
