package security

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// TestNoDescriptorLeadsOut: CVE-2024-21626. Whatever descriptors mocker has
// open while it builds a container, none of them is a way to the host: not as
// the working directory, not as the program, not by a link in the image.
func TestNoDescriptorLeadsOut(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(s *specs.Spec, fd int, canary string)
	}{
		{"working directory", func(s *specs.Spec, fd int, canary string) {
			s.Process.Cwd = fmt.Sprintf("/proc/self/fd/%d", fd)
			s.Process.Args = []string{"cat", "../../../../../../../.." + canary + "/secret"}
		}},
		{"link as working directory", func(s *specs.Spec, fd int, canary string) {
			s.Process.Cwd = fmt.Sprintf("/links/%d", fd)
			s.Process.Args = []string{"cat", "../../../../../../../.." + canary + "/secret"}
		}},
		{"program", func(s *specs.Spec, fd int, canary string) {
			s.Process.Args = []string{fmt.Sprintf("/proc/self/fd/%d/../../../../../../../..%s/leak", fd, canary)}
		}},
		{"PATH", func(s *specs.Spec, fd int, canary string) {
			s.Process.Args = []string{"leak"}
			s.Process.Env = []string{fmt.Sprintf("PATH=/proc/self/fd/%d/../../../../../../../..%s", fd, canary)}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			attack(t, "run", "CVE-2024-21626")
			bundle, root, canary := box(t, nil)
			hostile(t, filepath.Join(canary.dir, "leak"))
			canary.before = canary.look(t)
			must(t, os.Mkdir(filepath.Join(root, "links"), 0o755))
			clean := drive.ReadConfig(t, bundle)
			for fd := 3; fd <= times(64, 24, 12); fd++ {
				must(t, os.Symlink(fmt.Sprintf("/proc/self/fd/%d", fd), filepath.Join(root, "links", fmt.Sprint(fd))))
				spec := *clean
				process := *clean.Process
				spec.Process = &process
				c.edit(&spec, fd, canary.dir)
				drive.WriteConfig(t, bundle, &spec)
				r := run(t, bundle)
				if r.Code == 0 || strings.Contains(r.Stdout, "the host's") {
					harmed(t, "descriptor %d: %v", fd, r)
					return
				}
				if !strings.HasPrefix(r.Stderr, "mocker: ") && !strings.Contains(r.Stderr, "can't open") && os.Getenv("RUNTIME") == "" {
					t.Errorf("descriptor %d: %v", fd, r)
				}
			}
			canary.unharmed(t)
		})
	}
}

// TestGivenDescriptor: a directory of the host that somebody passes on purpose
// does lead out, which shows that the attack is one; as the working directory
// it is refused all the same.
func TestGivenDescriptor(t *testing.T) {
	attack(t, "run", "CVE-2024-21626")
	bundle, _, c := box(t, nil)
	dir, err := os.Open(c.dir)
	must(t, err)
	defer dir.Close()
	given := func(flags ...string) drive.Result {
		args := append([]string{"run", "--bundle", bundle}, flags...)
		cmd := exec.Command(drive.Runtime(t), append(args, "security-given")...)
		cmd.ExtraFiles = []*os.File{dir}
		var stdout, stderr strings.Builder
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		_ = cmd.Run() // the exit code says it
		return drive.Result{Stdout: stdout.String(), Stderr: stderr.String(), Code: cmd.ProcessState.ExitCode()}
	}
	for _, x := range []struct {
		name string
		cwd  string
		args []string
		flag string
		want string // of stdout; "": an error
	}{
		{"passed on", "/", []string{"cat", "/proc/self/fd/3/secret"}, "--preserve-fds=1", "the host's"},
		{"not passed on", "/", []string{"cat", "/proc/self/fd/3/secret"}, "--preserve-fds=0", ""},
		{"as working directory", "/proc/self/fd/3", []string{"cat", "secret"}, "--preserve-fds=1", ""},
		{"as working directory, not passed on", "/proc/self/fd/3", []string{"cat", "secret"}, "--preserve-fds=0", ""},
	} {
		drive.Edit(t, bundle, func(s *specs.Spec) { s.Process.Cwd, s.Process.Args = x.cwd, x.args })
		r := given(x.flag)
		if strings.Contains(r.Stdout, "the host's") && x.want == "" {
			harmed(t, "%s: %v", x.name, r)
		}
		if (r.Code == 0) != (x.want != "") || strings.Contains(r.Stdout, "the host's") != (x.want != "") {
			t.Errorf("%s: %v", x.name, r)
		}
		t.Logf("%s: exit %d %s", x.name, r.Code, r.Stderr)
	}
}

// TestDescriptorsOfTheProcess are standard input, output and error.
func TestDescriptorsOfTheProcess(t *testing.T) {
	// Not into a pipe, of which the shell has an end for a moment.
	bundle := drive.Bundle(t, drive.Sh("ls /proc/1/fd; true"))
	if r := run(t, bundle); r.Stdout != "0\n1\n2\n" {
		t.Error(r)
	}
}
