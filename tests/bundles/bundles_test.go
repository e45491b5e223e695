package bundles

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/drive"
)

func TestMain(m *testing.M) { drive.Main(m) }

// checkout copies what is committed of the bundles, and the script that makes
// their root file systems, and runs that, as `make bundles` does.
func checkout(t *testing.T) string {
	t.Helper()
	drive.NeedRoot(t)
	top := t.TempDir()
	if err := os.CopyFS(filepath.Join(top, "scripts"), os.DirFS("../../scripts")); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("../../bundles/*/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no bundles: %v", err)
	}
	for _, f := range files {
		if filepath.Base(f) == "rootfs" {
			continue
		}
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(top, "bundles", filepath.Base(filepath.Dir(f)))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(f)), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(drive.Mocker(t), filepath.Join(top, "mocker")); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is nothing to do
		if r := drive.Exec(t, filepath.Join(top, "scripts/rootfs.sh")); r.Code != 0 || r.Stdout+r.Stderr != "" {
			t.Fatalf("rootfs.sh: %v", r)
		}
	}
	return top
}

// readme gives the command that the README of a bundle names last, for a
// shell in the project's directory.
func readme(t *testing.T, top, bundle string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(top, "bundles", bundle, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	commands := regexp.MustCompile("`(mocker run [^`]*)`").FindAllStringSubmatch(string(text), -1)
	if len(commands) == 0 || strings.Count(string(text), "\n") != 1 {
		t.Fatalf("want one line that names a command:\n%s", text)
	}
	return "cd '" + top + "' && PATH=$PWD:$PATH && exec " + commands[len(commands)-1][1]
}

// Every bundle has a test here.
func TestAllOfThem(t *testing.T) {
	dirs, err := os.ReadDir("../../bundles")
	if err != nil {
		t.Fatal(err)
	}
	tested := map[string]bool{"hello": true, "hooks": true, "limits": true, "network": true, "peer": true, "pod": true, "rootless": true, "shell": true, "volumes": true}
	for _, d := range dirs {
		if !tested[d.Name()] {
			t.Errorf("bundles/%s has no test", d.Name())
		}
		delete(tested, d.Name())
	}
	for name := range tested {
		t.Errorf("there is no bundles/%s", name)
	}
}

func TestHello(t *testing.T) {
	top := checkout(t)
	before := drive.TakeSnapshot(t)
	r := drive.Exec(t, "sh", "-c", readme(t, top, "hello"))
	if r.Code != 0 || r.Stdout != "hello from a container\n" || r.Stderr != "" {
		t.Errorf("hello: %v", r)
	}
	before.Unchanged(t)
}

// TestLimits: it dies of what it may not have, and nothing else does.
func TestLimits(t *testing.T) {
	top := checkout(t)
	before := drive.TakeSnapshot(t)
	r := drive.Exec(t, "sh", "-c", readme(t, top, "limits"))
	want := "16 MiB of memory:\nexit status 137\n8 processes:\nsh: can't fork: Resource temporarily unavailable\n"
	if r.Code != 0 || r.Stdout != want || r.Stderr != "Killed\n" {
		t.Errorf("limits: %v", r)
	}
	before.Unchanged(t)
}

// TestVolumes: the volume outlives the containers, and belongs to root.
func TestVolumes(t *testing.T) {
	top := checkout(t)
	before := drive.TakeSnapshot(t)
	for n := 1; n <= 2; n++ {
		r := drive.Exec(t, "sh", "-c", readme(t, top, "volumes"))
		want := fmt.Sprintf("%d visits, by user 1000\nvolumes\n1.0M of memory in /tmp\n", n)
		if r.Code != 0 || r.Stdout != want || r.Stderr != "" {
			t.Errorf("volumes: %v", r)
		}
	}
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(top, "bundles/volumes/rootfs/home/visits"), &st); err != nil || st.Uid != 0 || st.Gid != 0 {
		t.Errorf("visits belongs to %d:%d: %v", st.Uid, st.Gid, err)
	}
	before.Unchanged(t)
}

func TestHooks(t *testing.T) {
	top := checkout(t)
	before := drive.TakeSnapshot(t)
	r := drive.Exec(t, "sh", "-c", readme(t, top, "hooks"))
	want := `prestart: on the host, in the bundle
createRuntime: on the host, when the namespaces are there
createContainer: in the namespaces, before the change of root
startContainer: in the container, as hooks
poststart: on the host, beside the program
`
	if r.Code != 0 || r.Stdout != want || r.Stderr != "" {
		t.Errorf("hooks: %v\nwant %s", r, want)
	}
	if _, err := os.Stat(filepath.Join(top, "bundles/hooks/rootfs/log")); err == nil {
		t.Error("the poststop hook has not run")
	}
	before.Unchanged(t)
}

