package specconv

import (
	"bytes"
	"debug/elf"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

// staticBusybox is the machine's; `make test` installs one.
func staticBusybox(t *testing.T) string {
	t.Helper()
	name, err := findBusybox("")
	if err != nil {
		t.Skip(err)
	}
	return name
}

// tree lists what is below a directory, with modes and links.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		target, _ := os.Readlink(name)
		list = append(list, st.Mode().String()+" "+strings.TrimPrefix(name, dir)+" "+target)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestBusybox(t *testing.T) {
	busybox := staticBusybox(t)
	// The modes must not depend on the caller's.
	defer unix.Umask(unix.Umask(0o077))
	dir := filepath.Join(t.TempDir(), "demo")
	if err := Busybox(BusyboxOptions{Bundle: dir, Mocker: "/opt/mo cker/<mocker>&"}); err != nil {
		t.Fatal(err)
	}
	list := tree(t, filepath.Join(dir, "rootfs"))
	for _, want := range []string{
		"drwxr-xr-x  ",
		"-rwxr-xr-x /bin/busybox ",
		"Lrwxrwxrwx /bin/sh busybox",
		"-rw-r--r-- /etc/group ",
		"-rw-r--r-- /etc/hostname ",
		"-rw-r--r-- /etc/hosts ",
		"-rw-r--r-- /etc/passwd ",
		"-rw-r--r-- /etc/resolv.conf ",
		"dr-xr-xr-x /proc ",
		"dr-xr-xr-x /sys ",
		"drwxr-xr-x /dev ",
		"drwx------ /root ",
		"drwxr-xr-x /run ",
		"dtrwxrwxrwx /tmp ",
	} {
		if !slices.Contains(list, want) {
			t.Errorf("no %q in the rootfs", want)
		}
	}
	for _, name := range []string{"sh", "ls", "ps", "ip", "ping", "cat", "sleep", "id", "wget"} {
		found := false
		for _, d := range []string{"bin", "sbin", "usr/bin", "usr/sbin"} {
			target, err := filepath.EvalSymlinks(filepath.Join(dir, "rootfs", d, name))
			found = found || err == nil && target == filepath.Join(dir, "rootfs/bin/busybox")
		}
		if !found {
			t.Errorf("%s does not lead to busybox", name)
		}
	}
	want, _ := os.ReadFile(busybox)
	if got, _ := os.ReadFile(filepath.Join(dir, "rootfs/bin/busybox")); string(got) != string(want) || len(got) == 0 {
		t.Error("busybox is not a copy")
	}
	checkBusyboxConfig(t, dir)
	if entries, _ := os.ReadDir(dir); len(entries) != 2 {
		t.Errorf("more than config.json and rootfs: %v", entries)
	}

	// Nothing is replaced, and a refusal changes nothing.
	before := tree(t, dir)
	wantErr := "write " + dir + "/config.json: file exists, remove it first"
	if err := Busybox(BusyboxOptions{Bundle: dir, Mocker: "/m"}); err == nil || err.Error() != wantErr {
		t.Errorf("got %v, want %s", err, wantErr)
	}
	if after := tree(t, dir); !slices.Equal(before, after) {
		t.Error("a refused call changed the bundle")
	}
}

func checkBusyboxConfig(t *testing.T, dir string) {
	t.Helper()
	spec, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := Convert(spec, dir)
	if err != nil {
		t.Fatal(err)
	}
	r := cfg.Cgroup.Resources
	if r.Memory != 1<<30 || r.CpuQuota != 100000 || r.CpuPeriod != 100000 || r.PidsLimit == nil || *r.PidsLimit != 1024 {
		t.Errorf("limits %+v", r)
	}
	const docker = 0xa80425fb // what docker shows as CapBnd
	if want := (config.Capabilities{Bounding: docker, Effective: docker, Permitted: docker}); cfg.Process.Caps != want {
		t.Errorf("capabilities %+v", cfg.Process.Caps)
	}
	hook := config.Hook{
		Path: "/opt/mo cker/<mocker>&", Args: []string{"mocker", "hook", "network"},
		Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
	}
	for _, hooks := range [][]config.Hook{cfg.Hooks.Prestart, cfg.Hooks.Poststop} {
		if len(hooks) != 1 || hooks[0].Path != hook.Path || !slices.Equal(hooks[0].Args, hook.Args) || !slices.Equal(hooks[0].Env, hook.Env) {
			t.Errorf("hooks %+v", hooks)
		}
	}
	if cfg.Hostname != "mocker" || cfg.Cgroup.Path != "" || !cfg.Process.Terminal || cfg.Rootfs.Readonly || len(cfg.Warnings) > 0 {
		t.Errorf("config %+v", cfg)
	}
	for _, flag := range []uintptr{unix.CLONE_NEWPID, unix.CLONE_NEWNS, unix.CLONE_NEWUTS, unix.CLONE_NEWIPC, unix.CLONE_NEWNET, unix.CLONE_NEWCGROUP} {
		if !cfg.Has(flag) {
			t.Errorf("no namespace %#x", flag)
		}
	}
	if _, err := os.Stat("/etc/resolv.conf"); err == nil {
		m := cfg.Mounts[len(cfg.Mounts)-1]
		if m.Destination != "/etc/resolv.conf" || m.Source != m.Destination || m.Type != "bind" || m.Set&unix.MOUNT_ATTR_RDONLY == 0 {
			t.Errorf("mount %+v", m)
		}
	}
}

// TestBusyboxRefuses has calls that must fail, and leave what they found.
func TestBusyboxRefuses(t *testing.T) {
	static := staticBusybox(t)
	dynamic := dynamicProgram(t)
	for _, row := range []struct {
		name    string
		prepare func(dir string) error
		busybox string
		mocker  string
		want    string
	}{
		{"a config", func(dir string) error { return os.WriteFile(dir+"/config.json", nil, 0o600) }, static, "/m", "write DIR/config.json: file exists, remove it first"},
		{"a dangling config", func(dir string) error { return os.Symlink("x", dir+"/config.json") }, static, "/m", "write DIR/config.json: file exists, remove it first"},
		{"a full rootfs", func(dir string) error { return os.MkdirAll(dir+"/rootfs/bin", 0o755) }, static, "/m", "make DIR/rootfs: directory not empty, remove it first"},
		{"a file rootfs", func(dir string) error { return os.WriteFile(dir+"/rootfs", nil, 0o600) }, static, "/m", "make DIR/rootfs: exists and is not a directory"},
		{"a linked rootfs", func(dir string) error { return os.Symlink("/", dir+"/rootfs") }, static, "/m", "make DIR/rootfs: exists and is not a directory"},
		{"no busybox", nil, "/no/such/busybox", "/m", "use busybox /no/such/busybox: no such file or directory"},
		{"a dynamic busybox", nil, dynamic, "/m", "use busybox " + dynamic + ": not static, it needs an interpreter; install the package busybox-static"},
		{"a script", nil, "/proc/self/status", "/m", "use busybox /proc/self/status: not an ELF program; install the package busybox-static"},
		{"an empty file", nil, "/dev/null", "/m", "use busybox /dev/null: not a regular file"},
		{"a relative mocker", nil, static, "mocker", `make bundle DIR: path of mocker "mocker": not absolute`},
		{"an empty rootfs and no busybox", func(dir string) error { return os.Mkdir(dir+"/rootfs", 0o711) }, "/no/such/busybox", "/m", "use busybox /no/such/busybox: no such file or directory"},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := t.TempDir()
			if row.prepare != nil {
				if err := row.prepare(dir); err != nil {
					t.Fatal(err)
				}
			}
			before := tree(t, dir)
			err := Busybox(BusyboxOptions{Bundle: dir, Mocker: row.mocker, Busybox: row.busybox})
			if want := strings.ReplaceAll(row.want, "DIR", dir); err == nil || err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
			if after := tree(t, dir); !slices.Equal(before, after) {
				t.Errorf("changed from %q to %q", before, after)
			}
		})
	}
}

