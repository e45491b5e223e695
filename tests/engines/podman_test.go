package engines

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// podman is one that runs its containers with one runtime, keeps all it has in
// directories of the test, and writes down what it is told to do.
//
// Its methods may be called in subtests that run at the same time, so the
// environment and the working directory stand on its command line.
type podman struct {
	t       testing.TB
	runtime string // name of the runtime: what it does may differ in words
	path    string
	dir     string
	parent  string   // cgroup of its containers; "": podman's own choice
	bare    bool     // the configuration says which runtime
	as      []string // what makes a command one of an ordinary user
	notes   *strings.Builder
}

// bench has a podman for mocker and one for runc, and compares what comes of
// the same commands. RUNTIME=crun puts that runtime alone in their place.
type bench struct {
	t       *testing.T
	podmans []*podman
	table   []string
}

// newBench prepares podmans that have the image "box".
func newBench(t *testing.T) *bench {
	t.Helper()
	hide(t, "/var/lib") // networks and caches
	b := &bench{t: t}
	layer := makeLayer(t)
	for _, path := range runtimes(t) {
		name := filepath.Base(path)
		p := &podman{t: t, runtime: name, path: path, dir: t.TempDir(), parent: cgroupParent(t, "podman-"+name)}
		p.configure("")
		if err := os.Mkdir(p.volume(), 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(p.volume(), "file"), "shared\n")
		p.ok("import", layer, "box")
		b.podmans = append(b.podmans, p)
	}
	t.Cleanup(func() { t.Logf("scenario, and what came of it:\n%s", strings.Join(b.table, "")) })
	return b
}

// volume is a directory with a file.
func (p *podman) volume() string { return filepath.Join(p.dir, "volume") }

// configure writes containers.conf. podman's own defaults for rlimits are
// beyond what a root without CAP_SYS_RESOURCE can give.
func (p *podman) configure(engine string) {
	p.t.Helper()
	writeFile(p.t, filepath.Join(p.dir, "containers.conf"), fmt.Sprintf(`[containers]
default_ulimits = ["nofile=1000:2000", "nproc=4096:4096"]
log_driver = "k8s-file"
[network]
network_config_dir = %q
[engine]
events_logger = "none"
%s
`, p.dir+"/networks", engine))
}

// line is a command line of podman. Where it works conmon notes that a
// container was out of memory.
func (p *podman) line(args ...string) []string {
	choice := []string{"--cgroup-manager", "cgroupfs", "--runtime", p.path}
	if p.bare {
		choice = nil
	}
	return slices.Concat(p.as, []string{
		"env", "-C", p.dir, "CONTAINERS_CONF=" + p.dir + "/containers.conf", "podman",
		"--root", p.dir + "/root", "--runroot", p.dir + "/runroot", "--tmpdir", p.dir + "/tmp",
		"--storage-driver", "vfs",
	}, choice, args)
}

// runLine is the command line of podman run or create for the image.
func (p *podman) runLine(verb string, flags []string, cmd ...string) []string {
	list := []string{verb}
	if !slices.Contains(flags, "--network") {
		list = append(list, "--network", "none")
	}
	if p.parent != "" {
		list = append(list, "--cgroup-parent", "/"+p.parent)
	}
	return p.line(slices.Concat(list, flags, []string{"box"}, cmd)...)
}

func (p *podman) ok(args ...string) string {
	p.t.Helper()
	r := drive.Exec(p.t, p.line(args...)[0], p.line(args...)[1:]...)
	if r.Code != 0 {
		p.t.Fatalf("podman %s: %v", strings.Join(args, " "), r)
	}
	return strings.TrimSpace(r.Stdout)
}

// do runs a podman command and notes what came of it.
func (p *podman) do(args ...string) { p.exec(p.line(args...)) }

// run is do of podman run with flags that have no spaces in them.
func (p *podman) run(flags string, cmd ...string) drive.Result {
	flags = strings.ReplaceAll(flags, "VOLUME", p.volume())
	return p.exec(p.runLine("run", strings.Fields(flags), cmd...))
}

// sh is run of a shell in a container that goes with it.
func (p *podman) sh(flags, script string) {
	p.run("--rm "+flags, "sh", "-c", script)
}

func (p *podman) exec(line []string) drive.Result {
	r := drive.Exec(p.t, line[0], line[1:]...)
	p.noteResult(r)
	return r
}

func (p *podman) noteResult(r drive.Result) {
	if r.Code != 0 {
		p.note("exit %d", r.Code)
	}
	p.note("%s", p.plain(r.Stdout))
	for line := range strings.Lines(p.plain(r.Stderr)) {
		p.note("! %s", line)
	}
}

