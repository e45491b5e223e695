package lifecycle

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// event is a line of events, as far as these tests look into it.
type event struct {
	Type string
	ID   string
	Data struct {
		CPU struct {
			Usage struct{ Total uint64 }
		}
		Memory struct {
			Usage struct{ Limit, Usage uint64 }
		}
		Pids struct{ Current, Limit uint64 }
	}
}

func parseEvents(t *testing.T, text string) (list []event) {
	t.Helper()
	for line := range strings.Lines(text) {
		if !strings.HasSuffix(line, "\n") {
			break // on its way
		}
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		list = append(list, e)
	}
	return list
}

func count(list []event, kind string) int {
	n := 0
	for _, e := range list {
		if e.Type == kind {
			n++
		}
	}
	return n
}

// TestEventsStats: the numbers are those of the container.
func TestEventsStats(t *testing.T) {
	views(t, func(t *testing.T, run func(args ...string) drive.Result) {
		b := newBox(t, drive.Sh("sleep 1000 & sleep 1000 & i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; wait"))
		limited := !strings.HasSuffix(t.Name(), "v2")
		if limited {
			drive.NeedLimits(t, "memory", "pids")
			drive.Edit(t, b.bundle, func(s *specs.Spec) {
				s.Linux.Resources.Memory = &specs.LinuxMemory{Limit: pointer[int64](64 << 20)}
				s.Linux.Resources.Pids = &specs.LinuxPids{Limit: pointer[int64](77)}
			})
		}
		defer func() { run("delete", "--force", b.id) }()
		for _, step := range [][]string{{"create", "--bundle", b.bundle, b.id}, {"start", b.id}} {
			if r := run(step...); r.Code != 0 {
				t.Fatal(r)
			}
		}
		var e event
		drive.Eventually(t, "three processes that have done something", func() bool {
			r := run("events", "--stats", b.id)
			list := parseEvents(t, r.Stdout)
			if r.Code != 0 || len(list) != 1 || list[0].Type != "stats" || list[0].ID != b.id {
				t.Fatal(r)
			}
			e = list[0]
			return e.Data.Pids.Current == 3 && e.Data.CPU.Usage.Total > 1e6
		})
		if m := e.Data.Memory.Usage; limited && (m.Limit != 64<<20 || m.Usage == 0 || m.Usage > m.Limit || e.Data.Pids.Limit != 77) {
			t.Errorf("%+v", e)
		}
		run("kill", b.id, "KILL")
		drive.Eventually(t, "it has stopped", func() bool { return strings.Contains(run("state", b.id).Stdout, `"stopped"`) })
		for _, args := range [][]string{{"events", "--stats"}, {"events"}} {
			if r := run(append(args, b.id)...); r.Code != 1 || r.Stdout != "" || !strings.Contains(r.Stderr, "not running") {
				t.Errorf("%v of a stopped container: %v", args, r)
			}
		}
	})
}

// TestEventsEnd: a line after each interval, and no more once the container
// has ended.
func TestEventsEnd(t *testing.T) {
	views(t, func(t *testing.T, run func(args ...string) drive.Result) {
		b := newBox(t, drive.Sh("sleep 1; exit 3"))
		defer func() { run("delete", "--force", b.id) }()
		for _, step := range [][]string{{"create", "--bundle", b.bundle, b.id}, {"start", b.id}} {
			if r := run(step...); r.Code != 0 {
				t.Fatal(r)
			}
		}
		if drive.Others() { // runc goes on until the cgroup is gone
			time.AfterFunc(1500*time.Millisecond, func() { run("delete", b.id) })
		}
		r := run("events", "--interval", "100ms", b.id)
		list := parseEvents(t, r.Stdout)
		if n := count(list, "stats"); r.Code != 0 || !drive.Others() && r.Stderr != "" || n < 5 || n > 15 || n != len(list) || r.Took > 3*time.Second {
			t.Errorf("after %v: %d: %v", r.Took, n, r)
		}
	})
}

