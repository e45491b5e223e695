package engines

// execs are what engines run in a container besides its first process, with
// the exit codes that an engine has for what cannot be run.
func execs(missing, denied int) []foreground {
	sh := func(script string) []string { return []string{"sh", "-c", script} }
	return []foreground{
		{name: "true", cmd: []string{"/bin/true"}},
		{name: "status", cmd: sh("exit 7"), code: 7},
		{name: "killed", cmd: sh("kill -KILL $$"), code: 137},
		{name: "output", cmd: sh("echo out; echo err >&2"), stdout: "out\n", stderr: "err\n"},
		{name: "first", cmd: sh("tr '\\0' ' ' </proc/1/cmdline"), stdout: "sleep 1000 "},
		{name: "missing", cmd: []string{"nosuch"}, code: missing, stderr: `exec: "nosuch": executable file not found in $PATH`},
		{name: "not executable", cmd: []string{"/bin/plain"}, code: denied, stderr: `exec: "/bin/plain": permission denied`},
	}
}
