package lifecycle

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/coverage"
	"github.com/mocker-runtime/mocker/tests/drive"
)

// forever is a process that ends on TERM. (The first process of a pid
// namespace only gets signals that it handles.)
var forever = drive.Sh("trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done")

// TestStateOverALife follows one container through its statuses.
func TestStateOverALife(t *testing.T) {
	coverage.Shows(t, "state", "annotations", "state: gives the state of a container",
		"state: an error for a container that does not exist", "create: the program does not run yet", "start: runs the program")
	b := newBox(t, forever, func(s *specs.Spec) { s.Annotations = map[string]string{"org.example.key": "value"} })
	pidFile := temp(t, "pid")
	before := time.Now().Add(-time.Second)
	b.create("--pid-file", pidFile)
	pid, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	st := b.state()
	want := state{
		OCIVersion: st.OCIVersion, ID: b.id, Pid: st.Pid, Status: "created", Bundle: b.bundle, Rootfs: b.bundle + "/rootfs",
		Created: st.Created, Annotations: map[string]string{"org.example.key": "value"}, Owner: owner(),
	}
	if got, want := jsonOf(t, st), jsonOf(t, want); got != want {
		t.Errorf("state %s\nwant  %s", got, want)
	}
	if string(pid) != strconv.Itoa(st.Pid) {
		t.Errorf("pid file %q, pid %d", pid, st.Pid)
	}
	if !strings.HasPrefix(st.OCIVersion, "1.") || st.Created.Before(before) || st.Created.After(time.Now()) {
		t.Errorf("version %s, created %s", st.OCIVersion, st.Created)
	}
	b.start()
	if got := b.state(); got.Status != "running" || got.Pid != st.Pid || !got.Created.Equal(st.Created) {
		t.Errorf("after start: %+v", got)
	}
	drive.Eventually(t, "the process handles signals", func() bool { return strings.Contains(b.printed(), "ready") })
	drive.OK(t, "kill", b.id) // TERM
	b.stops()
	if got := b.state(); got.Pid != 0 || got.Bundle != b.bundle {
		t.Errorf("after the end: %+v", got)
	}
	drive.OK(t, "delete", b.id)
	refused(t, "container does not exist", "state", b.id)
}

