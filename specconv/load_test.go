package specconv

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestLoad(t *testing.T) {
	dir := bundle(t)
	real := filepath.Join(dir, "elsewhere.json")
	if err := os.WriteFile(real, []byte(" {\"ociVersion\": \"1.0.0\", \"new\": [1, {}], \"process\": {\"cwd\": \"/\", \"x\": null}}\n\t "), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("elsewhere.json", filepath.Join(dir, configName)); err != nil {
		t.Fatal(err)
	}
	spec, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if spec.Version != "1.0.0" || spec.Process.Cwd != "/" {
		t.Errorf("got %+v", spec)
	}
}

// TestLoadBadText has contents of config.json and what Load says about each,
// after the name of the file.
func TestLoadBadText(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{"", "line 1, column 1: unexpected end of JSON input"},
		{" \n", "line 2, column 1: unexpected end of JSON input"},
		{"null", "line 1, column 1: got null, want an object"},
		{"[]", "line 1, column 1: got an array, want an object"},
		{"7", "line 1, column 1: got a number, want an object"},
		{"{", "line 1, column 2: unexpected end of JSON input"},
		{"{]", "line 1, column 2: invalid character ']' looking for beginning of object key string"},
		{"{}\n{}", "line 2, column 1: invalid character '{' after top-level value"},
		{"{} x", "line 1, column 4: invalid character 'x' after top-level value"},
		{"{}\x00", "line 1, column 3: invalid character '\\x00' after top-level value"},
		{"{\n\t\"process\": {\n\t\t\"cwd\": /\n\t}\n}", "line 3, column 10: invalid character '/' looking for beginning of value"},
		{"{\n\"ociVersion\": \"1.0.0\",\n}", "line 3, column 1: invalid character '}' looking for beginning of object key string"},
		{"{\"ociVersion\": '1.0.0'}", "line 1, column 16: invalid character '\\'' looking for beginning of value"},
		{"{\"hostname\": \"a\nb\"}", "line 1, column 16: invalid character '\\n' in string literal"},
		{"{\"hostname\": \"a\xffb\"}", "line 1, column 16: not UTF-8"},
		{"{\n\"a\": \"\xc3\"}", "line 2, column 7: not UTF-8"},
		{"\xef\xbb\xbf{}", "line 1, column 1: invalid character 'ï' looking for beginning of value"},
		{"// c\n{}", "line 1, column 1: invalid character '/' looking for beginning of value"},
		{"{\n \"ociVersion\": 1}", "line 2, column 16: ociVersion: got a number, want a string"},
		{"{\"process\": []}", "line 1, column 13: process: got an array, want an object"},
		{"{\"process\": {\"args\": \"sh\"}}", "line 1, column 25: process.args: got a string, want an array"},
		{"{\"process\": {\"args\": [\"sh\", 1]}}", "line 1, column 29: process.args: got a number, want a string"},
		{"{\"process\": {\"terminal\": \"yes\"}}", "line 1, column 30: process.terminal: got a string, want true or false"},
		{"{\"process\": {\"cwd\": true}}", "line 1, column 24: process.cwd: got true or false, want a string"},
		{"{\"process\": {\"user\": {\"uid\": -1}}}", "line 1, column 31: process.user.uid: got number -1, want an integer from 0 to 4294967295"},
		{"{\"process\": {\"user\": {\"uid\": 4294967296}}}", "line 1, column 39: process.user.uid: got number 4294967296, want an integer from 0 to 4294967295"},
		{"{\"process\": {\"oomScoreAdj\": 1.5}}", "line 1, column 31: process.oomScoreAdj: got number 1.5, want an integer from -9223372036854775808 to 9223372036854775807"},
		{"{\"mounts\": {}}", "line 1, column 12: mounts: got an object, want an array"},
		{"{\"mounts\": [{\"options\": [[]]}]}", "line 1, column 26: mounts.options: got an array, want a string"},
		{"{\"annotations\": {\"a\": 1}}", "line 1, column 23: annotations: got a number, want a string"},
		{"{\"linux\": {\"resources\": {\"blockIO\": {\"weightDevice\": [{\"major\": \"8\"}]}}}}", "line 1, column 67: linux.resources.blockIO.weightDevice.major: got a string, want an integer from -9223372036854775808 to 9223372036854775807"},
		{strings.Repeat("[", 20000), "line 1, column 10001: invalid character '[' exceeded max depth"},
	} {
		dir := t.TempDir()
		name := filepath.Join(dir, configName)
		if err := os.WriteFile(name, []byte(row.text), 0o600); err != nil {
			t.Fatal(err)
		}
		spec, err := Load(dir)
		if err == nil {
			t.Errorf("%s: accepted", quote(row.text))
			continue
		}
		if want := "load " + name + ": " + row.want; err.Error() != want || spec != nil {
			t.Errorf("%s:\n got %s\nwant %s", quote(row.text), err, want)
		}
	}
}

// TestLoadBadFile has what is no regular file, or none at all. Each answer
// must come at once: a fifo without a writer hangs a plain open.
func TestLoadBadFile(t *testing.T) {
	for _, row := range []struct {
		name string
		make func(name string) error
		want string
	}{
		{"missing", func(string) error { return nil }, "load NAME: JSON specification file config.json not found"},
		{"dangling", func(name string) error { return os.Symlink("nowhere", name) }, "load NAME: JSON specification file config.json not found"},
		{"directory", func(name string) error { return os.Mkdir(name, 0o755) }, "load NAME: not a regular file"},
		{"fifo", func(name string) error { return unix.Mkfifo(name, 0o600) }, "load NAME: not a regular file"},
		{"device", func(name string) error { return os.Symlink("/dev/zero", name) }, "load NAME: not a regular file"},
		{"loop", func(name string) error { return os.Symlink(configName, name) }, "load NAME: too many levels of symbolic links"},
		{"large", func(name string) error {
			if err := os.WriteFile(name, nil, 0o600); err != nil {
				return err
			}
			return os.Truncate(name, 1<<40)
		}, "load NAME: larger than 32 MiB"},
		{"of no size", func(name string) error { return os.Symlink("/proc/self/status", name) }, "load NAME: line 1, column 1: invalid character 'N' looking for beginning of value"},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := t.TempDir()
			name := filepath.Join(dir, configName)
			if err := row.make(name); err != nil {
				t.Fatal(err)
			}
			answer := make(chan error, 1)
			go func() {
				_, err := Load(dir)
				answer <- err
			}()
			select {
			case err := <-answer:
				if want := strings.ReplaceAll(row.want, "NAME", name); err == nil || err.Error() != want {
					t.Errorf("got %v, want %s", err, want)
				}
			case <-time.After(5 * time.Second):
				t.Fatal("no answer after 5 seconds")
			}
		})
	}
}

func TestLoadBadBundle(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for bundle, want := range map[string]string{
		"/no/such/bundle": "open bundle /no/such/bundle: no such file or directory",
		file:              "load " + file + "/config.json: not a directory",
	} {
		if _, err := Load(bundle); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", bundle, err, want)
		}
	}
}
