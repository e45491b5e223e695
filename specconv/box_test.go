package specconv

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func TestReadImage(t *testing.T) {
	staticBusybox(t)
	dir := t.TempDir()
	t.Chdir(dir)
	for _, name := range []string{"ls", "rootfs/bin"} {
		if err := os.MkdirAll(name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile("rootfs/bin/sh", nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("rootfs", "link"); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		words   string
		name    string // "": a command alone
		dir     string // below the current one
		args    string
		missing bool
	}{
		{"sh", "", "", "sh", false},
		{"echo a b", "", "", "echo a b", false},
		{"echo -n --x", "", "", "echo -n --x", false},
		{"busybox", "busybox", "", "/bin/sh", false},
		{"busybox ls /", "busybox", "", "ls /", false},
		{"busybox:latest ls", "busybox:latest", "", "ls", false},
		{"busybox:1 ls", "busybox:1", "", "ls", true},
		{"ubuntu:latest", "ubuntu:latest", "", "/bin/sh", true},
		{"ubuntu ls", "ubuntu", "", "ls", true},
		{"sh:x", "sh:x", "", "/bin/sh", true},
		{"library/sh cat", "library/sh", "", "cat", true},
		{"localhost:5000/a/b@sha256:0 cat", "localhost:5000/a/b@sha256:0", "", "cat", true},
		{"ls cat", "ls", "ls", "cat", false}, // a directory first, then an applet
		{"rootfs", "rootfs", "rootfs", "/bin/sh", false},
		{"./link/ cat x", "./link/", "rootfs", "cat x", false},
	} {
		got, err := ReadImage(strings.Fields(row.words))
		if err != nil {
			t.Errorf("%s: %v", row.words, err)
			continue
		}
		wantDir := row.dir
		if wantDir != "" {
			wantDir = filepath.Join(dir, wantDir)
		}
		if got.Name != row.name || got.Dir != wantDir || strings.Join(got.Args, " ") != row.args || got.Missing() != row.missing {
			t.Errorf("%s: %+v, missing %t", row.words, got, got.Missing())
		}
	}
	for words, want := range map[string]string{
		"./none x":  "image ./none: no such file or directory",
		"../none x": "image ../none: no such file or directory",
		"ls":        "image ls: no command is given, and it has no /bin/sh: no such file or directory",
		"/":         "image /: the host's own root directory",
		"/bin/sh":   "image /bin/sh: not a directory (a program of busybox: mocker run busybox /bin/sh)",
	} {
		if _, err := ReadImage(strings.Fields(words)); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", words, err, want)
		}
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1": 1, "1073741824": 1 << 30, "32b": 32, "32B": 32, "64k": 64 << 10, "64kb": 64 << 10, "64KiB": 64 << 10,
		"512m": 512 << 20, "512 MB": 512 << 20, "1.5g": 3 << 29, "1.5 GiB": 3 << 29, "2t": 2 << 40, "1p": 1 << 50, ".5k": 512, "1.7": 1,
		"": -1, "m": -1, "-1": -1, "-5m": -1, "1e3": -1, "0x10": -1, "1_000": -1, "5x": -1, "5mm": -1, "5bb": -1, "5ki": -1,
		"5  m": -1, "1.2.3": -1, "1,5g": -1, "inf": -1, "nan": -1, "8388608t": -1, "99999999999999999999": -1, "5 ": 5, " 5": -1,
	} {
		got, err := ParseSize(text)
		if want == -1 && err == nil || want != -1 && (err != nil || got != want) {
			t.Errorf("%q: got %d, %v, want %d", text, got, err, want)
		}
	}
}

func TestParseCPUs(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1": 100000, "1.5": 150000, "0.01": 1000, "1e1": 1000000,
		"": -1, "-1": -1, "0.009": -1, "nan": -1, "inf": -1, "1e9": -1, "one": -1,
	} {
		got, err := parseCPUs(text)
		if want < 0 && err == nil || want >= 0 && (err != nil || got != want) {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
}

func TestChangeCapabilities(t *testing.T) {
	all := len(capabilityNames)
	for _, row := range []struct {
		add, drop string
		want      int // how many
		has, not  string
	}{
		{"", "", 14, "CAP_CHOWN", "CAP_SYS_ADMIN"},
		{"sys_admin", "", 15, "CAP_SYS_ADMIN", ""},
		{"", "Cap_Chown KILL", 12, "", "CAP_CHOWN"},
		{"", "all", 0, "", "CAP_CHOWN"},
		{"all", "", all, "CAP_BPF", ""},
		{"ALL", "BPF", all - 1, "", "CAP_BPF"},
		{"BPF", "ALL", 1, "CAP_BPF", "CAP_CHOWN"},
		{"ALL", "ALL", all, "CAP_BPF", ""}, // as docker
		{"kill", "kill", 14, "CAP_KILL", ""},
	} {
		got, err := changeCapabilities(strings.Fields(row.add), strings.Fields(row.drop))
		if err != nil || len(got) != row.want || row.has != "" && !slices.Contains(got, row.has) || slices.Contains(got, row.not) {
			t.Errorf("+%s -%s: %q, %v", row.add, row.drop, got, err)
		}
	}
}

// TestAddMounts: outer mounts before inner ones, and the later of two in one
// place.
func TestAddMounts(t *testing.T) {
	spec := &specs.Spec{Mounts: []specs.Mount{{Destination: "/proc"}, {Destination: "/dev"}, {Destination: "/dev/shm"}}}
	addMounts(spec, []specs.Mount{
		{Destination: "/etc/hosts", Source: "/first"}, {Destination: "/a/b/c"}, {Destination: "/a"},
		{Destination: "/dev/shm", Source: "/mine"}, {Destination: "/a/b"}, {Destination: "/etc/hosts", Source: "/second"},
	})
	var got []string
	for _, m := range spec.Mounts {
		got = append(got, m.Destination+m.Source)
	}
	if want := []string{"/proc", "/dev", "/dev/shm/mine", "/a", "/etc/hosts/second", "/a/b", "/a/b/c"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// TestLookUpUserIn has images that mean no good.
func TestLookUpUserIn(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(root+"/etc", 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := lookUpUser(root, "root"); err == nil {
		t.Error("found root in an image without /etc/passwd")
	}
	// The host's has root in it.
	if err := os.Symlink("../../../../../../../../etc/passwd", root+"/etc/passwd"); err != nil {
		t.Fatal(err)
	}
	if _, err := lookUpUser(root, "root"); err == nil || !strings.Contains(err.Error(), "too many levels of symbolic links") {
		t.Errorf("a link to itself: %v", err)
	}
	if err := os.Remove(root + "/etc/passwd"); err != nil {
		t.Fatal(err)
	}
	text := "\nbad\nneg:x:-1:0::/:\nbig:x:4294967296:0::/:\nroot:x:0\n::0:5::/:\nok:x:3:4\n" + strings.Repeat("#", maxImageFile) + "\nlate:x:9:9::/:\n"
	if err := os.WriteFile(root+"/etc/passwd", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"ok": "3:4", "3": "3:4", "0": "0:5", "neg": "", "big": "", "late": "", "-1": "", "4294967295": "", "2147483648": "2147483648:0", "12": "12:0",
	} {
		u, err := lookUpUser(root, name)
		got := ""
		if err == nil {
			got = item("", int(u.UID)) + item("", int(u.GID))
			got = strings.NewReplacer("][", ":", "[", "", "]", "").Replace(got)
		}
		if got != want {
			t.Errorf("%s: %s, %v, want %s", name, got, err, want)
		}
	}
}

// TestParseID: what could be taken for root by mistake is refused
// (CVE-2026-30892).
func TestParseID(t *testing.T) {
	for text, want := range map[string]uint32{"0": 0, "1": 1, "007": 7, "4294967294": 4294967294} {
		if got, ok := ParseID(text); got != want || !ok {
			t.Errorf("ParseID(%q) = %d, %t", text, got, ok)
		}
	}
	for _, text := range []string{"", "-1", "+1", "1x", "x", " 1", "1 ", "0x1", "1_0", "1.0", "4294967295", "4294967296", "root"} {
		if got, ok := ParseID(text); ok {
			t.Errorf("ParseID(%q) = %d", text, got)
		}
	}
}