// owner is the name that the runtime gives the tests' user.
func owner() string {
	if drive.Others() {
		return "" // Debian's runc does not look into /etc/passwd
	}
	return "root"
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestStateShape: the very bytes, as scripts may compare them.
func TestStateShape(t *testing.T) {
	coverage.Shows(t, "state.ociVersion", "state.id", "state.pid", "state.status", "state.bundle")
	b := newBox(t).create()
	st := b.state()
	want := `{
  "ociVersion": "` + st.OCIVersion + `",
  "id": "` + b.id + `",
  "pid": ` + strconv.Itoa(st.Pid) + `,
  "status": "created",
  "bundle": "` + b.bundle + `",
  "rootfs": "` + b.bundle + `/rootfs",
  "created": "` + st.Created.Format(time.RFC3339Nano) + `",
  "owner": "` + owner() + `"
}`
	if got := drive.OK(t, "state", b.id); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestList(t *testing.T) {
	root := t.TempDir()
	one, two := newBox(t), newBox(t)
	for _, b := range []*box{two, one} {
		drive.OK(t, "--root", root, "create", "--bundle", b.bundle, b.id)
		t.Cleanup(func() { drive.OK(t, "--root", root, "delete", "--force", b.id) })
	}
	if got, want := drive.OK(t, "--root="+root, "list", "-q"), one.id+"\n"+two.id+"\n"; got != want {
		t.Errorf("list -q: %q, want %q", got, want)
	}
	var list []map[string]any
	text := drive.OK(t, "--root", root, "list", "-f", "json")
	if err := json.Unmarshal([]byte(text), &list); err != nil || len(list) != 2 {
		t.Fatalf("%v: %s", err, text)
	}
	var keys []string
	for key := range list[0] {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	if got := strings.Join(keys, " "); got != "bundle created id ociVersion owner pid rootfs status" {
		t.Errorf("keys %s", got)
	}
	lines := strings.Split(drive.OK(t, "--root", root, "list"), "\n")
	if got := strings.Fields(lines[0]); strings.Join(got, " ") != "ID PID STATUS BUNDLE CREATED OWNER" {
		t.Errorf("header %q", lines[0])
	}
	row := strings.Fields(lines[1])
	pid := strconv.Itoa(int(list[0]["pid"].(float64)))
	if len(row) != 6 || row[0] != one.id || row[1] != pid || row[2] != "created" || row[3] != one.bundle || row[5] != "root" {
		t.Errorf("row %q", lines[1])
	}
	if column := strings.Index(lines[0], "STATUS"); column != strings.Index(lines[1], "created") {
		t.Errorf("columns do not stand below their titles:\n%s\n%s", lines[0], lines[1])
	}
}

// TestGlobalFlags: both forms, before the verb, and twice.
func TestGlobalFlags(t *testing.T) {
	b := newBox(t)
	root, other := t.TempDir(), t.TempDir()
	drive.OK(t, "--root", other, "--root="+root, "--log-format=json", "--log", temp(t, "log"), "create", "-b", b.bundle, b.id)
	t.Cleanup(func() { drive.OK(t, "--root="+root, "delete", "-f", b.id) })
	drive.OK(t, "--root="+root, "state", b.id)
	refused(t, "does not exist", "--root", other, "state", b.id)
	refused(t, "does not exist", "state", b.id)
}

// TestLog: one JSON object when a command fails, nothing when it succeeds.
func TestLog(t *testing.T) {
	b := newBox(t)
	log := temp(t, "log.json")
	drive.OK(t, "--log", log, "--log-format", "json", "create", "--bundle", b.bundle, b.id)
	drive.OK(t, "--log", log, "--log-format", "json", "delete", b.id)
	if data, err := os.ReadFile(log); err == nil && len(data) != 0 {
		t.Errorf("success was logged: %s", data)
	}
	drive.Edit(t, b.bundle, func(s *specs.Spec) { s.Process.Args = []string{"frobnicate"} })
	r := drive.Run(t, "--log="+log, "--log-format=json", "create", "--bundle", b.bundle, b.id)
	if r.Code != 1 || !strings.Contains(r.Stderr, "executable file not found in $PATH") || r.Stdout != "" {
		t.Errorf("create: %v", r)
	}
	var record struct {
		Level, Msg string
		Time       time.Time
	}
	data, err := os.ReadFile(log)
	if err == nil {
		err = json.Unmarshal(data, &record)
	}
	if err != nil {
		t.Fatalf("the log is not one object: %v: %s", err, data)
	}
	if record.Level != "error" || !strings.Contains(record.Msg, "executable file not found in $PATH") || time.Since(record.Time) > time.Minute {
		t.Errorf("record %+v", record)
	}
}

func TestDebug(t *testing.T) {
	b := newBox(t)
	r := drive.Run(t, "--debug", "create", "--bundle", b.bundle, b.id)
	if r.Code != 0 || r.Stdout != "" || !strings.Contains(r.Stderr, "level=debug") {
		t.Errorf("create --debug: %v", r)
	}
	log := temp(t, "log")
	r = drive.Run(t, "--debug", "--log", log, "delete", b.id)
	if r.Code != 0 || r.Stdout+r.Stderr != "" {
		t.Errorf("delete --debug --log: %v", r)
	}
	if !drive.Others() && !strings.Contains(file(t, log), "level=debug") {
		t.Errorf("log %q", file(t, log))
	}
}

// TestKill: names, numbers, and the default.
func TestKill(t *testing.T) {
	coverage.Shows(t, "kill: sends the signal")
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, "TERM"}, {[]string{"TERM"}, "TERM"}, {[]string{"SIGTERM"}, "TERM"}, {[]string{"15"}, "TERM"},
		{[]string{"hup"}, "HUP"}, {[]string{"SIGUSR1"}, "USR1"}, {[]string{"12"}, "USR2"},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			if len(test.args) > 0 && test.args[0] == "hup" {
				drive.MockersOwn(t, "Debian's runc reads only names in capitals")
			}
			var script strings.Builder
			for _, sig := range []string{"TERM", "HUP", "USR1", "USR2"} {
				script.WriteString("trap 'echo got " + sig + "; exit 3' " + sig + "; ")
			}
			b := newBox(t, drive.Sh(script.String()+"echo ready; while :; do sleep 0.05; done")).create().start()
			drive.Eventually(t, "the process handles signals", func() bool { return strings.Contains(b.printed(), "ready") })
			drive.OK(t, append([]string{"kill", b.id}, test.args...)...)
			drive.Eventually(t, "the signal has arrived", func() bool { return strings.Contains(b.printed(), "got "+test.want) })
			b.stops()
		})
	}
}

