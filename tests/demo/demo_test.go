package demo

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mocker-runtime/mocker/tests/drive"
)

func TestMain(m *testing.M) { drive.Main(m) }

// top is the project.
func top(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// tree is as much of a project as the scripts need: themselves, and mocker as
// it was built for the tests.
func tree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "scripts"), os.DirFS(filepath.Join(top(t), "scripts"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(drive.Mocker(t), filepath.Join(dir, "mocker")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// demoForm is what the demo prints, heading by heading, as expressions: what
// a newcomer is to see, not how it is worded.
var demoForm = []string{
	`1\. A bundle .*\n(.*\n)*      config\.json  rootfs\n(.*\n)*      bin  dev  etc `,
	`2\. create.*\n(.*\n)*.*"pid": (\d+),\n.*"status": "created",\n`,
	`3\. Namespaces.*\n(.*\n)+      net +here net:\[\d+\] +there net:\[\d+\]\n`,
	`4\. Its network.*\n(.*\n)+.*veth0@.*UP +SUBNET1/\d+ *\n(.*\n)+ +SUBNET2 .*\n(.*\n)+.*-j MASQUERADE\n`,
	`5\. start.*\n(.*\n)+.*demo-\d+ +\d+ +running `,
	`6\. Inside.*\n.*hostname\n      mocker\n(.*\n)+ +1 root .*sh /demo.sh\n`,
	`7\. Inside.*\n(.*\n)+.* 1: lo: (.*\n)+.* 2: ceth0@\w+: <BROADCAST(.*\n)+.*inet SUBNET2/(.*\n)+ +default via SUBNET1 dev ceth0`,
	`8\. Inside.*\n.*ping -c 1 -W 2 SUBNET1\n(.*\n)+.* 0% packet loss\n`,
	`9\. Its limits.*\n(.*\n)*.*mem.*\n      1073741824\n(.*\n)*.*cpu.*\n      100000\b.*\n(.*\n)*.*pids\.max\n      1024\n`,
	`10\. kill.*\n(.*\n)*.*"pid": 0,\n.*"status": "stopped",\n`,
	`11\. delete.*\n.*mocker delete demo-\d+\n`,
	`12\. What is left of it:\n(      no .*\n){8}$`,
}

func check(t *testing.T, shown, gateway, address string) {
	t.Helper()
	parts := regexp.MustCompile(`(?m)^\d+\. `).FindAllStringIndex(shown, -1)
	if len(parts) != len(demoForm) {
		t.Fatalf("%d headings, want %d:\n%s", len(parts), len(demoForm), shown)
	}
	for i, form := range demoForm {
		end := len(shown)
		if i+1 < len(parts) {
			end = parts[i+1][0]
		}
		part := shown[parts[i][0]:end]
		form = strings.NewReplacer("SUBNET1", regexp.QuoteMeta(gateway), "SUBNET2", regexp.QuoteMeta(address)).Replace(form)
		if !regexp.MustCompile(`^` + form).MatchString(part) {
			t.Errorf("this part of the demo is not of the form %s:\n%s", form, part)
		}
	}
}

// As the README says, in a directory as it comes.
func TestMakeDemo(t *testing.T) {
	drive.NeedRoot(t)
	before := drive.TakeSnapshot(t)
	r := drive.Exec(t, "make", "-C", top(t), "--no-print-directory", "demo")
	if r.Code != 0 || r.Stderr != "" {
		t.Fatalf("make demo: %v", r)
	}
	check(t, r.Stdout, "172.18.0.1", "172.18.0.2")
	before.Unchanged(t)
	t.Logf("took %v", r.Took)
}

// On a terminal, on a machine that uses the usual subnet for something else.
func TestDemoElsewhere(t *testing.T) {
	drive.NeedRoot(t)
	start := drive.TakeSnapshot(t)
	t.Cleanup(func() { start.Unchanged(t) })
	if out, err := exec.Command("ip", "route", "add", "172.18.0.0/16", "dev", "lo").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("ip", "route", "del", "172.18.0.0/16", "dev", "lo").Run() })
	dir := tree(t)
	before := drive.TakeSnapshot(t)
	term := drive.OnTerminal(t, filepath.Join(dir, "scripts/demo.sh"))
	if code := term.Wait(); code != 0 {
		t.Errorf("exit status %d", code)
	}
	shown := strings.ReplaceAll(term.Shown(), "\r\n", "\n")
	if !strings.Contains(shown, "\n\x1b[1m1. A bundle") {
		t.Error("headings are not bold on a terminal")
	}
	shown = regexp.MustCompile("\x1b\\[\\d+m").ReplaceAllString(shown, "")
	check(t, shown, "10.213.0.1", "10.213.0.2")
	said := "172.18.0.0/16 is in use on this machine; so the container gets an address of 10.213.0.0/24"
	if !strings.Contains(shown, said) {
		t.Errorf("the demo does not say %q:\n%s", said, shown)
	}
	before.Unchanged(t)

	// So does the shell, in a second one beside the first as well.
	for range 2 {
		term := drive.OnTerminal(t, filepath.Join(dir, "scripts/shell.sh"))
		term.Expect(said)
		term.Expect("/ # ")
		term.Type("ip route show\r")
		term.Expect("default via 10.213.0.1 ")
		defer term.Wait()
		defer term.Type("exit\r")
	}
}

// Interrupted while the container runs, the demo takes it away all the same.
func TestDemoInterrupted(t *testing.T) {
	drive.NeedRoot(t)
	before := drive.TakeSnapshot(t)
	term := drive.OnTerminal(t, filepath.Join(tree(t), "scripts/demo.sh"))
	term.Expect("4. ")
	term.Type("\x03")
	if code := term.Wait(); code != 130 && code != 1 {
		t.Errorf("exit status %d:\n%s", code, term.Shown())
	}
	if strings.Contains(term.Shown(), "11. ") {
		t.Error("the demo went on to its end")
	}
	before.Unchanged(t)
}

// The shell of `make run`, and its status.
func TestMakeRun(t *testing.T) {
	drive.NeedRoot(t)
	before := drive.TakeSnapshot(t)
	for _, tt := range []struct {
		path string
		args []string
		code int
	}{
		{filepath.Join(tree(t), "scripts/shell.sh"), nil, 3},
		{"make", []string{"-C", top(t), "--no-print-directory", "run"}, 2}, // make's word for a failure
	} {
		term := drive.OnTerminal(t, tt.path, tt.args...)
		term.Expect("a shell in a container; \"exit\" ends it\r\n")
		term.Expect("/ # ")
		term.Type("hostname; ping -c 1 172.18.0.1 | grep loss\r")
		term.Expect("\r\nmocker\r\n")
		term.Expect(" 0% packet loss\r\n")
		term.Expect("/ # ")
		term.Type("exit 3\r")
		if code := term.Wait(); code != tt.code {
			t.Errorf("%s: exit status %d, want %d:\n%s", tt.path, code, tt.code, term.Shown())
		}
		before.Unchanged(t)
	}
}

// A shell whose terminal goes away goes too.
func TestRunHungUp(t *testing.T) {
	drive.NeedRoot(t)
	before := drive.TakeSnapshot(t)
	term := drive.OnTerminal(t, filepath.Join(tree(t), "scripts/shell.sh"))
	term.Expect("/ # ")
	term.HangUp()
	term.Wait()
	before.Unchanged(t)
}

// Without root both say so, and do nothing.
func TestNeedsRoot(t *testing.T) {
	drive.NeedRoot(t)
	dir := tree(t)
	for p := dir; p != os.TempDir() && p != "/"; p = filepath.Dir(p) {
		if err := os.Chmod(p, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	before := drive.TakeSnapshot(t)
	for script, verb := range map[string]string{"demo.sh": "demo", "shell.sh": "run"} {
		r := drive.Exec(t, "setpriv", "--reuid", "65534", "--clear-groups", filepath.Join(dir, "scripts", script))
		want := fmt.Sprintf("make %s must run as root, for its network and limits; README.md shows a container without\n", verb)
		if r.Code != 1 || r.Stdout != "" || r.Stderr != want {
			t.Errorf("%s: %v", script, r)
		}
	}
	before.Unchanged(t)
}
