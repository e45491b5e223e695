package engines

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// buildah is one that keeps all it has in directories of the test.
type buildah struct {
	t      *testing.T
	global []string // buildah and its global flags
	layer  string
}

func newBuildah(t *testing.T) *buildah {
	t.Helper()
	dir := t.TempDir()
	hide(t, "/var/lib")
	hide(t, "/var/tmp")
	// Its own defaults for rlimits are beyond what a root without
	// CAP_SYS_RESOURCE can give.
	t.Setenv("CONTAINERS_CONF", writeFile(t, filepath.Join(dir, "containers.conf"), `[containers]
default_ulimits = ["nofile=1000:2000", "nproc=4096:4096"]
`))
	return &buildah{t: t, layer: makeLayer(t), global: []string{
		"env", "-u", "BUILDAH_ISOLATION", "buildah", "--root", filepath.Join(dir, "root"), "--runroot", filepath.Join(dir, "runroot"), "--storage-driver", "vfs",
	}}
}

func (b *buildah) line(args ...string) []string { return slices.Concat(b.global, args) }

func (b *buildah) ok(args ...string) string {
	b.t.Helper()
	return okLine(b.t, b.line(args...))
}

func TestBuildah(t *testing.T) {
	leaveNothing(t)
	b := newBuildah(t)
	for _, runtime := range []string{"runc", runtimePath(t)} {
		t.Run(filepath.Base(runtime), func(t *testing.T) {
			b := &buildah{t: t, global: b.global, layer: b.layer}
			b.bud(runtime)
			b.run(runtime)
		})
	}
}

// bud builds an image with steps that run. What is on stderr is theirs alone.
func (b *buildah) bud(runtime string) {
	b.t.Helper()
	context := b.t.TempDir()
	okLine(b.t, []string{"cp", b.layer, filepath.Join(context, "layer.tar")})
	writeFile(b.t, filepath.Join(context, "Dockerfile"), `FROM scratch
ADD layer.tar /
ENV PATH=/bin A=b
RUN echo says $(id -u) $A $(grep CapEff /proc/self/status) $(grep Seccomp: /proc/self/status) >/made; chmod 666 /made; echo error >&2
USER 1000:1001
WORKDIR /tmp
RUN echo then says $(id -u) $(id -g) $(pwd) $(ulimit -n) >>/made
`)
	bud := func(args ...string) []string {
		return b.line(slices.Concat([]string{"bud", "--quiet", "--network", "none", "--runtime", runtime}, args, []string{context})...)
	}
	r := execLine(b.t, bud("--isolation", "oci", "--tag", "box"))
	if r.Code != 0 || r.Stderr != "error\n" {
		b.t.Errorf("got %v\nwant what a step says on stderr, and nothing else there", r)
	}
	writeFile(b.t, filepath.Join(context, "failing"), "FROM box\nRUN exit 3\n")
	r = execLine(b.t, bud("--file", filepath.Join(context, "failing")))
	if r.Code != 3 || !strings.Contains(r.Stderr, "exit status 3") {
		b.t.Errorf("a step that fails: %v", r)
	}
}

// run runs commands in a working container.
func (b *buildah) run(runtime string) {
	b.t.Helper()
	box := b.ok("from", "box")
	volume := b.t.TempDir()
	writeFile(b.t, filepath.Join(volume, "file"), "shared\n")
	sh := func(script string) []string { return []string{"sh", "-c", script} }
	for _, f := range []foreground{
		{
			name: "what the steps have made", cmd: []string{"cat", "/made"},
			stdout: "says 0 b CapEff: 00000000a80425fb Seccomp: 2\nthen says 1000 1001 /tmp 1000\n",
		},
		{
			name: "as the image says", cmd: sh("id -u; id -g; pwd; echo $A; grep -E 'CapEff|CapBnd|CapAmb|NoNewPrivs' /proc/self/status"),
			stdout: "1000\n1001\n/tmp\nb\nCapEff:\t0000000000000000\nCapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\nNoNewPrivs:\t0\n",
		},
		{
			name:  "process",
			flags: []string{"--isolation", "oci", "--user", "0:7", "--env", "A=c", "--workingdir", "/data", "--hostname", "abc", "--cap-drop", "CAP_KILL"},
			cmd:   sh("id -u; id -g; pwd; echo $A; hostname; grep CapEff /proc/self/status"), stdout: "0\n7\n/data\nc\nabc\nCapEff:\t00000000a80425db\n",
		},
		{
			name:  "volumes",
			flags: []string{"--isolation", "oci", "--user", "0", "-v", volume + ":/v", "-v", volume + ":/r:ro", "--mount", "type=tmpfs,dst=/data,tmpfs-size=1m"},
			cmd:   sh("cat /v/file; df -k /data | awk 'NR > 1 { print $1, $2 }'; touch /r/x; exit 3"), code: 3, stdout: "shared\ntmpfs 1024\n", stderr: "touch: /r/x: Read-only file system\n",
		},
		{name: "missing", cmd: []string{"nosuch"}, code: 1, stderr: "executable file not found in $PATH"},
		{name: "not executable", cmd: []string{"/bin/plain"}, code: 1, stderr: "/bin/plain"},
	} {
		f.check(b.t, execLine(b.t, slices.Concat(b.line("run", "--network", "none", "--runtime", runtime, "--terminal=false"), f.flags, []string{"--", box}, f.cmd)))
	}
	r := execLine(b.t, slices.Concat([]string{"env", "BUILDAH_RUNTIME=" + runtime}, b.line("run", "--network", "none", "--terminal=false", box, "nosuch")))
	foreground{code: 1, stderr: filepath.Base(runtime) + " creating container for [nosuch]: "}.check(b.t, r)
	line := slices.Concat(b.line("run", "--network", "none", "--runtime", runtime, "--terminal"), []string{"--", box}, sh("test -t 0 && echo terminal; exit 4"))
	foreground{code: 4, stdout: "terminal\nError: while running runtime: exit status 4\n"}.check(b.t, execLine(b.t, inTerminal(b.t, line)))
	b.ok("rm", box)
}
