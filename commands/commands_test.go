package commands

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

type answer struct {
	code        int
	out, stderr string
}

// call runs one command line with an empty state directory.
func call(t *testing.T, args ...string) answer {
	t.Helper()
	dir := t.TempDir()
	open := func(name string) *os.File {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	in, out, stderr := open("in"), open("out"), open("err")
	line := append([]string{"mocker", "--root", filepath.Join(dir, "root")}, args...)
	code := Main(line, Build{Version: "1.2.3", Commit: "abc"}, Streams{in, out, stderr})
	return answer{code, read(t, out.Name()), read(t, stderr.Name())}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestRefusals: a command line that cannot be carried out gets one line on
// stderr, nothing on stdout, and exit code 1.
func TestRefusals(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	tests := []struct {
		line string
		want string
	}{
		{"stat", `unknown command "stat" (did you mean start or state?)`},
		{"creat x", `unknown command "creat" (did you mean create?)`},
		{"frobnicate", `unknown command "frobnicate" (see "mocker --help")`},
		{"checkpoint --help", `command "checkpoint" is not built yet (see "mocker --help")`},
		{"help stat", `unknown command "stat" (did you mean start or state?)`},
		{"help a b", `"help" requires a maximum of 1 argument(s) (usage: mocker help [verb])`},
		{"--nope list", `flag provided but not defined: -nope (see "mocker --help")`},
		{"--rot x list", `flag provided but not defined: -rot (did you mean --root?)`},
		{"create --bundel x y", `create: flag provided but not defined: -bundel (did you mean --bundle?)`},
		{"create --preserve-fds x y", `create: invalid value "x" for flag -preserve-fds: parse error (see "mocker help create")`},
		{"create --preserve-fds -1 y", `--preserve-fds -1: must not be negative`},
		{"create", `"create" requires exactly 1 argument(s) (usage: mocker create <container-id>)`},
		{"create a b", `"create" requires exactly 1 argument(s) (usage: mocker create <container-id>)`},
		{"run", `"run" requires a minimum of 1 argument(s) (usage: mocker run [--bundle DIR] <container-id>, or mocker run [image] [command]...)`},
		{"run --bundle b x y", `"run" requires exactly 1 argument(s) (usage: mocker run <container-id>)`},
		{"start", `"start" requires exactly 1 argument(s) (usage: mocker start <container-id>)`},
		{"state", `"state" requires exactly 1 argument(s) (usage: mocker state <container-id>)`},
		{"delete", `"delete" requires exactly 1 argument(s) (usage: mocker delete <container-id>)`},
		{"kill", `"kill" requires a minimum of 1 argument(s) (usage: mocker kill <container-id> [signal])`},
		{"kill a TERM b", `"kill" requires a maximum of 2 argument(s) (usage: mocker kill <container-id> [signal])`},
		{"list a", `"list" requires exactly 0 argument(s) (usage: mocker list)`},
		{"spec a", `"spec" requires exactly 0 argument(s) (usage: mocker spec)`},
		{"hook", `"hook" requires exactly 1 argument(s) (usage: mocker hook <hook>)`},
		{"hook dns", `unknown hook "dns" (there is: network)`},
		{"ps", `"ps" requires a minimum of 1 argument(s) (usage: mocker ps <container-id> [ps options])`},
		{"pause", `"pause" requires exactly 1 argument(s) (usage: mocker pause <container-id>)`},
		{"resume a b", `"resume" requires exactly 1 argument(s) (usage: mocker resume <container-id>)`},
		{"update", `"update" requires exactly 1 argument(s) (usage: mocker update <container-id>)`},
		{"update --memroy 5m x", `update: flag provided but not defined: -memroy (did you mean --memory?)`},
		{"events", `"events" requires exactly 1 argument(s) (usage: mocker events <container-id>)`},
		{"events --interval -1s x", `--interval -1s: must be greater than 0`},
		{"kill x FOO", `unknown signal "FOO"`},
		{"list -f xml", `list --format "xml": want table or json`},
		{"--log-format xml list", `--log-format "xml": want text or json`},
		{"--log " + missing + "/log list", `--log ` + missing + `/log: stat ` + missing + `: no such file or directory`},
		{"--systemd-cgroup list", `--systemd-cgroup: the systemd cgroup driver is not built yet, use cgroupfs`},
		{"--rootless maybe list", `--rootless "maybe": want true, false or auto`},
		{"--cgroup-manager systemd list", `--cgroup-manager systemd: the systemd cgroup driver is not built yet, use cgroupfs`},
		{"--trace-format xml list", `--trace-format "xml": want chrome or jsonl`},
		{"--trace-format jsonl list", `--trace-format: there is no trace without --trace`},
		{"--trace= list", `--trace: the path is empty`},
		{"--trace " + missing + "/trace list", `--trace ` + missing + `/trace: no such file or directory`},
		{"--cgroup-manager none list", `--cgroup-manager "none": want cgroupfs or disabled`},
	}
	for _, test := range tests {
		t.Run(test.line, func(t *testing.T) {
			got := call(t, strings.Fields(test.line)...)
			if want := (answer{1, "", "mocker: " + test.want + "\n"}); got != want {
				t.Errorf("got %+v\nwant %+v", got, want)
			}
		})
	}
}

// TestUnknownContainer: the texts that callers search for, and ids that look
// like something else to a command line parser.
func TestUnknownContainer(t *testing.T) {
	for _, line := range []string{"state nope", "start nope", "kill nope", "kill nope 9", "delete nope", "pause nope", "resume nope", "ps nope", "ps nope aux", "events nope", "update nope", "state help", "state h", "state bundle"} {
		t.Run(line, func(t *testing.T) {
			got := call(t, strings.Fields(line)...)
			if got.code != 1 || got.out != "" || !strings.Contains(got.stderr, "container does not exist") {
				t.Errorf("got %+v", got)
			}
		})
	}
	if got, want := call(t, "delete", "--force", "nope"), (answer{}); got != want {
		t.Errorf("delete --force of an unknown id: got %+v", got)
	}
}

func TestAnswers(t *testing.T) {
	const header = "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n"
	const about = "mocker version 1.2.3\ncommit: abc\nspec: 1.3.0\n"
	tests := []struct{ line, out string }{
		{"--version", about},
		{"-v", about},
		{"--systemd-cgroup --version", about}, // dockerd asks with its runtimeArgs
		{"list", header},
		{"list -q", ""},
		{"list --format json", "null\n"},
		{"list -format=json", "null\n"},
		{"--root /nonexistent --debug=false --debug=false --rootless=auto --cgroup-manager=disabled --cgroup-manager cgroupfs list -f json", "null\n"},
	}
	for _, test := range tests {
		t.Run(test.line, func(t *testing.T) {
			if got, want := call(t, strings.Fields(test.line)...), (answer{0, test.out, ""}); got != want {
				t.Errorf("got %+v\nwant %+v", got, want)
			}
		})
	}
}

// TestHelp: every verb explains itself, with an example, on stdout.
func TestHelp(t *testing.T) {
	for _, line := range []string{"", "--help", "help", "-h"} {
		got := call(t, strings.Fields(line)...)
		if got.code != 0 || got.stderr != "" || !strings.Contains(got.out, "GLOBAL OPTIONS:") || strings.Contains(got.out, "hook") {
			t.Errorf("mocker %s: got %+v", line, got)
		}
	}
	for _, verb := range []string{"spec", "create", "start", "run", "state", "list", "kill", "delete", "hook", "pause", "resume", "ps", "update", "events"} {
		for _, line := range []string{"help " + verb, verb + " --help", verb + " -h"} {
			got := call(t, strings.Fields(line)...)
			if got.code != 0 || got.stderr != "" || !strings.Contains(got.out, "mocker "+verb) || !strings.Contains(got.out, "EXAMPLE") {
				t.Errorf("mocker %s: got %+v", line, got)
			}
		}
	}
}

// TestLog: podman decodes the whole log as one object; containerd wants the
// time of each line as RFC 3339.
func TestLog(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	if got := call(t, "--log", log, "--log-format", "json", "list", "-q"); got.code != 0 {
		t.Fatalf("got %+v", got)
	}
	if _, err := os.Stat(log); !os.IsNotExist(err) {
		t.Errorf("a call without an error touched the log: %v", err)
	}
	if got := call(t, "--log", log, "--log-format", "json", "state", "nope"); got.code != 1 || got.stderr == "" {
		t.Fatalf("got %+v", got)
	}
	var record struct {
		Level, Msg string
		Time       time.Time
	}
	if err := json.Unmarshal([]byte(read(t, log)), &record); err != nil {
		t.Fatalf("the log is not one object: %v: %s", err, read(t, log))
	}
	if record.Level != "error" || !strings.Contains(record.Msg, "container does not exist") || time.Since(record.Time) > time.Minute {
		t.Errorf("got %+v", record)
	}

	text := filepath.Join(t.TempDir(), "log")
	for range 2 {
		call(t, "--log="+text, "state", "nope")
	}
	lines := strings.Split(strings.TrimSpace(read(t, text)), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], `time="`) || !strings.Contains(lines[1], ` level=error msg="`) {
		t.Errorf("got %q", lines)
	}
	if info, err := os.Stat(text); err != nil || info.Mode().Perm()&0o644 != 0o644 {
		t.Errorf("mode of the log: %v, %v", info.Mode(), err)
	}
}

// TestLogUnwritable: the error itself must come out even so.
func TestLogUnwritable(t *testing.T) {
	dir := t.TempDir()
	got := call(t, "--log", dir, "list", "extra")
	lines := strings.Split(strings.TrimSpace(got.stderr), "\n")
	if got.code != 1 || len(lines) != 2 || !strings.Contains(lines[0], `"list" requires`) || !strings.Contains(lines[1], dir+": is a directory") {
		t.Errorf("got %+v", got)
	}
}

func TestDebug(t *testing.T) {
	got := call(t, "--debug", "list", "-q")
	if got.code != 0 || got.out != "" || !strings.Contains(got.stderr, "level=debug msg=\"list took ") {
		t.Errorf("got %+v", got)
	}
}

func TestSpecRefusesToOverwrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.json")
	if got, want := call(t, "spec", "--bundle", dir), (answer{}); got != want {
		t.Fatalf("got %+v", got)
	}
	var spec struct{ OCIVersion string }
	first := read(t, path)
	if err := json.Unmarshal([]byte(first), &spec); err != nil || spec.OCIVersion == "" {
		t.Errorf("%s: %v, %+v", path, err, spec)
	}
	want := answer{1, "", "mocker: write " + path + ": file exists, remove it first\n"}
	if got := call(t, "spec", "-b", dir); got != want {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if read(t, path) != first {
		t.Error("the file was changed")
	}
}

// The verb that is made alone is the one that cli would have chosen of all.
func TestVerbAlone(t *testing.T) {
	e := &env{}
	for _, verb := range e.verbs(Build{}) {
		alone := (&env{globals: Globals{Verb: verb.Name}}).verbs(Build{})
		if verb.Name == "help" || verb.Name == "complete" {
			continue // they know all
		}
		if len(alone) != 1 || alone[0].Name != verb.Name {
			t.Errorf("%s: made %d verbs, the first is %s", verb.Name, len(alone), alone[0].Name)
		}
	}
}