func TestBusyboxMakesAndUnmakesBundle(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "new")
	if err := Busybox(BusyboxOptions{Bundle: dir, Mocker: "/m", Busybox: "/no/such"}); err == nil {
		t.Fatal("made of nothing")
	}
	if list := tree(t, parent); len(list) != 1 {
		t.Errorf("left behind: %q", list)
	}
	want := "make bundle " + dir + "/deeper: no such file or directory"
	if err := Busybox(BusyboxOptions{Bundle: dir + "/deeper", Mocker: "/m"}); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestBusyboxNotFound looks for busybox where there is none. It can only
// look at PATH; /bin and /usr/bin are the machine's.
func TestBusyboxNotFound(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "busybox")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	got, err := findBusybox("")
	if err == nil && got == script {
		t.Error("took a script for busybox")
	}
	if err != nil && !strings.Contains(err.Error(), "install the package busybox-static") {
		t.Errorf("no advice in %v", err)
	}
}

// TestListAppletsWithoutPlaces has a busybox that only knows --list.
func TestListAppletsWithoutPlaces(t *testing.T) {
	old := filepath.Join(t.TempDir(), "busybox")
	if err := os.WriteFile(old, []byte("#!/bin/sh\n[ \"$1\" = --list ] && echo sh && echo ls\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	list, err := listApplets(old)
	if err != nil || !slices.Equal(list, []string{"bin/sh", "bin/ls"}) {
		t.Errorf("got %q, %v", list, err)
	}
}

// dynamicProgram finds a program of the machine that needs an interpreter.
func dynamicProgram(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"sh", "bash", "ls", "git"} {
		found, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		f, err := elf.Open(found)
		if err != nil {
			continue
		}
		f.Close()
		if f.Section(".interp") != nil {
			return found
		}
	}
	t.Fatal("no dynamic program on this machine")
	return ""
}

// TestHasInterpreter: programs, and what is left of them when they are cut
// off, is no program.
func TestHasInterpreter(t *testing.T) {
	for name, want := range map[string]bool{staticBusybox(t): false, dynamicProgram(t): true} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := hasInterpreter(bytes.NewReader(data)); got != want || err != nil {
			t.Errorf("%s: %t, %v", name, got, err)
		}
		for n := range 64 {
			if got, err := hasInterpreter(bytes.NewReader(data[:n])); got || err == nil {
				t.Errorf("%s, %d bytes of it: %t, %v", name, n, got, err)
			}
		}
		if _, err := hasInterpreter(bytes.NewReader(data[:64+2])); err == nil {
			t.Errorf("%s without segments is a program", name)
		}
	}
	small := []byte("\x7fELF\x01\x01" + strings.Repeat("\x00", 94))
	small[28], small[42], small[44], small[68] = 64, 4, 2, 3 // two segments of 4 bytes at 64; the second is PT_INTERP
	if got, err := hasInterpreter(bytes.NewReader(small)); !got || err != nil {
		t.Errorf("of 32 bits: %t, %v", got, err)
	}
	small[42] = 0
	if got, err := hasInterpreter(bytes.NewReader(small)); got || err == nil {
		t.Errorf("segments of no size: %t, %v", got, err)
	}
}