func TestShell(t *testing.T) {
	top := checkout(t)
	before := drive.TakeSnapshot(t)
	term := drive.OnTerminal(t, "sh", "-c", readme(t, top, "shell"))
	prompt := "$ "
	term.Expect(prompt)
	for typed, want := range map[string]string{
		"id":                                 "uid=1000 gid=1000",
		"tty":                                "/dev/",
		"ip -o link | wc -l":                 "1\r\n", // lo alone
		"touch /x 2>&1":                      "Read-only file system",
		"ulimit -n":                          "1024\r\n",
		"grep CapEff: /proc/self/status":     "0000000000000000\r\n",
		"grep NoNewPrivs: /proc/self/status": "1\r\n",
		"touch /tmp/x && ls /tmp":            "x\r\n",
	} {
		term.Type(typed + "\r")
		term.Expect(typed + "\r\n")
		if got := term.Expect(prompt); !strings.Contains(got, want) {
			t.Errorf("%s shows %q, want %q", typed, got, want)
		}
	}
	term.Type("exit 5\r")
	if code := term.Wait(); code != 5 {
		t.Errorf("exit status %d, want 5:\n%s", code, term.Shown())
	}
	before.Unchanged(t)
}

// The hooks of this one call mocker where `make install` puts it.
func TestNetwork(t *testing.T) {
	top := checkout(t)
	before := drive.TakeSnapshot(t)
	command := readme(t, top, "network")

	// A /usr/local/bin of the test's own, without mocker at first.
	const bin = "/usr/local/bin"
	if err := unix.Mount("tmpfs", bin, "tmpfs", 0, "mode=755"); err != nil {
		t.Fatal(err)
	}
	unmount := func() {
		if err := unix.Unmount(bin, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(func() { before.Unchanged(t) })
	t.Cleanup(unmount)
	r := drive.Exec(t, "sh", "-c", command)
	const missing = "hook \"/usr/local/bin/mocker\": start: no such file or directory\n"
	want := "mocker: warning: container net1: poststop hooks: " + missing + "mocker: prestart hooks: " + missing
	if r.Code != 1 || r.Stdout != "" || r.Stderr != want {
		t.Errorf("not installed: %v\nwant %s", r, want)
	}

	data, err := os.ReadFile(drive.Mocker(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bin+"/mocker", data, 0o755); err != nil {
		t.Fatal(err)
	}
	r = drive.Exec(t, "sh", "-c", command)
	for _, form := range []string{
		`inet 172\.19\.0\.2/24 brd 172\.19\.0\.255 scope global`,
		`default via 172\.19\.0\.1 dev ceth0 `,
		`PING 172\.19\.0\.1 `,
		`1 packets transmitted, 1 packets received, 0% packet loss`,
	} {
		if !regexp.MustCompile(form).MatchString(r.Stdout) {
			t.Errorf("it does not show %s", form)
		}
	}
	if r.Code != 0 || r.Stderr != "" || t.Failed() {
		t.Errorf("network: %v", r)
	}
}

// Two containers in one network namespace: what the first one serves on its
// loopback interface the second one fetches, and the host cannot.
func TestPodAndPeer(t *testing.T) {
	top := checkout(t)
	before := drive.TakeSnapshot(t)
	pod := drive.Exec(t, "sh", "-c", readme(t, top, "pod")+" </dev/null >/dev/null 2>&1")
	t.Cleanup(func() {
		drive.Run(t, "delete", "--force", "pod1")
		for _, name := range []string{"/run/pod.pid", "/run/pod/ns", "/run/pod"} {
			if err := os.Remove(name); err != nil {
				t.Error(err)
			}
		}
		before.Unchanged(t)
	})
	if pod.Code != 0 {
		t.Fatalf("pod: %v", pod)
	}
	text, err := os.ReadFile(filepath.Join(top, "bundles/peer/README.md"))
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile("`(mkdir [^`]*)`").FindStringSubmatch(string(text))
	if name == nil {
		t.Fatalf("no command that names the namespaces:\n%s", text)
	}
	if r := drive.Exec(t, "sh", "-c", name[1]); r.Code != 0 {
		t.Fatalf("%s: %v", name[1], r)
	}
	if r := drive.Exec(t, "busybox", "wget", "-q", "-O", "-", "http://127.0.0.1:8080/hostname"); r.Code == 0 {
		t.Errorf("the host reaches the pod's loopback interface: %v", r)
	}
	peer := readme(t, top, "peer")
	for try := 0; ; try++ { // the server may not listen yet
		r := drive.Exec(t, "sh", "-c", peer)
		if r.Code == 0 && r.Stdout == "mocker\n" && r.Stderr == "" {
			break
		}
		if try == 20 {
			t.Fatalf("peer: %v", r)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
