package rootfs

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
	"github.com/mocker-runtime/mocker/tests/coverage"
)

const label = "system_u:object_r:container_file_t:s0:c1,c2"

func TestWithLabel(t *testing.T) {
	r := &Root{cfg: &config.Config{MountLabel: label}}
	for _, c := range []struct {
		fstype  string
		given   []string
		labeled bool
	}{
		{"tmpfs", []string{"size=1m"}, true},
		{"devpts", nil, true},
		{"overlay", []string{"lowerdir=/a"}, true},
		{"proc", nil, false},
		{"sysfs", nil, false},
		{"mqueue", nil, false},
		{"tmpfs", []string{"context=x:y:z"}, false},
		{"tmpfs", []string{"rootcontext=x:y:z"}, false},
	} {
		want := slices.Clone(c.given)
		if c.labeled {
			want = append(want, "context="+label)
		}
		if got := r.withLabel(c.fstype, c.given); !slices.Equal(got, want) {
			t.Errorf("%s %q: got %q, want %q", c.fstype, c.given, got, want)
		}
	}
	if got := (&Root{cfg: &config.Config{}}).withLabel("tmpfs", nil); len(got) != 0 {
		t.Errorf("without a label: %q", got)
	}
}

func TestQuoteContext(t *testing.T) {
	for given, want := range map[string]string{
		"context=" + label: `context="` + label + `"`,
		"context=x:y:z":    "context=x:y:z",
		"size=1,2":         "size=1,2",
	} {
		if got := quoteContext(given); got != want {
			t.Errorf("%s: got %s, want %s", given, got, want)
		}
	}
}

// TestLabelReachesTheKernel: one without SELinux refuses the option, and so
// tells that it was given.
func TestLabelReachesTheKernel(t *testing.T) {
	if hasSELinux() {
		t.Skip("needs a kernel without SELinux: this one takes the label, if its policy has it")
	}
	coverage.ShowsWrites(t, "linux.mountLabel")
	for _, c := range []struct {
		fstype string
		want   string // of the error; "" is none
	}{
		{"tmpfs", "fsconfig context=" + label},
		{"devpts", "fsconfig context=" + label},
		{"proc", ""},
		{"sysfs", ""},
	} {
		t.Run(c.fstype, func(t *testing.T) {
			root, _, _ := newRoot(t, &config.Config{
				MountLabel: label, Namespaces: []config.Namespace{{Flag: unix.CLONE_NEWPID}},
				Mounts: []config.Mount{{Destination: "/mnt", Type: c.fstype, Source: c.fstype}},
			})
			err := root.Mount()
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
	root, dir, _ := newRoot(t, &config.Config{MountLabel: label, Masked: []string{"/secret"}})
	if err := unix.Mkdir(filepath.Join(dir, "secret"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := root.Mask(); err == nil || !strings.Contains(err.Error(), "context="+label) {
		t.Errorf("a masked directory: %v", err)
	}
}

// TestLabelOfMqueue: it is given to the top directory, on which the kernel
// without SELinux cannot keep it, as a tmpfs can.
func TestLabelOfMqueue(t *testing.T) {
	root, _, _ := newRoot(t, &config.Config{MountLabel: label})
	mnt, err := root.newMount("tmpfs", "tmpfs", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(mnt)
	if err := root.labelRoot(mnt); err != nil {
		t.Fatal(err)
	}
	dir, err := unix.Openat(mnt, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(dir)
	value := make([]byte, 256)
	n, err := unix.Fgetxattr(dir, "security.selinux", value)
	if err != nil || string(value[:n]) != label {
		t.Errorf("got %q, %v", value[:max(n, 0)], err)
	}
	if hasSELinux() {
		return
	}
	root.cfg.Mounts = []config.Mount{{Destination: "/mqueue", Type: "mqueue", Source: "mqueue"}}
	if err := root.Mount(); !errors.Is(err, unix.EOPNOTSUPP) {
		t.Errorf("mqueue: %v", err)
	}
}

func hasSELinux() bool {
	var fs unix.Statfs_t
	return unix.Statfs("/sys/fs/selinux", &fs) == nil && fs.Type == unix.SELINUX_MAGIC
}