// TestEventsOOM: the kernel kills a child again and again, and at last the
// first process.
func TestEventsOOM(t *testing.T) {
	drive.NeedLimits(t, "memory")
	eat := "x=xxxxxxxxxxxxxxxx; while :; do x=$x$x; done"
	b := newBox(t, drive.Sh("read wait; for i in 1 2; do ("+eat+"); sleep 0.2; done; "+eat), func(s *specs.Spec) {
		s.Linux.Resources.Memory = &specs.LinuxMemory{Limit: pointer[int64](8 << 20), Swap: pointer[int64](8 << 20)}
		s.Mounts = append(s.Mounts, specs.Mount{Destination: "/go", Type: "bind", Source: fifo(t), Options: []string{"bind"}})
		s.Process.Args[2] = strings.Replace(s.Process.Args[2], "read wait", "read wait </go", 1)
	}).create().start()
	events := drive.Start(t, drive.Runtime(t), "events", "--interval", "20ms", b.id)
	drive.Eventually(t, "the first line", func() bool { return len(parseEvents(t, events.Output())) > 0 })
	spec := drive.ReadConfig(t, b.bundle)
	if err := os.WriteFile(spec.Mounts[len(spec.Mounts)-1].Source, []byte("go\n"), 0); err != nil {
		t.Fatal(err)
	}
	b.stops()
	if drive.Others() {
		drive.OK(t, "delete", b.id)
	}
	r := events.Wait()
	if n := count(parseEvents(t, r.Stdout), "oom"); r.Code != 0 || n < 3 || !strings.Contains(r.Stdout, fmt.Sprintf("{\"type\":\"oom\",\"id\":%q}\n", b.id)) {
		t.Errorf("%d times out of memory: exit %d, %s", n, r.Code, r.Stderr)
	}
}

// fifo is a new FIFO that everybody may read.
func fifo(t *testing.T) string {
	t.Helper()
	path := temp(t, "fifo")
	if r := drive.Exec(t, "mkfifo", "-m", "644", path); r.Code != 0 {
		t.Fatal(r)
	}
	return path
}

// TestEventsShape: the keys and types of runc's, and no others. Both leave
// out numbers that are 0, which may be other ones. A runc before 1.2 knows
// nothing of pressure.
func TestEventsShape(t *testing.T) {
	drive.MockersOwn(t, "it is compared with runc")
	drive.NeedLimits(t, "memory", "cpu", "pids") // or runc has little to say
	zero := regexp.MustCompile(`^data\.(cpu\.(throttling\.|usage\.(total|percpu))|memory\.(cache|\w+\.(usage|max))$|pids\.|blkio\.)`)
	b := newBox(t, drive.Sh("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 1000"))
	shapes := map[string]map[string]string{}
	for _, runtime := range []string{drive.Mocker(t), "runc"} {
		call := func(args ...string) string {
			t.Helper()
			r := drive.Exec(t, runtime, append([]string{"--root", t.TempDir()}, args...)...)
			if r.Code != 0 {
				t.Fatal(r)
			}
			return r.Stdout
		}
		root := temp(t, "root")
		call("--root", root, "create", "--bundle", b.bundle, b.id)
		call("--root", root, "start", b.id)
		time.Sleep(100 * time.Millisecond)
		var v any
		if err := json.Unmarshal([]byte(call("--root", root, "events", "--stats", b.id)), &v); err != nil {
			t.Fatal(err)
		}
		call("--root", root, "delete", "--force", b.id)
		shapes[runtime] = map[string]string{}
		shape(v, "", shapes[runtime])
	}
	ours, runcs := shapes[drive.Mocker(t)], shapes["runc"]
	if _, ok := runcs["data.cpu.psi"]; !ok {
		maps.DeleteFunc(ours, func(path, _ string) bool { return strings.Contains(path, ".psi") })
	}
	if len(runcs) < 60 {
		t.Fatalf("runc shows only %v", runcs)
	}
	for _, path := range slices.Sorted(maps.Keys(union(ours, runcs))) {
		a, b := ours[path], runcs[path]
		if a != b && !(zero.MatchString(path) && (a == "" || b == "")) {
			t.Errorf("%s: %q, runc has %q", path, a, b)
		}
	}
}

// shape lists the paths in a JSON value with their types.
func shape(v any, path string, into map[string]string) {
	into[path] = fmt.Sprintf("%T", v)
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			shape(value, strings.TrimPrefix(path+"."+key, "."), into)
		}
	case []any:
		for _, value := range v {
			shape(value, path+"[]", into)
		}
	}
}

func union(a, b map[string]string) map[string]string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}
