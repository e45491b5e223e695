package hooks

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

func sh(script string) config.Hook {
	return config.Hook{Path: "/bin/sh", Args: []string{"sh", "-c", script}}
}

func state(bundle string) *specs.State {
	return &specs.State{Version: "1.3.0", ID: "c1", Status: specs.StateCreating, Pid: 42, Bundle: bundle}
}

// What a hook is given: state, arguments, environment, directory.
func TestRunGives(t *testing.T) {
	t.Setenv("LEAK", "host")
	stdin := `{"ociVersion":"1.3.0","id":"c1","status":"creating","pid":42,"bundle":"BUNDLE"}`
	tests := []struct {
		name string
		hook config.Hook
		want string
	}{
		{"state", sh(`cat >out`), stdin},
		{"working directory", sh(`pwd >out`), "BUNDLE\n"},
		{"argv", config.Hook{Path: "/bin/sh", Args: []string{"zero", "-c", `printf %s "$0,$1" >out`, "a b", "c"}}, "a b,c"},
		{"argv[0]", config.Hook{Path: "/bin/sh", Args: []string{"zero", "-c", `tr '\0' '\n' </proc/$$/cmdline | head -1 >out`}, Env: []string{"PATH=/usr/bin:/bin"}}, "zero\n"},
		{"empty environment", sh(`/usr/bin/tr '\0' '\n' </proc/$$/environ >out`), ""},
		{"environment", config.Hook{Path: "/bin/sh", Args: []string{"sh", "-c", `/usr/bin/tr '\0' '\n' </proc/$$/environ >out`}, Env: []string{"A=1", "B=2"}}, "A=1\nB=2\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bundle := t.TempDir()
			if err := Run(t.Context(), []config.Hook{tt.hook}, state(bundle)); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(filepath.Join(bundle, "out"))
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.ReplaceAll(tt.want, "BUNDLE", bundle); string(got) != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestRunWithoutArgsPassesThePath(t *testing.T) {
	bundle := t.TempDir()
	script := filepath.Join(bundle, "hook")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nprintf '%s %s' \"$0\" $# >out\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Run(t.Context(), []config.Hook{{Path: script}}, state(bundle)); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(bundle, "out"))
	if err != nil || string(got) != script+" 0" {
		t.Errorf("got %q, %v, want %q", got, err, script+" 0")
	}
}

func TestRunOrderStopsAtFailure(t *testing.T) {
	bundle := t.TempDir()
	list := []config.Hook{sh("echo 1 >>out"), sh("echo 2 >>out"), sh("exit 3"), sh("echo 4 >>out")}
	err := Run(t.Context(), list, state(bundle))
	if err == nil || err.Error() != `hook "/bin/sh": exit status 3` {
		t.Errorf("error %v", err)
	}
	if got, _ := os.ReadFile(filepath.Join(bundle, "out")); string(got) != "1\n2\n" {
		t.Errorf("ran %q, want 1 and 2 only", got)
	}
}

func TestRunErrors(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(dir, "missing")
	tests := []struct {
		name string
		hook config.Hook
		want string
	}{
		{"stderr", sh("echo no luck >&2; exit 1"), `hook "/bin/sh": exit status 1: no luck`},
		{"stdout too", sh("echo one; echo two >&2; exit 1"), "hook \"/bin/sh\": exit status 1: one\ntwo"},
		{"signal", sh("kill -TERM $$"), `hook "/bin/sh": signal: terminated`},
		{"missing", config.Hook{Path: missing}, `hook "` + missing + `": start: no such file or directory`},
		{"not executable", config.Hook{Path: plain}, `hook "` + plain + `": start: permission denied`},
		{"directory", config.Hook{Path: dir}, `hook "` + dir + `": start: permission denied`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := Run(t.Context(), []config.Hook{tt.hook}, state(dir))
			if err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

// A hook that does not read a state larger than a pipe holds is no error.
func TestRunUnreadState(t *testing.T) {
	st := state(t.TempDir())
	st.Annotations = map[string]string{"big": strings.Repeat("x", 1<<20)}
	if err := Run(t.Context(), []config.Hook{sh("exec 0<&-; exit 0")}, st); err != nil {
		t.Error(err)
	}
}

func TestRunMuchOutput(t *testing.T) {
	h := sh("yes 0123456789 | head -c 20000000; echo the end >&2; exit 1")
	h.Env = []string{"PATH=/usr/bin:/bin"}
	err := Run(t.Context(), []config.Hook{h}, state(t.TempDir()))
	if err == nil {
		t.Fatal("no error")
	}
	text := err.Error()
	if len(text) > tailSize+100 || !strings.HasSuffix(text, "the end") || !strings.HasPrefix(text, `hook "/bin/sh": exit status 1: ...`) {
		t.Errorf("%d bytes: %.60s", len(text), text)
	}
}

func TestRunLeavesBackgroundAlone(t *testing.T) {
	bundle := t.TempDir()
	start := time.Now()
	h := sh("/bin/sleep 60 & echo $! >pid")
	if err := Run(t.Context(), []config.Hook{h}, state(bundle)); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("waited %s for a process in the background", took)
	}
	pid := readPid(t, filepath.Join(bundle, "pid"))
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Errorf("the process in the background is gone: %v", err)
	}
}

func TestRunTimeout(t *testing.T) {
	bundle := t.TempDir()
	h := sh("echo waiting; /bin/sleep 60 & echo $! >pid; wait")
	h.Timeout = 2 * time.Second // in which an emulated machine starts a shell
	start := time.Now()
	err := Run(t.Context(), []config.Hook{h}, state(bundle))
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %s", took)
	}
	if want := `hook "/bin/sh": timed out after 2s: waiting`; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	// Its child must have died with it; wait for whoever reaps it.
	pid := readPid(t, filepath.Join(bundle, "pid"))
	for range 100 {
		if !running(pid) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("the hook's child %d outlived the timeout", pid)
}

func TestRunCancelled(t *testing.T) {
	why := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(200*time.Millisecond, func() { cancel(why) })
	start := time.Now()
	err := Run(ctx, []config.Hook{sh("exec /bin/sleep 60")}, state(t.TempDir()))
	if !errors.Is(err, why) || time.Since(start) > 5*time.Second {
		t.Errorf("got %v after %s", err, time.Since(start))
	}
	if err := Run(ctx, []config.Hook{sh("exit 0")}, state(t.TempDir())); !errors.Is(err, why) {
		t.Errorf("with a context that has ended: got %v", err)
	}
}

// delete works after the bundle is gone, poststop hooks and all.
func TestRunWithoutBundle(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	if err := Run(t.Context(), []config.Hook{sh("pwd >" + out)}, state("/does/not/exist")); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(out); string(got) != "/\n" {
		t.Errorf("ran in %q, want /", got)
	}
}

func TestTail(t *testing.T) {
	tests := []struct {
		name  string
		parts []string
		want  string
	}{
		{"nothing", nil, ""},
		{"short", []string{" a\n", "b\n"}, "a\nb"},
		{"not UTF-8", []string{"a\xffb"}, "a\uFFFDb"},
		{"one long", []string{strings.Repeat("x", tailSize) + "yz"}, "..." + strings.Repeat("x", tailSize-2) + "yz"},
		{"many", []string{"abc", strings.Repeat("x", tailSize-1)}, "...c" + strings.Repeat("x", tailSize-1)},
		{"exact", []string{"a", strings.Repeat("x", tailSize-1)}, "a" + strings.Repeat("x", tailSize-1)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var w tail
			for _, p := range tt.parts {
				if n, err := w.Write([]byte(p)); n != len(p) || err != nil {
					t.Fatalf("Write: %d, %v", n, err)
				}
			}
			if got := w.String(); got != tt.want {
				t.Errorf("got %.40q (%d), want %.40q (%d)", got, len(got), tt.want, len(tt.want))
			}
		})
	}
}

func readPid(t *testing.T, path string) int {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// running reports whether a process exists and is no zombie.
func running(pid int) bool {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	rest := string(data[strings.LastIndexByte(string(data), ')')+1:])
	return !strings.HasPrefix(rest, " Z")
}
