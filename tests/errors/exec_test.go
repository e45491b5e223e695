package errors

import (
	"encoding/json"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// execs are the rows of exec, whose own failures have an exit code of their
// own.
func execs() []row {
	const own = 255
	one := func(input, line, want string) row {
		return row{input: input, call: args(line), prep: running, want: want, code: own}
	}
	file := func(input, json, want string) row {
		return row{input: input, call: args("exec --process $DIR/process.json $ID"), want: want, code: own, prep: func(p *place) {
			running(p)
			p.write(filepath.Join(p.dir, "process.json"), json, 0o644)
		}}
	}
	return []row{
		{input: "exec without an id", call: args("exec"), code: own, want: `"exec" requires a minimum of 1 argument(s) (usage: mocker exec <container-id> <program> [arguments], or --process FILE <container-id>)`},
		{input: "exec in a container that does not exist", call: args("exec $ID true"), code: own, want: `container does not exist: "$ID"`},
		{input: "exec in a container that has stopped", call: args("exec $ID true"), code: own, prep: stopped, want: `cannot exec in a stopped container: "$ID"`},
		{input: "exec in a paused container", call: args("exec $ID true"), code: own, v1: true, prep: paused,
			want: "cannot exec in a paused container (use --ignore-paused to override)"},
		one("exec without a program", "exec $ID", "process args cannot be empty: name a program behind the container id, or a process.json with --process"),
		one("exec of a program that is not in PATH", "exec $ID frobnicate", `find program: exec: "frobnicate": executable file not found in $PATH`),
		one("exec of a program that does not exist", "exec $ID /bin/frobnicate", `find program: exec: "/bin/frobnicate": stat /bin/frobnicate: no such file or directory`),
		one("exec of a directory", "exec $ID /tmp", `find program: exec: "/tmp": is a directory`),
		one("exec of what is not executable", "exec $ID /etc/passwd", `find program: exec: "/etc/passwd": permission denied`),
		{input: "exec of a script without its interpreter", call: args("exec $ID script"), code: own,
			want: "exec /bin/script: no such file or directory (its interpreter or dynamic loader is missing)",
			prep: func(p *place) { running(p); p.write(p.inRoot("bin/script"), "#!/bin/python\n", 0o755) }},
		one("exec in a directory that does not exist", "exec --cwd /none $ID true", "find program: working directory /none: no such file or directory"),
		one("exec in a relative directory", "exec --cwd tmp $ID true", `--cwd "tmp": not an absolute path`),
		one("exec with a variable without a value", "exec --env HOME $ID true", `--env "HOME": want NAME=VALUE`),
		one("exec as a user by name", "exec --user root $ID true", `--user "root": the user is not a number from 0 to 4294967294`),
		one("exec as a user with a letter", "exec --user 1x $ID true", `--user "1x": the user is not a number from 0 to 4294967294`),
		one("exec as a user with an empty group", "exec --user 1: $ID true", `--user "1:": the group is not a number from 0 to 4294967294`),
		one("exec as an empty user with a group", "exec --user :5 $ID true", `--user ":5": the user is not a number from 0 to 4294967294`),
		one("exec as the user that is none", "exec --user 4294967295 $ID true", `--user "4294967295": the user is not a number from 0 to 4294967294`),
		one("exec with a group by name", "exec --additional-gids tty $ID true", `--additional-gids "tty": not a number from 0 to 4294967294`),
		one("exec with a capability that does not exist", "exec --cap CAP_FLY $ID true", `--cap "CAP_FLY": not a capability`),
		one("exec with a terminal, detached, and no console socket", "exec --tty --detach $ID true", "cannot allocate tty if mocker will detach without setting console socket"),
		one("exec with a console socket and no terminal", "exec --detach --console-socket $DIR/socket $ID true", "cannot use console socket if mocker will not detach or allocate tty"),
		one("exec with a console socket that does not exist", "exec --tty --detach --console-socket $DIR/socket $ID true", "console: connect to console socket $DIR/socket: no such file or directory"),
		one("exec with a file descriptor that is not open", "exec --preserve-fds 1 $ID true", "--preserve-fds 1: fd 3 is not open"),
		one("exec with a pid file in a directory that does not exist", "exec --detach --pid-file $DIR/none/pid $ID sleep 100", "write pid file $DIR/none/pid: no such file or directory"),
		one("exec in a cgroup of a controller that does not exist", "exec --cgroup none:x $ID true", `--cgroup: the container has no cgroup of a controller "none"`),
		one("exec in a cgroup that is not below the container's", "exec --cgroup ../x $ID true", `--cgroup: "../x" is not a sub cgroup path`),
		{input: "exec with an AppArmor profile", call: args("exec --apparmor none $ID true"), code: own, plain: true, prep: running,
			want: `unable to apply apparmor profile "none": apparmor is disabled or not supported by the kernel`},
		one("exec with a label", "exec --process-label none $ID true", `unable to apply selinux label "none": selinux is disabled or not supported by the kernel`),
		one("exec with a process.json that does not exist", "exec --process $DIR/none $ID", "load $DIR/none: no such file or directory"),
		{input: "exec with a process.json and a program", call: args("exec --process $DIR/none $ID ls"), code: own, own: true, prep: running,
			want: `"ls": no program can be given together with --process, whose file names it`},
		{input: "exec with a process.json and flags of a process", call: args("exec --process $DIR/none --user 1 $ID"), code: own, own: true, prep: running,
			want: "--user: cannot be given together with --process, whose file says it"},
		file("exec with a process.json cut in half", `{"args": ["true"`, "load $DIR/process.json: line 1, column 17: unexpected end of JSON input"),
		file("exec with a process.json of a wrong type", `{"args": "true", "cwd": "/"}`, "load $DIR/process.json: line 1, column 15: args: got a string, want an array"),
		file("exec with a process.json without args", `{"cwd": "/"}`, "$DIR/process.json: args: missing"),
		file("exec with a process.json without cwd", `{"args": ["true"]}`, "$DIR/process.json: cwd: missing"),
		file("exec with a process.json with a limit that does not exist", `{"args": ["true"], "cwd": "/", "rlimits": [{"type": "RLIMIT_X"}]}`,
			`$DIR/process.json: rlimits[0].type: "RLIMIT_X": not a resource limit`),
		{input: "exec where config.json has no process any more", call: args("exec $ID true"), code: own, prep: func(p *place) {
			running(p)
			p.spec(func(s *specs.Spec) { s.Process = nil })
		}, want: "config.json: process: missing, and so nothing to derive one from: use --process"},
	}
}

// first is the pid of the container's first process.
func (p *place) first() int {
	p.Helper()
	var state struct{ Pid int }
	if err := json.Unmarshal([]byte(p.call(call{args: []string{"state", p.id}}).stdout), &state); err != nil {
		p.Fatal(err)
	}
	return state.Pid
}
