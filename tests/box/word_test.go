package box

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/drive"
)

const instead = ": mocker cannot get images yet, so it runs on the busybox root"

// TestFirstWord: what the first word of a command line stands for.
func TestFirstWord(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"sh", "mine"} {
		if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(root(t))); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name, "etc/image"), name)
	}
	write(t, filepath.Join(dir, "file"), "")
	t.Chdir(dir)
	const which = "echo on $(cat /etc/image 2>/dev/null || echo busybox)"
	for _, row := range []struct {
		words          []string
		stdout, stderr string
	}{
		{[]string{"ash", "-c", which}, "on busybox\n", ""},
		{[]string{"busybox", "ash", "-c", which}, "on busybox\n", ""},
		{[]string{"busybox:latest", "ash", "-c", which}, "on busybox\n", ""},
		{[]string{"busybox:1.0", "ash", "-c", which}, "on busybox\n", "image busybox:1.0" + instead},
		{[]string{"alpine", "ash", "-c", which}, "on busybox\n", "image alpine" + instead},
		{[]string{"ash:1", "ash", "-c", which}, "on busybox\n", "image ash:1" + instead},
		{[]string{"bin/ash", "ash", "-c", which}, "on busybox\n", "image bin/ash" + instead},
		{[]string{"file", "ash", "-c", which}, "on busybox\n", "image file" + instead},
		{[]string{"sh", "ash", "-c", which}, "on sh\n", ""}, // a directory here
		{[]string{"mine", "ash", "-c", which}, "on mine\n", ""},
		{[]string{"./mine/", "ash", "-c", which}, "on mine\n", ""},
		{[]string{filepath.Join(dir, "mine"), "ash", "-c", which}, "on mine\n", ""},
		{[]string{"--", "echo", "-d", "--name", "x"}, "-d --name x\n", ""},
		{[]string{"echo", "--name", "x"}, "--name x\n", ""},
	} {
		r := box(t, row.words...)
		stderr := ""
		if row.stderr != "" {
			stderr = "mocker: warning: " + row.stderr + "\n"
		}
		if r.Code != 0 || r.Stdout != row.stdout || r.Stderr != stderr {
			t.Errorf("%q: %v", row.words, r)
		}
	}
}

// TestShellWithoutCommand: an image alone is a shell in it.
func TestShellWithoutCommand(t *testing.T) {
	dir := root(t)
	write(t, dir+"/etc/image", "")
	for image, want := range map[string]string{"busybox": "", dir: "/etc/image", "debian:12": ""} {
		r := shell(t, "echo 'echo /etc/imag*; echo $0; exit 3' | mocker run --network none "+image)
		if want == "" {
			want = "/etc/imag*"
		}
		if r.Code != 3 || r.Stdout != want+"\n/bin/sh\n" {
			t.Errorf("%s: %v", image, r)
		}
	}
}

// TestBundleForm: what a bundle is never becomes an image.
func TestBundleForm(t *testing.T) {
	bundle := drive.Bundle(t, drive.Sh("echo from the bundle"))
	t.Chdir(bundle)
	for _, args := range [][]string{
		{"run", "sh"}, // an applet, but there is a config.json
		{"run", "--rm", "sh"},
		{"run", "--bundle", bundle, "sh"},
		{"run", "-b", ".", "rootfs"},
	} {
		if r := mocker(t, args...); r.Code != 0 || r.Stdout != "from the bundle\n" || r.Stderr != "" {
			t.Errorf("%q: %v", args, r)
		}
	}
	if r := box(t, "echo", "two words"); r.Stdout != "two words\n" {
		t.Errorf("two words beside a config.json: %v", r)
	}
	// A program that is missing: runc's exit code here, docker's there.
	drive.Edit(t, bundle, func(s *specs.Spec) { s.Process.Args = []string{"frobnicate"} })
	if r := mocker(t, "run", "sh"); r.Code != 1 {
		t.Errorf("bundle: %v", r)
	}
}

// TestDirectory: a directory is used in place, by two at the same time too.
func TestDirectory(t *testing.T) {
	dir := root(t)
	write(t, dir+"/etc/hosts", "kept")
	first := drive.Start(t, drive.Mocker(t), "run", "--network", "none", dir, "sh", "-c", "echo one >/etc/made; until [ -e /second ]; do sleep 0.01; done; cat /etc/hostname")
	drive.Eventually(t, "the first has begun", func() bool { _, err := os.Stat(dir + "/etc/made"); return err == nil })
	if got := printed(t, "--hostname", "two", dir, "sh", "-c", "cat /etc/made /etc/hostname; touch /second"); got != "one\ntwo\n" {
		t.Errorf("the second prints %q", got)
	}
	if r := first.Wait(); r.Code != 0 || r.Stdout != "mocker\n" {
		t.Errorf("the first: %v", r)
	}
	if read(t, dir+"/etc/made") != "one\n" || read(t, dir+"/etc/hosts") != "kept" {
		t.Error("the directory is not what the boxes left")
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(dir), "log")); err == nil {
		t.Error("something was written beside the directory")
	}
}

// TestExitCodes are those of docker.
func TestExitCodes(t *testing.T) {
	for command, want := range map[string]int{
		"true":            0,
		"false":           1,
		"sh -c 'exit 42'": 42,
		"sh -c 'kill $$'": 0, // to init nothing is deadly that it does not catch
		"frobnicate":      127,
		"/bin/frobnicate": 127,
		"/etc":            126,
		"/etc/passwd":     126,
	} {
		if r := shell(t, "mocker run --network none busybox "+command); r.Code != want {
			t.Errorf("%s: %v, want %d", command, r, want)
		}
	}
	dir := root(t)
	for name, text := range map[string]string{"interpreter": "#!/bin/none\n", "format": "echo\n"} {
		if err := os.WriteFile(dir+"/bin/"+name, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for command, want := range map[string]int{"interpreter": 127, "format": 126} {
		if r := box(t, dir, command); r.Code != want || !strings.HasPrefix(r.Stderr, "mocker: exec /bin/"+command) {
			t.Errorf("%s: %v, want %d", command, r, want)
		}
	}
	if r := box(t, "--memory", "x", "true"); r.Code != 125 {
		t.Errorf("a wrong flag: %v", r)
	}
}
