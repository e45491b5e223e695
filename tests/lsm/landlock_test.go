package lsm

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// locked is a script that tries what the rules are about.
const locked = `
	cat /etc/passwd >/dev/null 2>&1 && echo read || echo unread
	cat /secret/file 2>/dev/null || echo unread
	echo x 2>/dev/null >/tmp/new && echo written || echo unwritten
	echo x 2>/dev/null >/secret/new && echo written || echo unwritten
	mkdir /etc/new 2>/dev/null && echo made || echo unmade
	/secret/true 2>/dev/null && echo executed || echo unexecuted
	mount -t tmpfs x /tmp 2>/dev/null && echo mounted || echo unmounted`

// landlocked makes a bundle with rules, in which everything could be done
// without them.
func landlocked(t *testing.T, rules string, userns, noNewPrivs bool) (id, bundle string) {
	t.Helper()
	landlocks++
	id = fmt.Sprintf("landlock-%d-%d", os.Getpid(), landlocks)
	bundle = drive.Bundle(t, func(s *specs.Spec) {
		s.Process.Args = []string{"sleep", "1000"}
		s.Process.NoNewPrivileges = noNewPrivs
		caps := []string{"CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE"}
		s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps}
		if rules != "" {
			s.Annotations = map[string]string{"mocker.landlock": rules}
		}
		if userns {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
			ids := []specs.LinuxIDMapping{{HostID: 700000, Size: 65536}}
			s.Linux.UIDMappings, s.Linux.GIDMappings = ids, ids
		}
	})
	root := filepath.Join(bundle, "rootfs")
	for _, err := range []error{
		os.Chmod(filepath.Dir(bundle), 0o755),
		os.Mkdir(root+"/secret", 0o777), os.WriteFile(root+"/secret/file", []byte("secret\n"), 0o644),
		os.CopyFS(root+"/secret/bin", os.DirFS(root+"/bin")), os.Rename(root+"/secret/bin/busybox", root+"/secret/true"),
		os.Chmod(root+"/secret", 0o777), os.Chmod(root+"/tmp", 0o777), os.Chmod(root+"/etc", 0o777),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { drive.Run(t, "delete", "--force", id) })
	return id, bundle
}

var landlocks int

// TestLandlock: what no rule gives is denied, to the first process and to
// those of exec, whose capabilities do not help; without rules all of it works.
func TestLandlock(t *testing.T) {
	drive.MockersOwn(t, "it has no such annotation")
	drive.NeedLandlock(t)
	const all, some = "read secret written written made executed mounted", "read unread written unwritten unmade unexecuted unmounted"
	for _, c := range []struct {
		name, rules        string
		userns, noNewPrivs bool
		want               string
	}{
		{"none", "", false, false, all},
		{"root", "rx:/bin r:/etc rw:/tmp rw:/dev", false, false, some},
		{"no-new-privileges", "rx:/bin r:/etc rw:/tmp rw:/dev", false, true, some},
		{"user-namespace", "rx:/bin r:/etc rw:/tmp rw:/dev", true, false, some},
		{"files", "rx:/bin/busybox r:/etc/passwd rw:/dev/null rw:/tmp", false, false, some},
		{"everything-but-mounts", "rwx:/", false, false, "read secret written written made executed unmounted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			id, bundle := landlocked(t, c.rules, c.userns, c.noNewPrivs)
			sh := []string{"/bin/busybox", "sh", "-c", locked}
			drive.Edit(t, bundle, func(s *specs.Spec) { s.Process.Args = sh })
			r := drive.Run(t, "run", "--bundle", bundle, id)
			if got := strings.Join(strings.Fields(r.Stdout), " "); got != c.want {
				t.Errorf("run: got %q, want %q: %v", got, c.want, r)
			}
			for _, file := range []string{"tmp/new", "secret/new", "etc/new"} {
				os.Remove(filepath.Join(bundle, "rootfs", file))
			}
			drive.Edit(t, bundle, func(s *specs.Spec) { s.Process.Args = []string{"/bin/busybox", "sleep", "1000"} })
			drive.OK(t, "run", "--detach", "--bundle", bundle, id)
			r = drive.Run(t, append([]string{"exec", id}, sh...)...)
			if got := strings.Join(strings.Fields(r.Stdout), " "); got != c.want {
				t.Errorf("exec: got %q, want %q: %v", got, c.want, r)
			}
		})
	}
}

// TestLandlockOfHooks: a startContainer hook, which runs in the container, keeps
// to the rules; a prestart hook, which is the host's, does not.
func TestLandlockOfHooks(t *testing.T) {
	drive.MockersOwn(t, "it has no such annotation")
	drive.NeedLandlock(t)
	const script = "cat >/dev/null; cat /secret/file >/tmp/$1 2>/dev/null || echo unread >/tmp/$1"
	for rules, want := range map[string]string{"": "secret\n", "rx:/bin r:/etc rw:/tmp rw:/dev": "unread\n"} {
		id, bundle := landlocked(t, rules, false, false)
		root := filepath.Join(bundle, "rootfs")
		drive.Edit(t, bundle, func(s *specs.Spec) {
			s.Process.Args = []string{"/bin/busybox", "true"}
			s.Hooks = &specs.Hooks{
				StartContainer: []specs.Hook{{Path: "/bin/busybox", Args: []string{"sh", "-c", script, "sh", "start"}}},
				CreateRuntime:  []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "cat >/dev/null; cat " + root + "/secret/file >" + root + "/tmp/create"}}},
			}
		})
		drive.OK(t, "run", "--bundle", bundle, id)
		for file, want := range map[string]string{"start": want, "create": "secret\n"} {
			got, err := os.ReadFile(filepath.Join(root, "tmp", file))
			if err != nil || string(got) != want {
				t.Errorf("rules %q, hook of %s: got %q (%v), want %q", rules, file, got, err, want)
			}
		}
	}
}

// TestLandlockRefused: a rule that cannot be kept, and a kernel that cannot
// keep any, are errors, and features has the annotation.
func TestLandlockRefused(t *testing.T) {
	drive.MockersOwn(t, "it has no such annotation")
	drive.NeedLandlock(t)
	for rules, want := range map[string]string{
		"rx:/bin r:/nowhere": "mocker: annotations.mocker.landlock: open /nowhere: no such file or directory\n",
		"rx":                 `mocker: config.json: annotations.mocker.landlock: "rx": want RIGHTS:PATH, with some of r, w and x for RIGHTS` + "\n",
	} {
		id, bundle := landlocked(t, rules, false, false)
		if r := drive.Run(t, "run", "--bundle", bundle, id); r.Code != 1 || r.Stderr != want {
			t.Errorf("%s: want %q: %v", rules, want, r)
		}
	}
	for errno, want := range map[string]string{"ENOSYS": "the kernel has no Landlock", "EOPNOTSUPP": "Landlock is not among the security modules"} {
		id, bundle := landlocked(t, "rx:/", false, false)
		r := drive.Exec(t, "strace", "-D", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", "trace=landlock_create_ruleset",
			"-e", "inject=landlock_create_ruleset:error="+errno, drive.Mocker(t), "create", "--bundle", bundle, id)
		if r.Code != 1 || !strings.HasPrefix(r.Stderr, "mocker: config.json: annotations.mocker.landlock: "+want) {
			t.Errorf("%s: want %q: %v", errno, want, r)
		}
	}
	var features struct{ Annotations map[string]string }
	if err := json.Unmarshal([]byte(drive.OK(t, "features")), &features); err != nil || features.Annotations["mocker.landlock"] != "rwx" {
		t.Errorf("features: %v, %+v", err, features)
	}
}
