package lifecycle

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// What engines take for granted when they call a runtime, where no other test
// is about it.

// helpFlag is a line about a flag in a help text: its name, and its short form.
var helpFlag = regexp.MustCompile(`(?m)^ +--([a-z0-9-]+)(?: [^ ,]+)?(?:, -([a-z])\b)?`)

// flagsOf are the flags of a help text, with "" or their short forms.
func flagsOf(t *testing.T, program string, args ...string) map[string]string {
	t.Helper()
	r := drive.Exec(t, program, args...)
	list := map[string]string{}
	for _, m := range helpFlag.FindAllStringSubmatch(r.Stdout, -1) {
		list[m[1]] = m[2]
	}
	if r.Code != 0 || len(list) == 0 && len(args) == 1 {
		t.Fatalf("%v: %v", args, r)
	}
	return list
}

// TestFlagsOfRunc: mocker has the verbs and flags that runc's help tells of,
// with their short forms, and those of later versions.
func TestFlagsOfRunc(t *testing.T) {
	drive.MockersOwn(t, "compares mocker with runc")
	later := map[string]string{
		"create": "pidfd-socket", "run": "pidfd-socket", "exec": "pidfd-socket",
		"update": "cpu-burst cpu-idle",
	}
	missing := map[string]string{"--criu": "of checkpoint, which is not built yet; gone in runc 1.4"}
	seen := 0
	for _, verb := range []string{
		"", "create", "start", "state", "kill", "delete", "run", "exec", "list", "ps", "pause", "resume", "update", "events", "spec", "features",
	} {
		args := append(strings.Fields(verb), "--help")
		mine, runcs := flagsOf(t, drive.Mocker(t), args...), flagsOf(t, "runc", args...)
		for _, name := range strings.Fields(later[verb]) {
			runcs[name] = ""
		}
		seen += len(runcs)
		for name, short := range runcs {
			if missing[verb+"--"+name] != "" {
				continue
			}
			if got, ok := mine[name]; !ok || got != short && short != "" {
				t.Errorf("%s --%s: has %v with short form %q, want %q", verb, name, ok, got, short)
			}
		}
	}
	if seen < 60 {
		t.Errorf("runc's help tells of %d flags only", seen)
	}
}

// TestProbes: what is not built yet must not look as if it were. podman asks
// with these two lines whether it can checkpoint, and restore into a pod.
func TestProbes(t *testing.T) {
	drive.MockersOwn(t, "runc has them")
	for _, args := range [][]string{{"checkpoint", "--help"}, {"restore", "--help"}, {"restore", "--lsm-mount-context"}} {
		r := drive.Run(t, args...)
		if r.Code != 1 || r.Stdout != "" || r.Stderr != "mocker: command \""+args[0]+"\" is not built yet (see \"mocker --help\")\n" {
			t.Errorf("%v: %v", args, r)
		}
	}
	if text := drive.OK(t, "features"); !strings.Contains(text, `"org.opencontainers.runc.checkpoint.enabled": "false"`) {
		t.Errorf("features: %s", text)
	}
	if text := drive.OK(t, "--help"); strings.Contains(text, "checkpoint") || strings.Contains(text, "restore") {
		t.Errorf("help: %s", text)
	}
}

// TestVersionLines: dockerd takes the last word of any line with "version" in
// it, and what stands behind "commit:"; go-runc reads the first three lines.
func TestVersionLines(t *testing.T) {
	r := drive.Run(t, "--version")
	lines := strings.Split(strings.TrimSuffix(r.Stdout, "\n"), "\n")
	if r.Code != 0 || r.Stderr != "" || strings.Count(r.Stdout, "version") != 1 || !regexp.MustCompile(`^(mocker|runc) version \S+$`).MatchString(lines[0]) {
		t.Errorf("%v", r)
	}
	if strings.Count(r.Stdout, "commit:") > 1 || !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "spec: 1.") }) {
		t.Errorf("%v", r)
	}
}

// TestAnswersAlone: engines read stdout and stderr of these as one, and decode
// it as a whole; also with a log, and with an environment that is nearly empty,
// as podman's.
func TestAnswersAlone(t *testing.T) {
	b := newBox(t, drive.Sh("exec sleep 1000"), func(s *specs.Spec) { s.Linux.CgroupsPath = "/mocker-lifecycle-alone" })
	quiet := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(drive.Runtime(t), args...)
		cmd.Env = []string{"XDG_RUNTIME_DIR=" + t.TempDir()} // which is an ordinary user's
		// Files, since a container inherits them.
		stdout, err := os.CreateTemp(t.TempDir(), "out")
		if err != nil {
			t.Fatal(err)
		}
		defer stdout.Close()
		cmd.Stdout, cmd.Stderr = stdout, stdout
		err = cmd.Run()
		text := file(t, stdout.Name())
		if err != nil {
			t.Errorf("%v: %v: %s", args, err, text)
		}
		return text
	}
	lines := []string{"create --bundle " + b.bundle, "start", "pause", "resume"}
	if drive.HasLimits(t, "pids") {
		lines = append(lines, "update --pids-limit 50")
	}
	for _, line := range lines {
		if got := quiet(append(strings.Fields(line), b.id)...); got != "" {
			t.Errorf("%s: %q", line, got)
		}
	}
	for _, args := range [][]string{
		{"state", b.id}, {"list", "--format", "json"}, {"ps", "--format", "json", b.id}, {"events", "--stats", b.id}, {"features"},
	} {
		var v any
		for _, global := range [][]string{nil, {"--log", temp(t, "log"), "--log-format", "json"}} {
			if text := quiet(slices.Concat(global, args)...); json.Unmarshal([]byte(text), &v) != nil {
				t.Errorf("%v: %q", args, text)
			}
		}
	}
	if got := quiet("ps", b.id, "-ef"); !strings.Contains(got, "sleep 1000") {
		t.Errorf("ps: %s", got)
	}
	if got := quiet("exec", b.id, "/bin/echo", "in"); got != "in" {
		t.Errorf("exec: %q", got)
	}
	for _, line := range []string{"kill --all " + b.id + " 9", "delete --force " + b.id, "delete --force " + b.id} {
		if got := quiet(strings.Fields(line)...); got != "" {
			t.Errorf("%s: %q", line, got)
		}
	}
}
