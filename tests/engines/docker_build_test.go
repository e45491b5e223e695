package engines

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// build makes images with steps that run, by the classic builder on the
// default runtime and by BuildKit.
func (d docker) build(runtime string, t *testing.T) {
	d.runtime = runtime
	if got := d.ok("info", "--format", "{{.DefaultRuntime}}"); got != runtime {
		t.Errorf("the default runtime is %q", got)
	}
	context := t.TempDir()
	writeFile(t, filepath.Join(context, "file"), "content\n")
	writeFile(t, filepath.Join(context, "Dockerfile"), `FROM box
COPY file /file
ENV A=b
RUN echo says $(id -u) $A $(grep CapEff /proc/self/status) && cat /file >/made
USER 1000:1001
WORKDIR /tmp
RUN echo then says $(id -u) $(id -g) $(pwd) $(cat /made)
`)
	writeFile(t, filepath.Join(context, "failing"), "FROM box\nRUN echo ends; exit 3\n")
	writeFile(t, filepath.Join(context, "missing"), "FROM box\nRUN [\"nosuch\"]\n")
	t.Run("by", func(t *testing.T) {
		for kit, name := range []string{"the classic builder", "BuildKit"} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				d := d
				d.t = t
				d.buildBy(fmt.Sprint(kit), context)
			})
		}
	})
	calls, err := os.ReadFile(d.builds())
	if err := os.Remove(d.builds()); err != nil && !os.IsNotExist(err) {
		t.Error(err)
	}
	if called := err == nil && strings.Contains(string(calls), " run --bundle "); called != (runtime == "mocker") {
		t.Errorf("BuildKit has called the runtime under test: %v: %s", called, calls)
	}
}

// buildBy makes images by BuildKit if kit is "1", else by the classic builder.
func (d docker) buildBy(kit, context string) {
	d.t.Helper()
	build := func(args ...string) []string {
		return append([]string{"env", "DOCKER_BUILDKIT=" + kit}, d.line(append([]string{"build", "--no-cache"}, args...)...)...)
	}
	image := "made" + kit
	r := execLine(d.t, build("--tag", image, context))
	for _, want := range []string{"says 0 b CapEff: 00000000a80425fb\n", "then says 1000 1001 /tmp content\n"} {
		if r.Code != 0 || !strings.Contains(r.Stdout+r.Stderr, want) {
			d.t.Errorf("no %q: %v", want, r)
		}
	}
	if got := d.ok("run", "--rm", "--network", "none", image, "cat", "/made"); got != "content" {
		d.t.Errorf("the image has %q", got)
	}
	for file, want := range map[string][2]string{
		"failing": {"exit code: 3", "returned a non-zero code: 3"},
		"missing": {`exec: "nosuch": executable file not found in $PATH`, `exec: "nosuch": executable file not found in $PATH`},
	} {
		r := execLine(d.t, build("--file", filepath.Join(context, file), context))
		if out := r.Stdout + r.Stderr; r.Code == 0 || !strings.Contains(out, want[0]) && !strings.Contains(out, want[1]) {
			d.t.Errorf("%s: %v", file, r)
		}
	}
}

// compose runs a server, and a client that reaches it by its name.
func (d docker) compose(t *testing.T) {
	dir := filepath.Join(t.TempDir(), d.name("project"))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	file := writeFile(t, filepath.Join(dir, "docker-compose.yml"), fmt.Sprintf(`version: "2.4"
services:
  web:
    image: box
    runtime: %[1]s
    command: httpd -f -p 80 -h /bin
    stop_signal: KILL
  client:
    image: box
    runtime: %[1]s
    init: true
    mem_limit: 64m
    depends_on: [web]
    command: ["sh", "-c", "until wget -q -O - http://$$(nslookup web | sed -n 's/^Address: //p')/plain; do sleep 0.1; done; exit 5"]
`, d.runtime))
	compose := func(args ...string) []string {
		return append([]string{"docker-compose", "--host", "unix://" + d.socket(), "--file", file, "--ansi", "never"}, args...)
	}
	r := execLine(t, compose("up", "--exit-code-from", "client"))
	if r.Code != 5 || !strings.Contains(r.Stdout, "plain") {
		t.Errorf("docker-compose up: %v", r)
	}
	if r := execLine(t, compose("down", "--timeout", "0")); r.Code != 0 {
		t.Errorf("docker-compose down: %v", r)
	}
}
