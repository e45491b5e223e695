package engines

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-spec/specs-go/features"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// users: a container with a user namespace, by a config.json of our own. With
// its flags --uidmap and --gidmap ctr 1.6 forgets which runtime was asked for,
// and takes runc.
func (c containerd) users(t *testing.T) {
	c.ownConfig(foreground{
		cmd:    []string{"sh", "-c", "cat /proc/self/[ug]id_map | tr -s ' '; stat -c %u:%g /proc/1"},
		stdout: " 0 200000 65536\n 0 100000 65536\n0:0\n",
	})
}

// mapped: before it lets a volume have its ids mapped, containerd 2 asks the
// runtime's features whether it can. Debian's runc knows of no such thing.
func (c containerd) mapped(t *testing.T) {
	volume := t.TempDir()
	open(t, volume)
	if err := errors.Join(os.Chown(volume, 7, 8), os.Chmod(volume, 0o777)); err != nil {
		t.Fatal(err)
	}
	f := foreground{
		cmd:    []string{"sh", "-c", "stat -c %u:%g /v; touch /v/made; stat -c %u:%g /v/made"},
		stdout: "7:8\n0:0\n",
	}
	if !hasMapped(t, c.runtime) {
		if c.runtime == drive.Runtime(t) && !drive.Others() {
			t.Error("mocker's features tell of no mounts with mapped ids")
		}
		f.code, f.stdout, f.stderr = 1, "", "idmap mounts not supported"
	}
	c.ownConfig(f, specs.Mount{Destination: "/v", Type: "bind", Source: volume, Options: []string{"rbind", "idmap"}})
	var st unix.Stat_t
	err := unix.Stat(filepath.Join(volume, "made"), &st)
	if f.code == 0 && (err != nil || st.Uid != 0 || st.Gid != 0) {
		t.Errorf("outside the new file belongs to %d:%d, %v", st.Uid, st.Gid, err)
	}
}

// ownConfig runs a container with a user namespace and more mounts.
func (c containerd) ownConfig(f foreground, mounts ...specs.Mount) {
	c.t.Helper()
	dir := c.t.TempDir()
	open(c.t, dir)
	bundle := drive.Bundle(c.t, func(s *specs.Spec) {
		s.Process.Args = append([]string{"sh", "-c", hold, "sh"}, f.cmd...)
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
		s.Linux.UIDMappings = []specs.LinuxIDMapping{{HostID: 100000, Size: 65536}}
		s.Linux.GIDMappings = []specs.LinuxIDMapping{{HostID: 200000, Size: 65536}}
		s.Linux.CgroupsPath = "/" + c.namespace + "/users"
		s.Mounts = append(s.Mounts, specs.Mount{Destination: "/seen", Type: "bind", Source: dir, Options: []string{"rbind", "ro"}})
		s.Mounts = append(s.Mounts, mounts...)
	})
	open(c.t, bundle)
	spec := drive.ReadConfig(c.t, bundle)
	for _, mount := range spec.Mounts { // which its root may not make
		if err := os.MkdirAll(filepath.Join(bundle, "rootfs", mount.Destination), 0o755); err != nil {
			c.t.Fatal(err)
		}
	}
	spec.Root.Path = filepath.Join(bundle, "rootfs")
	drive.WriteConfig(c.t, bundle, spec)
	line := slices.Concat(c.line("run"), c.made(), []string{"--rm", "--config", filepath.Join(bundle, "config.json"), "users"})
	c.follow(line, dir, f)
}

// hasMapped reports whether a runtime says that it can map ids of mounts.
func hasMapped(t *testing.T, runtime string) bool {
	t.Helper()
	var list features.Features
	if err := json.Unmarshal([]byte(okLine(t, []string{runtime, "features"})), &list); err != nil {
		t.Fatal(err)
	}
	e := list.Linux.MountExtensions
	return e != nil && e.IDMap != nil && e.IDMap.Enabled != nil && *e.IDMap.Enabled
}
