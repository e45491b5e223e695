package rootless

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// TestImage: `mocker run` with an image, as for root but for what takes root.
func TestImage(t *testing.T) {
	const network = "mocker: warning: a network of its own takes root, so the container has the host's (--network none: no network)\n"
	u := newUser(t, true)
	before := drive.TakeSnapshot(t)
	for _, row := range []struct {
		line           string
		code           int
		stdout, stderr string
	}{
		{"echo hello", 0, "hello\n", network},
		{"busybox id -u", 0, "0\n", network},
		{"--user nobody busybox id -u", 0, "65534\n", network},
		{"--network none busybox ls /sys/class/net", 0, "lo\n", ""},
		{"--network host busybox hostname", 0, "mocker\n", ""},
		{"--network veth busybox true", 125, "", "mocker: --network veth: it takes root: an ordinary user has none or host\n"},
		{"ubuntu:latest false", 1, "", network + "mocker: warning: image ubuntu:latest: mocker cannot get images yet, so it runs on the busybox root\n"},
	} {
		t.Run(row.line, func(t *testing.T) {
			r := u.run(append([]string{u.mocker, "run"}, strings.Fields(row.line)...)...)
			if r.Code != row.code || r.Stdout != row.stdout || r.Stderr != row.stderr {
				t.Errorf("%v\nwant exit %d, %q, %q", r, row.code, row.stdout, row.stderr)
			}
		})
	}
	r := u.run(u.mocker, "run", "--network", "none", "--pids-limit", "10", "true")
	if r.Code != 125 || !strings.Contains(r.Stderr, "linux.resources.pids: an ordinary user can have limits only in a cgroup that was delegated") {
		t.Errorf("a limit: %v", r)
	}

	u.ok("run", "--detach", "--network", "none", "--name", "rootless-image", "--volume", "./data:/data", "sh", "-c", "echo kept >/data/file; exec sleep 100")
	if got := u.ok("exec", "rootless-image", "cat", "/data/file"); got != "kept\n" {
		t.Errorf("the volume: %q", got)
	}
	u.ok("delete", "--force", "rootless-image")
	before.Unchanged(t)
}

// TestHooks: all six kinds, as the user, and those inside with its ids there.
func TestHooks(t *testing.T) {
	u := newUser(t, false)
	before := drive.TakeSnapshot(t)
	bundle := u.bundle(func(s *specs.Spec) {
		s.Process.Args = []string{"true"}
		hook := func(path, name string) []specs.Hook {
			script := "echo " + name + " $(id -u) >>" + path + "; cat >/dev/null"
			return []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: []string{"PATH=/bin:/usr/bin"}}}
		}
		log := u.home + "/log"
		s.Hooks = &specs.Hooks{
			Prestart:        hook(log, "prestart"), //nolint:staticcheck // deprecated, and what docker uses
			CreateRuntime:   hook(log, "createRuntime"),
			CreateContainer: hook(log, "createContainer"),
			StartContainer:  hook("/log", "startContainer"),
			Poststart:       hook(log, "poststart"),
			Poststop:        hook(log, "poststop"),
		}
	})
	u.ok("run", "--bundle", bundle, u.id())
	me := fmt.Sprint(uid)
	for file, want := range map[string]string{
		u.home + "/log":        "prestart " + me + "\ncreateRuntime " + me + "\ncreateContainer 0\npoststart " + me + "\npoststop " + me + "\n",
		bundle + "/rootfs/log": "startContainer 0\n",
	} {
		got, err := os.ReadFile(file)
		if err != nil || string(got) != want {
			t.Errorf("%s: %q (%v), want %q", file, got, err, want)
		}
	}
	before.Unchanged(t)
}