func TestKillRefused(t *testing.T) {
	coverage.Shows(t, "kill: an error for a container that neither runs nor is created, without effect")
	b := newBox(t).create()
	drive.OK(t, "kill", b.id, "KILL")
	b.stops()
	refused(t, "container not running", "kill", b.id, "KILL")
	refused(t, "container not running", "kill", b.id, "0")
	refused(t, "container does not exist", "kill", b.id+"-none", "9")
	refused(t, "unknown signal", "kill", b.id, "FOO")
}

// TestKillCreated: a created container ends by a signal, although it is the
// first process of its pid namespace.
func TestKillCreated(t *testing.T) {
	coverage.Shows(t, "kill: sends the signal")
	for _, sig := range []string{"TERM", "INT", "KILL", "USR1"} {
		t.Run(sig, func(t *testing.T) {
			if sig == "USR1" {
				drive.MockersOwn(t, "runc's Go runtime handles this one while it waits")
			}
			b := newBox(t).create()
			drive.OK(t, "kill", b.id, sig)
			b.stops()
			refused(t, "cannot start a container that has stopped", "start", b.id)
			drive.OK(t, "delete", b.id)
		})
	}
}

func TestStartTwice(t *testing.T) {
	coverage.Shows(t, "start: an error for a container that is not created, without effect")
	b := newBox(t, forever).create().start()
	refused(t, "cannot start an already running container", "start", b.id)
	if b.state().Status != "running" {
		t.Error("the second start has hurt it")
	}
	refused(t, "container does not exist", "start", b.id+"-none")
}

func TestDelete(t *testing.T) {
	coverage.Shows(t, "delete: an error for a container that runs, without effect", "delete: the id can be used again")
	b := newBox(t, forever).create()
	pid := b.state().Pid
	drive.OK(t, "delete", b.id) // created
	if _, err := os.Stat(filepath.Join("/proc", strconv.Itoa(pid), "exe")); err == nil && field(proc(t, pid, "status"), "State") != "Z (zombie)" {
		t.Error("delete of a created container has left its process")
	}
	b.create().start()
	r := drive.Run(t, "delete", b.id)
	if r.Code != 1 || !strings.Contains(r.Stderr, "not stopped") || b.state().Status != "running" {
		t.Errorf("delete of a running container: %v", r)
	}
	drive.OK(t, "delete", "--force", b.id)
	for range 2 {
		if r := drive.Run(t, "delete", "--force", b.id); r.Code != 0 || r.Stdout+r.Stderr != "" {
			t.Errorf("delete --force of an unknown container: %v", r)
		}
	}
	refused(t, "does not exist", "delete", b.id)
}

// TestIDTaken: the container that has the id is not touched.
func TestIDTaken(t *testing.T) {
	coverage.Shows(t, "create: an id that is in use is an error and changes nothing")
	b := newBox(t, forever).create()
	refused(t, "container with given ID already exists", "create", "--bundle", b.bundle, b.id)
	if got := b.state(); got.Status != "created" {
		t.Errorf("%+v", got)
	}
	b.start()
}