// note adds a line, unless it is empty.
func (p *podman) note(format string, args ...any) {
	if text := strings.TrimRight(fmt.Sprintf(format, args...), "\n"); text != "" {
		fmt.Fprintln(p.notes, text)
	}
}

var (
	longID  = regexp.MustCompile(`\b[0-9a-f]{64}\b`)
	shortID = regexp.MustCompile(`\b[0-9a-f]{12}\b`)
	when    = regexp.MustCompile(`time="[^"]*"`)
	// What stands before the cause is each runtime's own, as is all that it
	// says where podman knows what to make of it.
	ownWords = regexp.MustCompile(`(?m)^(Error: ).*?(exec: ".*|: OCI .*)$`)
)

// plain leaves out of an output what must differ.
func (p *podman) plain(text string) string {
	text = strings.ReplaceAll(text, "\r", "")
	text = longID.ReplaceAllString(text, "ID")
	text = when.ReplaceAllString(text, "time=NOW")
	text = shortID.ReplaceAllString(text, "id")
	text = strings.ReplaceAll(text, p.path, "RUNTIME")
	text = ownWords.ReplaceAllString(text, "$1$2")
	return strings.ReplaceAll(text, p.dir, "DIR")
}

// eventually waits until a condition holds. One that never does is noted: the
// other runtime may tell whose fault that is.
func (p *podman) eventually(what string, holds func() bool) {
	for end := time.Now().Add(drive.Patience(15 * time.Second)); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if holds() {
			return
		}
	}
	p.note("never: %s", what)
}

// says waits until a podman command prints what is wanted.
func (p *podman) says(want string, args ...string) {
	line, got := p.line(args...), ""
	p.eventually(strings.Join(args, " ")+" says "+want, func() bool {
		got = strings.TrimSpace(drive.Exec(p.t, line[0], line[1:]...).Stdout)
		return got == want
	})
}

// scenario lets every podman do the same at the same time. What mocker's
// notes has to be what is wanted, and what runc's notes the same. A want of ""
// is for what only the comparison can judge.
func (b *bench) scenario(name, want string, do func(p *podman)) {
	b.t.Helper()
	all := make([]strings.Builder, len(b.podmans))
	b.t.Run(name, func(t *testing.T) {
		t.Cleanup(func() {
			got := make(map[string]string)
			for i, p := range b.podmans {
				got[p.runtime] = all[i].String()
			}
			b.judge(t, want, got)
		})
		for i := range b.podmans {
			t.Run(b.podmans[i].runtime, func(t *testing.T) {
				t.Parallel()
				p := *b.podmans[i]
				p.t, p.notes = t, &all[i]
				do(&p)
			})
		}
	})
}

// judge compares the notes. Where runc alone fails, that is put on record.
func (b *bench) judge(t *testing.T, want string, got map[string]string) {
	row := fmt.Sprintf("%-40s", t.Name())
	same := true
	for _, p := range b.podmans {
		verdict := "as wanted"
		if want == "" {
			verdict = "same"
			same = same && got[p.runtime] == got[b.podmans[0].runtime]
		} else if got[p.runtime] != want {
			verdict = "not as wanted"
			if _, both := got["mocker"]; both && p.runtime != "mocker" && got["mocker"] == want {
				t.Logf("%s alone differs:\n%s", p.runtime, got[p.runtime])
			} else {
				t.Errorf("%s:\n%s\nwant\n%s", p.runtime, got[p.runtime], want)
			}
		}
		row += fmt.Sprintf(" %s: %s", p.runtime, verdict)
	}
	if t.Failed() { // lest the next one finds something
		for _, p := range b.podmans {
			_ = p.ok("rm", "--all", "--force", "--time", "0")
		}
	}
	if !same {
		row = fmt.Sprintf("%-40s differ", t.Name())
		t.Error("the runtimes differ:" + difference(got))
	}
	b.table = append(b.table, row+"\n")
}

// difference shows the lines that not all have.
func difference(got map[string]string) string {
	var out strings.Builder
	for name, text := range got {
		for line := range strings.Lines(text) {
			for _, other := range got {
				if !strings.Contains("\n"+other, "\n"+line) {
					fmt.Fprintf(&out, "\n%s: %s", name, strings.TrimSuffix(line, "\n"))
				}
			}
		}
	}
	return out.String() + "\nin full: " + strings.Join(slices.Sorted(maps.Values(got)), "\n---\n")
}

// cover puts a file over one of the machine, for this test binary alone.
func cover(t *testing.T, path, text string) {
	t.Helper()
	file := writeFile(t, filepath.Join(t.TempDir(), "file"), text)
	if err := unix.Mount(file, path, "", unix.MS_BIND, ""); err != nil {
		t.Fatalf("cover %s: %v", path, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", path, err)
		}
	})
}
